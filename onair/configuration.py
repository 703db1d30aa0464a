"""`onair config`: says what a configuration says, and takes over those of other programs."""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from onair.adopt import adopt
from onair.draft import Draft, Known, render, render_env
from onair.drive import DONE, say, tame, tell
from onair.environment import machine
from onair.up import load
from services.contract.failure import Code, Failure
from services.runtime import config as configuration
from services.runtime.config import Config, seconds
from services.runtime.engines import TTS_ENGINES, Hearing, OpenAI, Speaking
from services.runtime.lines import line_of
from services.runtime.settings import common

ENV = ".env.imported"


def check(path: Path | None) -> int:
    """Print what the configuration says; raises Failure(BAD_CONFIG) which names the line of what is wrong."""
    path = path or common("onair", machine()).config_path
    config = load(path)
    sense(path, config)
    say(f"{path} is good")
    for line in told(config):
        say(f"  {tame(line)}")
    return DONE


def sense(path: Path, config: Config) -> None:
    """Raise Failure(BAD_CONFIG) for what the services would refuse at their start."""
    for part, options in (("llm", OpenAI), ("asr", Hearing), ("tts", Speaking)):
        try:
            options.model_validate(getattr(config.engines, part).get("openai", {}))
        except ValidationError as error:
            first = error.errors()[0]
            raise _wrong(path, ["engines", part, "openai", *map(str, first["loc"])], first["msg"]) from error
    if config.gateway.persona not in config.personas:
        known = ", ".join(sorted(config.personas)) or "none"
        what = f"nobody is called {config.gateway.persona!r}; known: {known}"
        raise _wrong(path, ["gateway", "persona"], what)
    for name, room in config.rooms.items():
        for kind, text in room.director.deadlines.model_dump().items():
            try:
                seconds(text)
            except Failure as failure:
                where = ["rooms", name, "director", "deadlines", kind]
                raise _wrong(path, where, failure.sentence) from failure


def _wrong(path: Path, loc: list[str], what: str) -> Failure:
    tree = yaml.compose(path.read_text(encoding="utf-8"), Loader=yaml.SafeLoader)
    return Failure(Code.BAD_CONFIG, f"{path}:{line_of(tree, loc)}: {'.'.join(loc)}: {what}")


def told(config: Config) -> list[str]:
    """The configuration in a few lines."""
    personas = (f"{name} ({each.language}, voice {each.voice})" for name, each in config.personas.items())
    voices = (f"{name} ({' → '.join(next(iter(e)) for e in each.engines)})" for name, each in config.voices.items())
    rooms = (
        f"{name} ({room.persona}, from {', '.join(next(iter(source)) for source in room.sources)})"
        for name, room in config.rooms.items()
    )
    engines = (
        f"{what} {_engine(single)}"
        for what, single in (("llm", config.engines.llm), ("asr", config.engines.asr), ("tts", config.engines.tts))
        if single
    )
    lines = [
        f"personas  {_list(personas)}",
        f"voices    {_list(voices)}",
        f"engines   {_list(engines, 'llm scripted, asr offline')}",
        f"rooms     {_list(rooms, 'none yet; a room is played as soon as it stands here')}",
        f"gateway   port {config.gateway.port}, {config.gateway.persona} answers chats",
    ]
    return [*lines, *(["network   through a proxy"] if config.network.proxy else [])]


def _engine(single: dict[str, dict[str, Any]]) -> str:
    name = next(iter(single))
    model = single[name].get("model", "")
    return f"{name} ({model})" if model else name


def _list(parts: Iterable[str], none: str = "none") -> str:
    return ", ".join(parts) or none


def take_over(file: Path, out: Path, *, force: bool) -> int:
    """Write the onair.yaml that another program's configuration comes to; say what was left out and why."""
    try:
        body = file.read_bytes()
    except OSError as error:
        raise Failure(Code.NOT_FOUND, f"cannot read {file} ({error.strerror}); name another file") from error
    draft = adopt(file.name, body, Known(configuration.SOURCES, TTS_ENGINES))
    env, secrets = out.with_name(ENV), render_env(draft)
    for path in (out, *([env] if secrets else [])):
        if path.exists() and not force:
            remedy = "name another by --out, or overwrite it by --force"
            raise Failure(Code.BAD_INPUT, f"{path} is there already; {remedy}")
    _write(out, render(draft), 0o666)
    if secrets:
        _write(env, secrets, 0o600)
    _report(draft, out, env if secrets else None)
    return DONE


def _write(path: Path, text: str, mode: int) -> None:
    """Write the file, readable from its first byte only to whom the mode says."""
    try:
        path.unlink(missing_ok=True)
        with open(path, "x", encoding="utf-8", opener=lambda name, flags: os.open(name, flags, mode)) as file:
            file.write(text)
    except OSError as error:
        raise Failure(Code.BAD_INPUT, f"cannot write {path} ({error.strerror}); name another by --out") from error


def _report(draft: Draft, out: Path, env: Path | None) -> None:
    say(f"{out}: taken over from {draft.origin}")
    for line in told(load(out)):
        say(f"  {tame(line)}")
    if env:
        say(f"{env}: what belongs into .env; look at it, then `cat {env} >> .env` and remove it")
    if draft.left:
        say(f"left out, and kept as comments of {out}:" if any(e.fragment for e in draft.left) else "left out:")
    for each in draft.left:
        say(f"  {tame(each.what)}: {each.why}")
    tell("`onair doctor` says what is missing")
