"""`onair listen`: a conversation as it goes on, of a room or of Daily; `onair rooms check`: whether there is one to listen to."""

import asyncio
import re
import shutil
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from rich.cells import cell_len
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidURI

from onair import server as servers
from onair.drive import DONE, drive, say, tame, tell
from onair.runs import Notice, Run, Runs, parse
from onair.say import locate
from onair.server import Server
from onair.sockets import TRIES_S, connecting, unreached
from services.contract.failure import Code, Failure

PATH = "/ws"
DAILY = "daily:"
CHECK_S = 60.0
"""A join that is neither done nor failed by then is given up."""
FOUND = 200
TROUBLE = (OSError, TimeoutError, InvalidHandshake, InvalidURI, ConnectionClosed)
FULL = 1013
_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")


@dataclass(frozen=True)
class Wanted:
    """What the command line asked for."""

    conversation: str
    server: str = ""
    token: str = ""
    data: Path | None = None
    json: bool = False


class Screen:
    """Each run is a line: in a terminal while it grows, elsewhere once it is over."""

    def __init__(self) -> None:
        self._live = sys.stdout.isatty()
        self._runs = Runs()

    def said(self, run: Run) -> None:
        """Show it."""
        self._over(self._runs.feed(run))
        if self._live:
            sys.stdout.write(f"\r\x1b[K{_last(_line(run), shutil.get_terminal_size().columns - 1)}")
            sys.stdout.flush()

    def close(self) -> None:
        """What was still being said is over."""
        self._over(self._runs.end())

    def _over(self, run: Run | None) -> None:
        if run and self._live:
            sys.stdout.write("\r\x1b[K")
        if run:
            say(_line(run))


def _line(run: Run) -> str:
    return tame(f"{run.role}: {run.speech}")


def _last(text: str, columns: int) -> str:
    """The end of it, as much as fits."""
    text = text[-max(1, columns) :]
    while cell_len(text) > columns and len(text) > 1:
        text = text[1:]
    return text


def listen(wanted: Wanted) -> int:
    """Show it until Ctrl-C; raises Failure where it cannot be heard (any more)."""
    name = named(wanted.conversation)
    server = locate(wanted.server, wanted.token, wanted.data)
    return drive(Hearing(server, name, None if wanted.json else Screen()).hold(), on_term=DONE)


def named(conversation: str) -> str:
    """The id, without `daily:` before it; raises Failure(BAD_INPUT) for what cannot be one."""
    name = conversation.removeprefix(DAILY)
    if not _ID.fullmatch(name):
        raise Failure(Code.BAD_INPUT, "the id of a conversation, or a room's name, is 1 to 64 letters, digits, - or _")
    return name


class Hearing:
    """One conversation, over as many connections as it takes."""

    def __init__(self, server: Server, name: str, screen: Screen | None) -> None:
        """`screen`: None prints each app-message as it is."""
        self._server = server
        self._name = name
        self._screen = screen
        self._tries = 0
        self._known = False

    async def hold(self) -> int:
        """Until it is cancelled; raises Failure where nothing more comes."""
        try:
            while True:
                try:
                    async with _asking(self._server, self._name) as socket:
                        await self._show(socket)
                except TROUBLE as error:
                    await self._again(error)
        finally:
            self._close()

    async def _again(self, error: Exception) -> None:
        """Wait before the next try; raises Failure where there shall be none."""
        full = isinstance(error, ConnectionClosed) and error.rcvd and error.rcvd.code == FULL
        if full or not self._known or self._tries == len(TRIES_S):
            raise _why(self._server, error) from error
        self._close()
        if not self._tries:
            tell("the connection broke off; trying again")
        await asyncio.sleep(TRIES_S[self._tries])
        self._tries += 1

    async def _show(self, socket: ClientConnection) -> None:
        """Until the connection is over, which it says by ConnectionClosed."""
        while True:
            frame = str(await socket.recv())
            self._known, self._tries = True, 0
            match parse(frame):
                case Notice() as notice:
                    self._close()
                    _tell(notice, self._server, self._name)
                case Run() as run if self._screen:
                    self._screen.said(run)
                case _ if not self._screen:
                    say(tame(frame) if sys.stdout.isatty() else frame)
                case _:
                    pass

    def _close(self) -> None:
        if self._screen:
            self._screen.close()


@asynccontextmanager
async def _asking(server: Server, name: str) -> AsyncGenerator[ClientConnection]:
    async with connecting(server, PATH, {"v": "2"}) as socket:
        await socket.send(f"conversation_id:{name}")
        yield socket


def _tell(notice: Notice, server: Server, name: str) -> None:
    if notice.event == "joined":
        tell(f"listening to {name} at {server.url}; Ctrl-C ends")
    elif notice.waits:
        tell(f"onair: {tame(notice.why)}")
    elif notice.event == "error":
        raise _failure(notice)


def _failure(notice: Notice) -> Failure:
    code = notice.code if notice.code in set(Code) else Code.ENGINE_BROKEN
    return Failure(Code(code), tame(notice.why) or "the gateway says no more of it")


def _why(server: Server, error: Exception) -> Failure:
    close = error.rcvd if isinstance(error, ConnectionClosed) else None
    if close and close.code == FULL:
        return Failure(Code.BUSY, f"{server.url}: {tame(close.reason)}", retryable=True)
    return unreached(server, error)


def check(wanted: Wanted) -> int:
    """Say in one line that it can be listened to; raises Failure with the remedy where it cannot."""
    name = named(wanted.conversation)
    server = locate(wanted.server, wanted.token, wanted.data)
    if wanted.conversation.startswith(DAILY):
        return drive(joinable(server, name), on_term=DONE)
    with server.open() as client:
        answer = client.get(f"/rooms/{name}")
    if answer.status_code == servers.NOT_FOUND:
        remedy = f"put it under rooms: in onair.yaml, or ask for a conversation of Daily: {DAILY}{name}"
        raise Failure(Code.NOT_FOUND, f"{server.url} has no room {name}: {remedy}")
    if answer.status_code != FOUND:
        raise servers.refusal(answer.status_code, answer.content, server.url)
    say(f"ok: {server.url}/rooms/{name}")
    return DONE


async def joinable(server: Server, name: str) -> int:
    """Join it, as a listener does, and leave."""
    try:
        async with asyncio.timeout(CHECK_S), _asking(server, name) as socket:
            while True:
                notice = parse(str(await socket.recv()))
                if isinstance(notice, Notice) and notice.event == "error":
                    raise _failure(notice)
                if isinstance(notice, Notice) and notice.event == "joined":
                    await socket.send("disconnect")
                    say(f"ok: {name} of Daily was joined, and left again")
                    return DONE
    except TimeoutError as error:
        sentence = f"{server.url} says neither that {name} was joined nor that it failed; ingest's log says more"
        raise Failure(Code.ENGINE_SILENT, sentence) from error
    except TROUBLE as error:
        raise _why(server, error) from error
