"""Says which pools live, and looks after the sentences that nobody speaks: hands them on, or gives them up."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import structlog
from redis.asyncio import Redis

from services.contract import streams
from services.contract.llm import SentenceReady
from services.contract.message import BadMessageError
from services.runtime import envelope, voices
from services.runtime.bus import ensure_group
from services.runtime.delivery import RECLAIM_IDLE_MS
from services.runtime.work import Entry, Fence
from services.tts.core.handover import Fate, fate
from services.tts.core.ports import Engine
from services.tts.handlers.speak import Desk

log = structlog.get_logger(__name__)
SWEPT = 100
"""Entries of a stream that are looked at in one sweep, the oldest first."""


@dataclass(frozen=True)
class Pools:
    """Which pools have a living worker."""

    redis: Redis
    """Work."""
    me: str
    names: Sequence[str]
    """All pools that a voice may name."""

    async def beat(self, engines: Sequence[Engine]) -> None:
        """Say that these engines' pools live, if the engines can speak."""
        for engine in engines:
            if not await engine.check():
                await self.redis.set(streams.POOL.of(engine.pool), self.me, px=streams.LEASE_MS)

    async def living(self) -> set[str]:
        """Pools whose worker has said so lately."""
        found = cast("list[bytes | None]", await self.redis.mget([streams.POOL.of(name) for name in self.names]))
        return {name for name, who in zip(self.names, found, strict=True) if who is not None}


@dataclass
class Janitor:
    """Sweeps the streams of its own pools, and of pools without a living worker."""

    desk: Desk
    pools: Pools
    own: Sequence[str]
    _told: set[str] = field(default_factory=set[str])
    """Skipped sentences whose entries are still in the hands of a worker."""

    async def sweep(self) -> None:
        """Look at all that waits."""
        living, seen = await self.pools.living(), set[str]()
        for pool in self.pools.names:
            if pool in self.own or pool not in living:
                for stream in (streams.SPEAK_CALL, streams.SPEAK_SHOW):
                    seen |= await self._sweep(stream.key(pool), stream.group, living)
        self._told &= seen

    async def _sweep(self, stream: str, group: str, living: set[str]) -> set[str]:
        """Look at one stream; the ids that are there."""
        found = cast("list[tuple[bytes, dict[bytes, bytes]]]", await self.pools.redis.xrange(stream, count=SWEPT))
        pool = stream.split(":")[1]
        for id_, fields in found:
            entry = Entry(stream, group, id_.decode(), f"{self.pools.me}-janitor")
            try:
                ready = SentenceReady.from_json(envelope.body(fields.get(b"__data__", b"")))
            except BadMessageError:
                continue  # its reader buries it
            await self._consider(entry, ready, pool, living)
        return {id_.decode() for id_, _ in found}

    async def _consider(self, entry: Entry, ready: SentenceReady, pool: str, living: set[str]) -> None:
        """Hand one sentence on, give it up, or leave it."""
        now = self.desk.clock()
        verdict = fate(ready.deadline_ms, 0, now, living=pool in living)
        if verdict is Fate.WAITS or entry.id in self._told:
            return
        if await self.desk.work.stale(Fence(ready.session, ready.epoch, ready.turn)):
            await self._finish(entry)
        elif verdict is Fate.MOVES:
            await self._move(entry, ready, living)
        elif fate(ready.deadline_ms, (await self.desk.look(ready)).sound_ms, now, living=True) is Fate.SKIPPED:
            await self.desk.skip(ready, "late")
            self._told.add(entry.id)
            await self._finish(entry)

    async def _move(self, entry: Entry, ready: SentenceReady, living: set[str]) -> None:
        """To the voice's next engine whose pool lives; where there is none it waits, for its own to come back."""
        engines = self.desk.known.get(ready.voice, ())
        at = voices.after(engines, ready.engine_at, living)
        if at is None or (pool := voices.pool(engines, at)) not in living or not await self._claim(entry):
            return
        log.warning("handing a sentence on: its pool has no worker", stream=entry.stream, turn=ready.turn, pool=pool)
        target = streams.speak(pool, ready.kind)
        await self.desk.work.move(entry, target, ready.model_copy(update={"engine_at": at}))

    async def _finish(self, entry: Entry) -> None:
        if await self._claim(entry):
            await self.desk.work.finish(entry)

    async def _claim(self, entry: Entry) -> bool:
        """Take an entry that nobody was given, or whose worker is silent; False if a worker has it."""
        await ensure_group(self.pools.redis, entry.stream, entry.group)
        claimed = await cast("Any", self.pools.redis).xclaim(
            entry.stream, entry.group, entry.me, RECLAIM_IDLE_MS, [entry.id], force=True, justid=True
        )
        return bool(claimed)
