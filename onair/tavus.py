"""`onair tavus`: personas and conversations at Tavus, through the gateway, which holds the key and ends what it created."""

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import yaml
from rich.console import Console
from rich.table import Table
from rich.text import Text

from onair import server as servers
from onair.drive import DONE, FAILED, say, tame, tell
from onair.say import locate
from onair.server import Server
from services.contract.failure import Code, Failure
from services.runtime.config import seconds
from services.runtime.words import whole

OK = 200
MOST_BYTES = 200_000
"""Of a file with a prompt or with layers."""
CONVERSATIONS, PERSONAS = "/api/tavus/conversations", "/api/tavus/personas"


@dataclass(frozen=True)
class Where:
    """The gateway; empty: a running `onair` or the environment says."""

    server: str = ""
    token: str = ""
    data: Path | None = None
    json: bool = False
    """Print the answer for a program."""

    def find(self) -> Server:
        """It; raises Failure(NOT_FOUND) where there is none."""
        return locate(self.server, self.token, self.data)


@dataclass(frozen=True)
class NewConversation:
    """What the command line asked for; empty: Tavus says."""

    persona: str = ""
    replica: str = ""
    name: str = ""
    context: str = ""
    greeting: str = ""
    language: str = ""
    max_duration: str = ""
    record: bool = False
    test: bool = False

    def body(self) -> dict[str, Any]:
        """As the gateway takes it; raises Failure(BAD_INPUT)."""
        names = ("persona", "replica", "name", "context", "greeting", "language")
        told: dict[str, Any] = {name: whole(str(getattr(self, name))) for name in names if getattr(self, name)}
        flags = {name: True for name in ("record", "test") if getattr(self, name)}
        return {**told, **flags, **({"max_duration": _seconds(self.max_duration)} if self.max_duration else {})}


@dataclass(frozen=True)
class NewPersona:
    """What the command line asked for."""

    name: str = ""
    replica: str = ""
    prompt: str = ""
    prompt_file: Path | None = None
    of: str = ""
    """A persona of the server's onair.yaml."""
    context: str = ""
    layers: Path | None = None
    perception: str = ""

    def body(self) -> dict[str, Any]:
        """As the gateway takes it; raises Failure(BAD_INPUT)."""
        given = [self.prompt, self.prompt_file, self.of]
        if sum(bool(each) for each in given) != 1:
            raise Failure(Code.BAD_INPUT, "give the prompt by one of --prompt, --prompt-file and --from")
        prompt = _read(self.prompt_file) if self.prompt_file else self.prompt
        told = {"name": self.name, "replica": self.replica, "prompt": prompt, "from": self.of}
        told |= {"context": self.context, "perception": self.perception}
        layers = {"layers": layers_in(_read(self.layers))} if self.layers else {}
        return {**{name: whole(text) for name, text in told.items() if text}, **layers}


def create(where: Where, wanted: NewConversation) -> int:
    """Create a conversation; print where people join it."""
    server = where.find()
    _tell_created(where, _ask(server, CONVERSATIONS, wanted.body()))
    return DONE


async def hold(where: Where, wanted: NewConversation) -> int:
    """Create a conversation and end it when the command is ended."""
    server = where.find()
    made = _ask(server, CONVERSATIONS, wanted.body())
    try:
        _tell_created(where, made)
        tell("Ctrl-C ends it")
        return await asyncio.get_running_loop().create_future()
    finally:
        _tell_ended(where, _ask(server, f"{CONVERSATIONS}/{made.get('id')}/end", {}))


def conversations(where: Where, status: str) -> int:
    """Print the account's conversations."""
    found = _ask(where.find(), f"{CONVERSATIONS}?status={status}" if status else CONVERSATIONS)
    if where.json:
        say(_json(found))
        return DONE
    rows = [{**row, "ours": "yes" if row.get("ours") is True else ""} for row in _rows(found, "conversations")]
    names = {"id": "id", "status": "status", "ours": "OnAir's", "name": "name", "url": "url", "created_at": "created"}
    _show(rows, names, "there is no conversation")
    return DONE


def end(where: Where, id_: str, *, everything: bool) -> int:
    """End one conversation, or all that OnAir created; 1 if one could not be ended."""
    if bool(id_) == everything:
        raise Failure(Code.BAD_INPUT, "name the conversation to end, or say --all for all that OnAir created")
    if id_ and not (id_.isascii() and id_.replace("_", "").replace("-", "").isalnum()):
        raise Failure(Code.BAD_INPUT, "the id of a conversation has letters, digits, _ and - only; see `list`")
    path = f"{CONVERSATIONS}/end" if everything else f"{CONVERSATIONS}/{id_}/end"
    return _tell_ended(where, _ask(where.find(), path, {}))


def create_persona(where: Where, wanted: NewPersona) -> int:
    """Create a persona; print its id."""
    made = _ask(where.find(), PERSONAS, wanted.body())
    say(_json(made) if where.json else tame(str(made.get("id"))))
    return DONE


def personas(where: Where) -> int:
    """Print the account's personas."""
    found = _ask(where.find(), PERSONAS)
    if where.json:
        say(_json(found))
        return DONE
    names = {"id": "id", "name": "name", "replica": "replica", "created_at": "created"}
    _show(_rows(found, "personas"), names, "there is no persona")
    return DONE


def layers_in(text: str) -> dict[str, Any]:
    """Layers written as JSON or YAML; raises Failure(BAD_INPUT)."""
    try:
        found: object = yaml.safe_load(text)
        json.dumps(found)
    except (yaml.YAMLError, ValueError, TypeError, RecursionError) as error:
        what = " ".join(str(error).split())
        raise Failure(Code.BAD_INPUT, f"--layers is neither JSON nor YAML that JSON can say: {what}") from error
    if not isinstance(found, dict):
        raise Failure(Code.BAD_INPUT, "--layers must hold an object: {llm: {…}, tts: {…}, stt: {…}, perception: {…}}")
    return cast("dict[str, Any]", found)


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            body = file.read(MOST_BYTES + 1)
        text = body.decode()
    except (OSError, UnicodeDecodeError) as error:
        raise Failure(Code.BAD_INPUT, f"cannot read {path}: {error}") from error
    if len(body) > MOST_BYTES:
        raise Failure(Code.TOO_LARGE, f"{path} has more than {MOST_BYTES} bytes")
    return text


def _seconds(text: str) -> int:
    """`90`, `90s`, `30m`; raises Failure(BAD_INPUT)."""
    try:
        return int(text) if text.isascii() and text.isdecimal() else round(seconds(text))
    except Failure as failure:
        raise Failure(Code.BAD_INPUT, f"--max-duration {failure.sentence}") from failure


def _ask(server: Server, path: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The gateway's answer: to a GET, or with a body to a POST; raises Failure with the gateway's own code and reason."""
    with server.open() as client:
        answer = client.get(path) if body is None else client.post(path, json=body)
    found = _object(answer.content)
    if answer.status_code != OK:
        failure = servers.refusal(answer.status_code, answer.content, server.url)
        told = found.get("code")
        raise Failure(Code(told), failure.sentence) if told in {*Code} else failure
    return found


def _object(body: bytes) -> dict[str, Any]:
    try:
        found: object = json.loads(body)
    except (ValueError, RecursionError):
        found = None
    return cast("dict[str, Any]", found) if isinstance(found, dict) else {}


def _rows(found: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    rows = found.get(name)
    if not isinstance(rows, list):
        raise Failure(Code.ENGINE_BROKEN, f"the server sent no {name}; is it an OnAir gateway of this version?")
    return [cast("dict[str, Any]", row) for row in cast("list[object]", rows) if isinstance(row, dict)]


def _tell_created(where: Where, made: Mapping[str, Any]) -> None:
    if where.json:
        say(_json(made))
        return
    say(tame(str(made.get("url") or made.get("id"))))
    lasts = f"it lasts {made.get('max_duration')} s at most and costs until it ends"
    over = made.get("status") == "ended"
    tell(tame(f"conversation {made.get('id')}: {'a test, it has ended already' if over else lasts}"))


def _tell_ended(where: Where, done: Mapping[str, Any]) -> int:
    found = {name: _texts(done, name) for name in ("ended", "over", "failed")}
    if where.json:
        say(_json(done))
    else:
        for name, words in (("ended", "ended"), ("over", "was over"), ("failed", "goes on")):
            for each in found[name]:
                (tell if name == "failed" else say)(tame(f"{words} {each}"))
        if not any(found.values()):
            tell("OnAir has none that goes on")
    return FAILED if found["failed"] else DONE


def _texts(done: Mapping[str, Any], name: str) -> list[str]:
    value = done.get(name)
    return [str(each) for each in cast("list[object]", value)] if isinstance(value, list) else []


def _show(rows: Sequence[Mapping[str, Any]], names: Mapping[str, str], none: str) -> None:
    """A table; what a terminal could take for an order is blanked out."""
    if not rows:
        tell(none)
        return
    table = Table(box=None, pad_edge=False)
    for name, head in names.items():
        table.add_column(head, overflow="fold", no_wrap=name == "id")
    for row in rows:
        table.add_row(*(Text(tame(str(row.get(name) or ""))) for name in names))
    Console(highlight=False).print(table)


def _json(found: Mapping[str, Any]) -> str:
    return json.dumps(found, ensure_ascii=False, indent=2)
