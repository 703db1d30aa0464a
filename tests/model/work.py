"""The work broker in memory: every commit of `services.runtime.work.Work` with the same verdicts, without a server."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import cast

from redis.asyncio import Redis

from services.contract import streams
from services.contract.message import Message
from services.runtime.work import Answer, Entry, Fence, Verdict, Work

Body = Message | Mapping[str, str | bytes]
"""What an entry holds: a message, or the fields of a dead letter."""


@dataclass
class Held:
    """One delivered entry that is not acknowledged."""

    me: str
    deliveries: int = 1


@dataclass
class Group:
    """A consumer group, made at the stream's beginning."""

    delivered: int = 0
    pending: dict[str, Held] = field(default_factory=dict[str, Held])


@dataclass
class Told:
    """What is kept of one turn: its answer and its sound."""

    sentences: dict[int, str] = field(default_factory=dict[int, str])
    count: int | None = None
    reason: str = ""
    dropped: str = ""
    ends: dict[int, str] = field(default_factory=dict[int, str])
    attempts: dict[int, int] = field(default_factory=dict[int, int])


class ModelWork(Work):
    """Same methods, same verdicts. Nothing expires; `silence` is the kill switch; `drop` is the director's mark."""

    def __init__(self) -> None:
        super().__init__(cast("Redis", None))
        self.silence = False
        self.entries: dict[str, dict[str, Body]] = {}
        self.groups: dict[tuple[str, str], Group] = {}
        self.turns: dict[str, Told] = {}
        self.epochs: dict[str, int] = {}
        self._ids = 0

    # --- the streams

    async def add(self, stream: str, body: Body) -> str:
        """XADD; the id."""
        self._ids += 1
        id_ = f"{self._ids}-0"
        self.entries.setdefault(stream, {})[id_] = body
        return id_

    async def read_group(self, stream: str, group: str, me: str) -> tuple[Entry, Body] | None:
        """XREADGROUP COUNT 1: the oldest entry that was never delivered."""
        held = self.group(stream, group)
        for id_, body in self.entries.get(stream, {}).items():
            if (number := int(id_.partition("-")[0])) > held.delivered:
                held.delivered = number
                held.pending[id_] = Held(me)
                return Entry(stream, group, id_, me), body
        return None

    async def claim(self, stream: str, group: str, id_: str, me: str) -> tuple[Entry, Body] | None:
        """XCLAIM without a minimum of idleness: another delivery; None if the entry is not pending."""
        if (held := self.group(stream, group).pending.get(id_)) is None:
            return None
        held.me, held.deliveries = me, held.deliveries + 1
        return Entry(stream, group, id_, me), self.entries[stream][id_]

    async def pending(self, stream: str, group: str) -> dict[str, Held]:
        """XPENDING: what is delivered and not acknowledged, by id."""
        return dict(self.group(stream, group).pending)

    async def length(self, stream: str) -> int:
        """XLEN."""
        return len(self.entries.get(stream, {}))

    async def drop(self, turn: str, reason: str) -> None:
        """Mark the turn as dropped, as the director does when it settles a turn."""
        self.told(turn).dropped = self.told(turn).dropped or reason

    def group(self, stream: str, group: str) -> Group:
        """The group, made where it is not there."""
        return self.groups.setdefault((stream, group), Group())

    def told(self, turn: str) -> Told:
        """What is kept of the turn."""
        return self.turns.setdefault(turn, Told())

    # --- the commits

    def _holds(self, entry: Entry) -> bool:
        held = self.group(entry.stream, entry.group).pending.get(entry.id)
        return held is not None and held.me == entry.me

    def _finish(self, entry: Entry) -> None:
        self.group(entry.stream, entry.group).pending.pop(entry.id, None)
        self.entries.get(entry.stream, {}).pop(entry.id, None)

    def _fence(self, entry: Entry, fence: Fence) -> Verdict | None:
        if not self._holds(entry):
            return Verdict.GONE
        if self._old(fence):
            self._finish(entry)
            return Verdict.STALE
        return None

    def _old(self, fence: Fence) -> bool:
        return self.epochs.get(fence.session, 0) > fence.epoch or self.silence or bool(self.told(fence.turn).dropped)

    async def say(
        self, entry: Entry, fence: Fence, index: int, text: str, out_stream: str, sentence: Message
    ) -> Verdict:
        """As `Work.say`."""
        if no := self._fence(entry, fence):
            return no
        told = self.told(fence.turn)
        if told.count is not None:
            return Verdict.DONE
        if index != len(told.sentences):
            return Verdict.ORDER
        told.sentences[index] = text
        await self.add(out_stream, sentence)
        return Verdict.OK

    async def count(self, entry: Entry, fence: Fence, reason: str) -> tuple[Verdict, int, str]:
        """As `Work.count`."""
        if no := self._fence(entry, fence):
            return no, 0, ""
        told = self.told(fence.turn)
        if told.count is None:
            told.count, told.reason = len(told.sentences), reason
        return Verdict.OK, told.count, told.reason

    async def end(self, turn: str) -> tuple[int, str]:
        """As `Work.end`."""
        told = self.told(turn)
        if told.count is None:
            told.count, told.reason = len(told.sentences), "cut" if told.sentences else "failed"
        return told.count, told.reason

    async def begin(self, entry: Entry, fence: Fence, index: int) -> tuple[Verdict, int]:
        """As `Work.begin`."""
        if no := self._fence(entry, fence):
            return no, 0
        told = self.told(fence.turn)
        if index in told.ends:
            return Verdict.DONE, 0
        told.attempts[index] = told.attempts.get(index, 0) + 1
        return Verdict.OK, told.attempts[index]

    async def spoken(self, entry: Entry, fence: Fence, index: int, samples: int) -> Verdict:
        """As `Work.spoken`."""
        if no := self._fence(entry, fence):
            return no
        value = f"spoken:{samples}"
        first = index not in self.told(fence.turn).ends
        self.told(fence.turn).ends.setdefault(index, value)
        self._finish(entry)
        return Verdict.OK if first else Verdict.DONE

    async def skip(self, turn: str, index: int, reason: str) -> str:
        """As `Work.skip`."""
        return self.told(turn).ends.setdefault(index, f"skipped:{reason}")

    async def move(self, entry: Entry, target: str, message: Message) -> Verdict:
        """As `Work.move`."""
        return await self._put(entry, target, message)

    async def hand_back(self, entry: Entry) -> Verdict:
        """As `Work.hand_back`."""
        return await self._put(entry, entry.stream, self.entries.get(entry.stream, {}).get(entry.id, {}))

    async def bury(self, entry: Entry, fields: dict[str, str | bytes]) -> Verdict:
        """As `Work.bury`."""
        return await self._put(entry, streams.DEAD, fields)

    async def _put(self, entry: Entry, target: str, body: Body) -> Verdict:
        if not self._holds(entry):
            return Verdict.GONE
        await self.add(target, body)
        self._finish(entry)
        return Verdict.OK

    async def finish(self, entry: Entry) -> Verdict:
        """As `Work.finish`."""
        if not self._holds(entry):
            return Verdict.GONE
        self._finish(entry)
        return Verdict.OK

    async def beat(self, entry: Entry) -> Verdict:
        """As `Work.beat`."""
        return Verdict.OK if self._holds(entry) else Verdict.GONE

    async def deliveries(self, entry: Entry) -> int:
        """As `Work.deliveries`."""
        return self.group(entry.stream, entry.group).pending[entry.id].deliveries if self._holds(entry) else 0

    async def stale(self, fence: Fence) -> bool:
        """As `Work.stale`."""
        return self._old(fence)

    async def answer(self, turn: str) -> Answer:
        """As `Work.answer`."""
        told = self.told(turn)
        return Answer(dict(told.sentences), told.count, told.reason, told.dropped, dict(told.ends))

    async def epoch(self, session: str) -> int:
        """As `Work.epoch`."""
        return self.epochs.get(session, 0)

    async def raise_epoch(self, session: str) -> int:
        """As `Work.raise_epoch`, without the channel."""
        self.epochs[session] = self.epochs.get(session, 0) + 1
        return self.epochs[session]
