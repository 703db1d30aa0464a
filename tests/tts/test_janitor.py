"""Pools and the janitor, on real brokers."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from services.contract import streams
from services.contract.llm import SentenceReady
from services.contract.tts import SentenceSkipped, SpeechChunk, SpeechStarted
from services.runtime import envelope, voices
from services.runtime.bus import Bus, ensure_group
from services.runtime.clock import now_ms
from services.runtime.delivery import RECLAIM_IDLE_MS
from services.runtime.sessions import Sessions
from services.runtime.work import Work
from services.tts.adapters.scripted import Scripted
from services.tts.handlers.janitor import Janitor, Pools
from services.tts.handlers.speak import Desk

OWN = "speak:a:show"
OTHER = "speak:b:show"


@dataclass
class Yard:
    """A janitor of pool `a`; the voice knows `a`, then `b`, then `c`. `shift` moves its clock, in milliseconds."""

    bus: Bus
    shift: int = 0
    work: Work = field(init=False)
    sessions: Sessions = field(init=False)
    pools: Pools = field(init=False)
    janitor: Janitor = field(init=False)

    def __post_init__(self) -> None:
        self.work, self.sessions = Work(self.bus.work), Sessions(self.bus)
        self.pools = Pools(self.bus.work, "me", ["a", "b", "c"])
        known: dict[str, voices.Engines] = {"v": [{"a": {}}, {"b": {}}, {"c": {}}], "w": [{"b": {}}]}
        desk = Desk(self.work, self.sessions, known, self.pools.living, lambda: now_ms() + self.shift)
        self.janitor = Janitor(desk, self.pools, ["a"])

    async def put(self, stream: str, due_in_ms: int, voice: str = "v", engine_at: int = 0) -> SentenceReady:
        ready = SentenceReady(
            turn="t",
            no=1,
            session="s",
            epoch=0,
            index=0,
            text="hello",
            speak="hello",
            voice=voice,
            engine_at=engine_at,
            deadline_ms=now_ms() + due_in_ms,
        )
        await ensure_group(self.bus.work, stream, "tts")
        await self.bus.work.xadd(stream, {"__data__": envelope.encode(ready)})
        return ready

    async def give(self, stream: str, *, idle_ms: int = 0) -> None:
        """Deliver the oldest entry to a worker who has been silent for that long."""
        found = cast("Any", await self.bus.work.xreadgroup("tts", "worker", {stream: ">"}, count=1))
        ((_, ((id_, _),)),) = found
        await self.bus.work.xclaim(stream, "tts", "worker", 0, [id_], idle=idle_ms, justid=True)

    async def lives(self, *pools: str) -> None:
        await self.pools.beat([Scripted(pool) for pool in pools])

    async def told(self) -> list[object]:
        return [item.message for item in await self.sessions.range("s")]

    async def lengths(self) -> dict[str, int]:
        names = [f"speak:{pool}:show" for pool in "abc"]
        found = {name: int(await self.bus.work.xlen(name)) for name in names}
        return {name: length for name, length in found.items() if length}


@pytest.fixture
async def yard(broker_url: str, live_url: str) -> AsyncIterator[Yard]:
    bus = Bus(broker_url, [live_url])
    yield Yard(bus)
    await bus.close()


SKIPPED = SentenceSkipped(turn="t", index=0, reason="late")


async def test_pools_that_can_speak_live(yard: Yard) -> None:
    """A worker says that its pools live for 3 s, but for an engine that cannot speak."""
    await yard.pools.beat([Scripted("a"), Scripted("b", missing="install it")])
    assert await yard.pools.living() == {"a"}
    assert 2_000 < await yard.bus.work.pttl(streams.POOL.of("a")) <= 3_000


async def test_what_is_not_due_waits(yard: Yard) -> None:
    """A sentence that is not late stays where it is, also one of a dead pool that is not due yet."""
    await yard.put(OWN, due_in_ms=-5_000)
    await yard.put(OTHER, due_in_ms=5_000)
    await yard.lives("a")
    await yard.janitor.sweep()
    assert await yard.lengths() == {OWN: 1, OTHER: 1}
    assert await yard.told() == []


async def test_what_nobody_took_is_skipped(yard: Yard) -> None:
    """Eight seconds after it was due a sentence that no worker took is skipped for all to see, and its order is gone."""
    await yard.put(OWN, due_in_ms=-8_100)
    await yard.lives("a")
    await yard.janitor.sweep()
    assert await yard.told() == [SKIPPED]
    assert (await yard.work.answer("t")).spoken == {0: "skipped:late"}
    assert await yard.lengths() == {}


async def test_what_a_stuck_worker_has_is_skipped_once(yard: Yard) -> None:
    """A sentence in the hands of a worker that beats is skipped, told once, and left to its worker to let go of."""
    await yard.put(OWN, due_in_ms=-8_100)
    await yard.give(OWN)
    await yard.lives("a")
    for _ in range(3):
        await yard.janitor.sweep()
    assert await yard.told() == [SKIPPED]
    assert await yard.lengths() == {OWN: 1}


async def test_what_a_dead_worker_had_is_let_go_of(yard: Yard) -> None:
    """The order of a worker that no longer beats goes with its skip."""
    await yard.put(OWN, due_in_ms=-8_100)
    await yard.give(OWN, idle_ms=RECLAIM_IDLE_MS + 100)
    await yard.lives("a")
    await yard.janitor.sweep()
    assert await yard.lengths() == {}


async def test_what_is_being_spoken_is_not_skipped(yard: Yard) -> None:
    """A sentence whose sound is still being made is not late, however long ago it was due."""
    ready = await yard.put(OWN, due_in_ms=-60_000)
    await yard.lives("a")
    started = SpeechStarted(turn="t", no=1, epoch=0, index=0, attempt=1, text=ready.text)
    await yard.sessions.publish("s", started)
    await yard.sessions.publish("s", SpeechChunk(turn="t", index=0, attempt=1, chunk=0, sample_offset=0), bytes(200))
    await yard.janitor.sweep()
    assert await yard.lengths() == {OWN: 1}
    yard.shift = 8_100
    await yard.janitor.sweep()
    assert (await yard.told())[-1] == SKIPPED


async def test_what_is_made_again_is_not_skipped(yard: Yard) -> None:
    """A sentence that another worker has taken over in the middle is not late while it makes again what was heard."""
    ready = await yard.put(OWN, due_in_ms=-60_000)
    await yard.lives("a")
    started = SpeechStarted(turn="t", no=1, epoch=0, index=0, attempt=1, text=ready.text)
    await yard.sessions.publish("s", started)
    await yard.sessions.publish("s", SpeechChunk(turn="t", index=0, attempt=1, chunk=0, sample_offset=0), bytes(96_000))
    again = started.model_copy(update={"attempt": 2, "from_sample": 48_000})
    await yard.sessions.publish("s", again)
    yard.shift = 9_900
    await yard.janitor.sweep()
    assert await yard.lengths() == {OWN: 1}
    yard.shift = 10_100
    await yard.janitor.sweep()
    assert (await yard.told())[-1] == SKIPPED


async def test_a_skip_that_comes_second(yard: Yard) -> None:
    """A sentence that was spoken meanwhile is not told as skipped."""
    await yard.put(OWN, due_in_ms=-8_100)
    await yard.bus.work.hset(streams.SPOKEN.of("t"), "0", "spoken:5")
    await yard.lives("a")
    await yard.janitor.sweep()
    assert await yard.told() == []


async def test_a_dead_pool_hands_on(yard: Yard) -> None:
    """A due sentence of a pool without a worker goes to the voice's next engine that has one."""
    await yard.put(OTHER, due_in_ms=-10, engine_at=1)
    await yard.lives("a", "c")
    await yard.janitor.sweep()
    assert await yard.lengths() == {"speak:c:show": 1}
    ((_, fields),) = cast("Any", await yard.bus.work.xrange("speak:c:show"))
    moved = SentenceReady.from_json(envelope.body(fields[b"__data__"]))
    assert moved.engine_at == 2


async def test_a_dead_pool_without_another_waits(yard: Yard) -> None:
    """Where the voice has no other living engine the sentence waits for its own to come back."""
    await yard.put(OTHER, due_in_ms=-10, voice="w")
    await yard.put("speak:c:show", due_in_ms=-10, engine_at=2)
    await yard.put("speak:b:show", due_in_ms=-10, engine_at=1)
    await yard.lives("a")
    await yard.janitor.sweep()
    assert await yard.lengths() == {OTHER: 2, "speak:c:show": 1}


async def test_a_worker_without_a_pool_keeps_its_sentence(yard: Yard) -> None:
    """A sentence that a worker still beats for is not taken from it, whatever its pool says."""
    await yard.put(OTHER, due_in_ms=-10, engine_at=1)
    await yard.give(OTHER)
    await yard.lives("a", "c")
    await yard.janitor.sweep()
    assert await yard.lengths() == {OTHER: 1}


async def test_an_interrupted_sentence_goes_quietly(yard: Yard) -> None:
    """A late sentence that nobody wants any more is let go of without a word."""
    await yard.put(OWN, due_in_ms=-8_100)
    await yard.work.raise_epoch("s")
    await yard.lives("a")
    await yard.janitor.sweep()
    assert await yard.lengths() == {}
    assert await yard.told() == []


async def test_living_pools_of_others_are_theirs(yard: Yard) -> None:
    """What waits in another pool that has a worker is that worker's to look after."""
    await yard.put(OTHER, due_in_ms=-60_000)
    await yard.lives("a", "b")
    await yard.janitor.sweep()
    assert await yard.lengths() == {OTHER: 1}


async def test_what_does_not_parse_is_left(yard: Yard) -> None:
    """An entry that is no sentence is left to its reader, and does not hide the next one."""
    await yard.bus.work.xadd(OWN, {"__data__": b"junk"})
    await yard.put(OWN, due_in_ms=-8_100)
    await yard.lives("a")
    await yard.janitor.sweep()
    assert await yard.told() == [SKIPPED]
    assert await yard.lengths() == {OWN: 1}
