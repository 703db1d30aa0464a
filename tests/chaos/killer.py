"""A killer that knows what its victim holds: it stops it, looks, and kills only inside a job, nobody's more than twice."""

import asyncio
import itertools
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, cast

from redis.exceptions import RedisError

from services.contract import streams
from services.contract.ingest import TurnRequested
from services.contract.llm import SentenceReady
from services.contract.message import BadMessageError
from services.ingest.core.items import Turn
from services.runtime import envelope
from services.runtime.bus import Bus
from services.runtime.show import Show
from tests.chaos.audience import POOL
from tests.chaos.stack import Worker

MOST = 2
"""A message dies of its third lost worker."""


@dataclass
class Killer:
    """Strikes at the workers of one service; remembers whom it hit with what in hand."""

    held: Callable[[Worker], Awaitable[list[str]]]
    """What the worker's process has in hand, by names that last."""
    most: int = MOST
    landed: int = 0
    missed: int = 0
    hits: Counter[str] = field(default_factory=Counter[str])
    """Message → how often its worker was killed."""

    async def strike(self, worker: Worker) -> bool:
        """Stop it, look, kill it if it is in a job that may be hit; otherwise let it go on. Whether it was killed."""
        if not worker.up.is_set():
            return False
        worker.pause()
        try:
            held = await self.held(worker)
        except (RedisError, OSError):
            held = []
        if not held or any(self.hits[name] >= self.most for name in held):
            worker.resume()
            self.missed += 1
            return False
        worker.kill()
        self.hits.update(held)
        self.landed += 1
        return True

    async def hunt(self, workers: list[Worker], kills: int, every_s: float, patience_s: float = 0.02) -> None:
        """Kill that often, one worker after the other where both are in a job, `every_s` seconds apart."""
        victims = itertools.cycle(workers)
        for _ in range(kills):
            while not await self.strike(next(victims)):
                await asyncio.sleep(patience_s)
            await asyncio.sleep(every_s)

    @property
    def worst(self) -> int:
        """How often the message that was hit most often was hit."""
        return max(self.hits.values(), default=0)


def speakers(bus: Bus, most: int = MOST) -> Killer:
    """Of tts workers: a job is a sentence, `turn/index`."""
    both = ((s.key(POOL), s.group) for s in (streams.SPEAK_CALL, streams.SPEAK_SHOW))
    return Killer(partial(pending, bus, tuple(both)), most)


def thinkers(bus: Bus, most: int = MOST) -> Killer:
    """Of llm workers: a job is a turn."""
    return Killer(partial(pending, bus, ((streams.TURNS.key(), streams.TURNS.group),)), most)


def directors(bus: Bus, rooms: Sequence[str], most: int = MOST) -> Killer:
    """Of ingest's processes: a job is an event that is on the floor of a room which the process directs."""
    return Killer(partial(directed, bus, rooms), most)


async def pending(bus: Bus, keys: Sequence[tuple[str, str]], worker: Worker) -> list[str]:
    """Entries of these (stream, group) that are pending for consumers of the worker's process."""
    work, names = cast("Any", bus.work), list[str]()
    for stream, group in keys:
        for one in await work.xpending_range(stream, group, "-", "+", 100):
            if worker.owns(_text(one["consumer"])):
                entries = await work.xrange(stream, one["message_id"], one["message_id"])
                names += [job_of(stream, fields.get(b"__data__", b"")) for _, fields in entries]
    return names


async def directed(bus: Bus, rooms: Sequence[str], worker: Worker) -> list[str]:
    """Events on the floors of the rooms whose lease the worker's process holds."""
    names: list[str] = []
    for room in rooms:
        holder = await bus.work.get(streams.LEASE.of(room))
        if worker.owns(_text(holder or b"")):
            notes = await Show(bus.work).floor(room)
            names += [event.id for note in notes for event in Turn.from_json(note).choice.events]
    return names


def job_of(stream: str, data: bytes) -> str:
    """What an entry is about, the same for each of its copies."""
    try:
        body = envelope.body(data)
        if stream == streams.TURNS.key():
            return TurnRequested.from_json(body).turn
        ready = SentenceReady.from_json(body)
    except BadMessageError:
        return "unknown"
    return f"{ready.turn}/{ready.index}"


def _text(value: bytes | str) -> str:
    return value.decode() if isinstance(value, bytes) else value
