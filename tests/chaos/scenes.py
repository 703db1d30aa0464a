"""What several programs play: a configuration in which nothing costs anything, turns of their own, posts that are repeated."""

import asyncio
import contextlib
import json
import urllib.request
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from redis.exceptions import ResponseError

from services.contract import streams
from services.contract.ingest import LedgerRow, TurnRequested
from services.gateway.handlers.desk import BusDesk
from services.llm.core.sentences import literal
from services.runtime.bus import Bus
from services.runtime.clock import now_ms
from services.runtime.law import FINAL
from services.runtime.sessions import Sessions
from services.runtime.show import Show
from services.tts.adapters.scripted import render
from tests.chaos.ear import Ear, Line

ROOM = "r"


def config(*sources: dict[str, Any], say: str = "{message}", pace: float = 0, **director: Any) -> dict[str, Any]:
    """A room whose persona says what was written to it, in tones; `pace`: seconds for each 20 ms of sound."""
    kinds = ("danmaku", "super_chat", "guard", "gift", "enter", "follow", "share", "like")
    host = {"language": "en", "voice": "tone", "templates": {kind: {"ask": "", "say": say} for kind in kinds}}
    return {
        "personas": {"host": host, "friend": {"language": "en", "voice": "tone"}},
        "voices": {"tone": {"engines": [{"scripted": {"pace": pace}}]}},
        "engines": {"llm": {"scripted": {}}, "asr": {"scripted": {}}},
        "rooms": {ROOM: {"persona": "host", "sources": list(sources) or [{"api": {}}], "director": director}},
        "gateway": {"persona": "friend"},
    }


def order(session: str, no: int, epoch: int, say: str, *, kind: Any = "chat") -> TurnRequested:
    """A turn that speaks `say` and asks nobody."""
    now = now_ms()
    turn = f"{session}-{no}"
    return TurnRequested(
        turn=turn,
        no=no,
        session=session,
        epoch=epoch,
        kind=kind,
        ask="",
        say=say,
        persona="host",
        requested_ms=now,
        deadline_ms=now + 60_000,
        trace=turn,
    )


def wrong(lines: Sequence[Line], say: str, turn: str, *, joined: bool = False) -> list[str]:
    """What of a turn was not heard as it was ordered: each sentence once, in order, every sample of it.

    `joined`: a sentence may have been gone on with by another worker, which fades in where it joins.
    """
    pieces = literal(say)
    if [line.text for line in lines] != [piece.text for piece in pieces]:
        heard = " | ".join(line.text for line in lines)
        return [f"{turn}: heard {heard[:200]!r} instead of {len(pieces)} sentences"]
    return [
        f"{turn}: sentence {line.index} is not its sound ({line.samples} samples, {line.lost} lost, {line.reason!r})"
        for line, piece in zip(lines, pieces, strict=True)
        if not sounds(line, render(piece.speak), joined=joined) or line.lost or line.reason
    ]


def sounds(line: Line, pcm: bytes, *, joined: bool) -> bool:
    """Whether that was heard."""
    return len(line.pcm) == len(pcm) if joined else bytes(line.pcm) == pcm


@dataclass
class Desk:
    """What a program does by itself on the bus, and who listens for it."""

    bus: Bus
    sessions: Sessions
    show: Show
    gate: BusDesk
    ears: dict[str, Ear] = field(default_factory=dict[str, Ear])
    _tasks: dict[str, "asyncio.Task[None]"] = field(default_factory=dict[str, "asyncio.Task[None]"])

    def ear(self, session: str, made: Ear | None = None) -> Ear:
        """Somebody who listens to the session from its beginning."""
        if session not in self.ears:
            ear = self.ears[session] = made or Ear(session)
            self._tasks[session] = asyncio.ensure_future(ear.listen(self.sessions))
        return self.ears[session]

    async def dismiss(self, session: str) -> None:
        """Its ear listens no more; what it noted stays."""
        task = self._tasks.pop(session)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    async def close(self) -> None:
        for session in list(self._tasks):
            await self.dismiss(session)

    async def ledger(self, room: str = ROOM) -> dict[str, LedgerRow]:
        return await self.show.ledger(room)

    async def settled(self, ids: Sequence[str], patience_s: float, room: str = ROOM) -> bool:
        """Wait until the ledger says of each what became of it."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(patience_s):
                while True:
                    rows = await self.ledger(room)
                    if all(id_ in rows and rows[id_].state in FINAL for id_ in ids):
                        return True
                    await asyncio.sleep(0.1)
        return False

    async def in_hands(self) -> list[tuple[str, str, str]]:
        """(stream, id, consumer) of every entry that a worker holds."""
        found: list[tuple[str, str, str]] = []
        for key, group in (
            (streams.TURNS.key(), streams.TURNS.group),
            (streams.speak("scripted", "chat"), streams.SPEAK_CALL.group),
            (streams.speak("scripted", "room"), streams.SPEAK_SHOW.group),
        ):
            work: Any = self.bus.work
            entries: list[dict[str, Any]] = []
            with contextlib.suppress(ResponseError):  # a group that was destroyed holds nothing
                entries = await work.xpending_range(key, group, "-", "+", 1_000)
            found += [(key, one["message_id"].decode(), one["consumer"].decode()) for one in entries]
        return found


@asynccontextmanager
async def desk_of(bus: Bus) -> AsyncGenerator[Desk]:
    """Ends its listeners."""
    desk = Desk(bus, Sessions(bus), Show(bus.work), BusDesk(bus))
    try:
        yield desk
    finally:
        await desk.close()


def post(base: str, body: dict[str, Any], room: str = ROOM, *, timeout_s: float = 6) -> bool:
    """Write an event into the room; whether it was acknowledged."""
    data = json.dumps(body).encode()
    asked = urllib.request.Request(f"{base}/api/rooms/{room}/events", data, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(asked, timeout=timeout_s) as answer:
            return answer.status in {200, 202}
    except OSError:
        return False


async def verdict(desk: Desk, paid: dict[str, str], patience_s: float, room: str = ROOM) -> list[str]:
    """What is wrong with the answers to `paid` (event id → its words): lost, failed, or heard other than once."""
    ear = desk.ear(room)
    await desk.settled(list(paid), patience_s, room)
    rows = await desk.ledger(room)
    states = {id_: rows[id_].state if id_ in rows else "lost" for id_ in paid}
    lost = [id_ for id_, state in states.items() if state != "spoken"]
    await ear.until(lambda: all(ear.answered(id_) for id_ in paid if id_ not in lost), 10)
    heard = {id_: sum(line.text.count(words) for line in ear.lines if line.samples) for id_, words in paid.items()}
    problems = [f"{id_} is {states[id_]} ({rows[id_].reason if id_ in rows else 'no row'})" for id_ in lost]
    return problems + [f"{id_} was heard {n} times" for id_, n in heard.items() if n != 1 and id_ not in lost]
