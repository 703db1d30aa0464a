"""`onair say`: an operator's line, spoken as it is in a room."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from onair import server as servers
from onair.drive import DONE, say, tell
from onair.environment import machine
from onair.server import Server
from services.contract.failure import Code, Failure
from services.runtime.config import load
from services.runtime.settings import common, secret
from services.runtime.words import whole

DEMO_DATA, DEMO_NOTE, DEMO_ROOM = Path("data/demo"), "demo.yaml", "demo"
ACCEPTED = 202
NAME = "operator"


@dataclass(frozen=True)
class Wanted:
    """What the command line asked for; empty: the environment, a running `onair` or the configuration says."""

    text: str
    room: str = ""
    server: str = ""
    token: str = ""
    data: Path | None = None
    name: str = NAME


def say_it(wanted: Wanted) -> int:
    """Send the line; 0 as soon as the gateway has taken it over."""
    if not wanted.text.strip():
        raise Failure(Code.BAD_INPUT, "there is nothing to say; write the line behind `onair say`")
    server = locate(wanted.server, wanted.token, wanted.data)
    room = wanted.room or _room(server)
    body = {"kind": "say", "text": whole(wanted.text), "viewer": wanted.name}
    with server.open() as client:
        answer = client.post(f"/api/rooms/{room}/events", json=body)
    if answer.status_code != ACCEPTED:
        raise servers.refusal(answer.status_code, answer.content, server.url)
    say(_id(answer.content))
    tell(f"{room} says it as soon as what it is saying has ended")
    return DONE


def locate(url: str, token: str, data: Path | None) -> Server:
    """The server: the named one, else that of the `onair` in the data folder, else that of the demo."""
    environ = machine()
    folders = [data] if data else [common("onair", environ).data, DEMO_DATA]
    return servers.find(url, token or secret(environ, "ONAIR_TOKEN"), folders, environ)


def _room(server: Server) -> str:
    """The only room that can be meant; raises Failure(BAD_INPUT) with those that there are."""
    if server.folder and (server.folder / DEMO_NOTE).exists():
        return DEMO_ROOM
    path = common("onair", machine()).config_path
    rooms: Sequence[str] = list(load(path).rooms) if path.is_file() else []
    if len(rooms) != 1:
        known = f"; configured: {', '.join(sorted(rooms))}" if rooms else ""
        raise Failure(Code.BAD_INPUT, f"name the room by --room{known}")
    return rooms[0]


def _id(body: bytes) -> str:
    """The event's id; raises Failure(ENGINE_BROKEN) for an answer without one."""
    try:
        return str(json.loads(body)["id"])
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise Failure(
            Code.ENGINE_BROKEN, "the server took it without naming its id; is it an OnAir gateway?"
        ) from error
