"""What the state machine stands on: the two brokers, once in memory, once real, behind the same methods."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Coroutine
from typing import Any, TypeVar, cast

from redis.asyncio import Redis

from services.contract import streams
from services.contract.ingest import TurnRequested
from services.contract.llm import SentenceReady
from services.contract.message import Message
from services.runtime import envelope
from services.runtime.bus import Bus, ensure_group
from services.runtime.sessions import Sessions
from services.runtime.work import Entry, Work
from tests.model.sessions import ModelSessions
from tests.model.work import ModelWork

T = TypeVar("T")
Taken = tuple[Entry, Message] | None
Fields = dict[bytes, bytes]


def group_of(stream: str) -> str:
    """The consumer group of a work stream."""
    return "tts" if stream.startswith("speak") else "llm"


class Ground(ABC):
    """Both brokers; redis-py's or the model's commits, and the stream operations of a consumer."""

    work: Work
    sessions: Sessions

    @abstractmethod
    def run(self, awaitable: Coroutine[Any, Any, T]) -> T:
        """Await it to its end."""

    @abstractmethod
    async def add(self, stream: str, message: Message) -> None:
        """XADD."""

    @abstractmethod
    async def take(self, stream: str, me: str) -> Taken:
        """XREADGROUP COUNT 1."""

    @abstractmethod
    async def claim(self, stream: str, id_: str, me: str) -> Taken:
        """XCLAIM, as if it had been idle for long; None if it is not there any more."""

    @abstractmethod
    async def pending(self, stream: str) -> list[str]:
        """Ids that are delivered and not acknowledged."""

    @abstractmethod
    async def length(self, stream: str) -> int:
        """XLEN."""

    @abstractmethod
    async def drop(self, turn: str, reason: str) -> None:
        """The director's mark on the answer."""

    @abstractmethod
    async def lose(self, session: str) -> None:
        """All of the session is gone."""

    @abstractmethod
    async def dead(self, turn: str) -> list[str]:
        """What of the turn lies in the dead letters: its sentences' indices, `-` for the turn itself."""

    @abstractmethod
    async def close(self) -> None:
        """Leave nothing behind."""


class ModelGround(Ground):
    """In memory; nothing in it ever waits, so no event loop is needed."""

    def __init__(self, work: ModelWork | None = None) -> None:
        self.model = self.work = work or ModelWork()
        self.live = self.sessions = ModelSessions()

    def run(self, awaitable: Coroutine[Any, Any, T]) -> T:
        """Await it to its end."""
        try:
            awaitable.send(None)
        except StopIteration as end:
            return cast("T", end.value)
        raise AssertionError("the model waited")

    async def add(self, stream: str, message: Message) -> None:
        """XADD."""
        await self.model.add(stream, message)

    async def take(self, stream: str, me: str) -> Taken:
        """XREADGROUP COUNT 1."""
        return cast("Taken", await self.model.read_group(stream, group_of(stream), me))

    async def claim(self, stream: str, id_: str, me: str) -> Taken:
        """XCLAIM."""
        return cast("Taken", await self.model.claim(stream, group_of(stream), id_, me))

    async def pending(self, stream: str) -> list[str]:
        """XPENDING."""
        return list(await self.model.pending(stream, group_of(stream)))

    async def length(self, stream: str) -> int:
        """XLEN."""
        return await self.model.length(stream)

    async def drop(self, turn: str, reason: str) -> None:
        """HSETNX."""
        await self.model.drop(turn, reason)

    async def lose(self, session: str) -> None:
        """DEL."""
        self.live.lose(session)

    async def dead(self, turn: str) -> list[str]:
        """XRANGE."""
        letters = cast("list[dict[str, str]]", list(self.model.entries.get(streams.DEAD, {}).values()))
        return [letter["index"] for letter in letters if letter["turn"] == turn]

    async def close(self) -> None:
        """Nothing to do."""


class RealGround(Ground):
    """The brokers of this run: each step of the machine is one or two round trips and a write to the disk."""

    def __init__(self, runner: asyncio.Runner, bus: Bus) -> None:
        self._runner, self._bus = runner, bus
        self.work, self.sessions = Work(bus.work), Sessions(bus)
        self._known: set[str] = set()

    def run(self, awaitable: Coroutine[Any, Any, T]) -> T:
        """Await it to its end."""
        return self._runner.run(awaitable)

    async def add(self, stream: str, message: Message) -> None:
        """XADD, in the form that the scripts write."""
        await self._bus.work.xadd(stream, {"__data__": envelope.encode(message)})

    async def take(self, stream: str, me: str) -> Taken:
        """XREADGROUP COUNT 1."""
        await self._group(stream)
        found = cast("Any", await self._bus.work.xreadgroup(group_of(stream), me, {stream: ">"}, count=1))
        return self._taken(stream, me, found[0][1]) if found else None

    async def claim(self, stream: str, id_: str, me: str) -> Taken:
        """XCLAIM."""
        found = cast("Any", await self._bus.work.xclaim(stream, group_of(stream), me, 0, [id_]))
        return self._taken(stream, me, found)

    @staticmethod
    def _taken(stream: str, me: str, found: list[tuple[bytes, Fields]]) -> Taken:
        if not found:
            return None
        kind = SentenceReady if stream.startswith("speak") else TurnRequested
        id_, fields = found[0]
        return Entry(stream, group_of(stream), id_.decode(), me), kind.from_json(envelope.body(fields[b"__data__"]))

    async def _group(self, stream: str) -> None:
        if stream not in self._known:
            await ensure_group(self._bus.work, stream, group_of(stream))
            self._known.add(stream)

    async def pending(self, stream: str) -> list[str]:
        """XPENDING."""
        await self._group(stream)
        found = await self._bus.work.xpending_range(stream, group_of(stream), "-", "+", 1_000)
        return [entry["message_id"].decode() for entry in cast("list[dict[str, bytes]]", found)]

    async def length(self, stream: str) -> int:
        """XLEN."""
        return int(await self._bus.work.xlen(stream))

    async def drop(self, turn: str, reason: str) -> None:
        """HSETNX."""
        await cast("Any", self._bus.work.hsetnx(streams.ANSWER.of(turn), "dropped", reason))

    async def lose(self, session: str) -> None:
        """DEL; goes on when the clock of the broker has, as it has after a restart: its ids must grow."""
        live = self._bus.live(session)
        await live.delete(streams.SESSION.of(session))
        lost_at = await self._clock(live)
        while await self._clock(live) == lost_at:
            pass

    @staticmethod
    async def _clock(live: Redis) -> int:
        seconds, micros = await cast("Any", live).time()
        return seconds * 1_000 + micros // 1_000

    async def dead(self, turn: str) -> list[str]:
        """XRANGE."""
        found = cast("list[tuple[bytes, Fields]]", await self._bus.work.xrange(streams.DEAD))
        return [fields[b"index"].decode() for _, fields in found if fields[b"turn"].decode() == turn]

    async def close(self) -> None:
        """The streams are empty; what else was kept expires."""
        for stream in self._known:
            await self._bus.work.delete(stream)
