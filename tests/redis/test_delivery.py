"""Delivery on a real broker: what is acknowledged was done, and what was not done is done by another."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from prometheus_client import REGISTRY

from services.contract import streams
from services.contract.failure import Code, Failure
from services.contract.ingest import TurnRequested
from services.runtime import delivery as module
from services.runtime import envelope
from services.runtime.bus import Bus, ensure_group
from services.runtime.delivery import Delivery, Duty, Job
from services.runtime.permits import Permits
from services.runtime.work import Entry, Verdict, Work

TURNS = streams.TURNS.key()
Handler = Callable[[Job[TurnRequested]], Awaitable[None]]


def turn(name: str = "t1") -> TurnRequested:
    return TurnRequested(
        turn=name, no=1, session="s", epoch=0, kind="chat", ask="hi", persona="host", requested_ms=1, deadline_ms=2
    )


@dataclass
class Bench:
    """One process's bus and work, and what its handlers saw."""

    bus: Bus
    work: Work
    seen: list[Job[TurnRequested]] = field(default_factory=list[Job[TurnRequested]])
    dead: list[tuple[str, Code]] = field(default_factory=list[tuple[str, Code]])
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def raw(self) -> Any:
        """The client without redis-py's half-known types."""
        return self.bus.work

    async def add(self, *names: str, stream: str = TURNS) -> None:
        for name in names:
            await self.raw.xadd(stream, {"__data__": envelope.encode(turn(name))})

    async def until(self, true: Callable[[], bool | Awaitable[bool]]) -> None:
        async with asyncio.timeout(20):
            while not (await answer if isinstance(answer := true(), Awaitable) else answer):
                await asyncio.sleep(0.01)

    async def left(self, stream: str = TURNS) -> int:
        return int(await self.raw.xlen(stream))

    def duty(self, handler: Handler, stream: str = TURNS, **more: Any) -> Duty[TurnRequested]:
        async def seen(job: Job[TurnRequested]) -> None:
            self.seen.append(job)
            await handler(job)

        async def dead(message: TurnRequested, failure: Failure) -> None:
            self.dead.append((message.turn, failure.code))

        return Duty(stream, "llm", TurnRequested, seen, dead, **more)

    async def finish(self, job: Job[TurnRequested]) -> None:
        await self.work.finish(job.entry)


@pytest.fixture
async def bench(broker_url: str, live_url: str) -> AsyncIterator[Bench]:
    bus = Bus(broker_url, [live_url])
    yield Bench(bus, Work(bus.work))
    await bus.close()


@pytest.fixture
async def start(bench: Bench) -> AsyncIterator[Callable[..., Awaitable[Delivery]]]:
    started: list[Delivery] = []

    async def run(*duties: Duty[TurnRequested]) -> Delivery:
        delivery = Delivery(bench.bus, bench.work, "llm")
        for duty in duties:
            delivery.attach(duty)
        await delivery.start()
        started.append(delivery)
        return delivery

    yield run
    for delivery in started:
        await delivery.drain(grace_s=0.2)


async def lost_by_another(bench: Bench, *names: str, idle_ms: int = module.RECLAIM_IDLE_MS) -> None:
    """Entries that a worker took and never finished."""
    await ensure_group(bench.bus.work, TURNS, "llm")
    await bench.add(*names)
    await bench.raw.xreadgroup("llm", "gone", {TURNS: ">"}, count=len(names))
    for entry in await bench.raw.xpending_range(TURNS, "llm", "-", "+", len(names)):
        await bench.raw.execute_command("XCLAIM", TURNS, "llm", "gone", 0, entry["message_id"], "IDLE", idle_ms)


async def test_what_was_published_before_the_first_start_is_done(
    bench: Bench, start: Callable[..., Awaitable[Delivery]]
) -> None:
    """A service that starts late loses nothing."""
    await bench.add("t1", "t2")
    await start(bench.duty(bench.finish))
    await bench.until(lambda: len(bench.seen) == 2)
    await bench.until(lambda: _is_zero(bench.left()))
    assert [job.message.turn for job in bench.seen] == ["t1", "t2"]
    assert bench.seen[0].fence.turn == "t1"


async def _is_zero(number: Awaitable[int]) -> bool:
    return await number == 0


async def test_a_lost_workers_entry_is_done_by_another(bench: Bench, start: Callable[..., Awaitable[Delivery]]) -> None:
    """What a worker took and never finished is reclaimed, and counts its deliveries."""
    await lost_by_another(bench, "t1")
    await start(bench.duty(bench.finish))
    await bench.until(lambda: _is_zero(bench.left()))
    assert [job.delivery for job in bench.seen] == [3]


async def test_an_entry_that_ended_three_workers_is_buried(
    bench: Bench, start: Callable[..., Awaitable[Delivery]]
) -> None:
    """A fourth worker does not try it: it tells the world and keeps the bytes."""
    await lost_by_another(bench, "t1")
    for _ in range(2):
        pending = await bench.raw.xpending_range(TURNS, "llm", "-", "+", 1)
        id_ = pending[0]["message_id"]
        await bench.raw.execute_command("XCLAIM", TURNS, "llm", "gone", 0, id_, "IDLE", module.RECLAIM_IDLE_MS)
    await start(bench.duty(bench.finish))
    await bench.until(lambda: _is_zero(bench.left()))
    assert bench.seen == []
    assert bench.dead == [("t1", Code.WORKER_LOST)]
    letters = await bench.raw.xrange(streams.DEAD)
    assert letters[0][1][b"code"] == b"worker_lost"
    assert TurnRequested.from_json(envelope.body(letters[0][1][b"was:__data__"])) == turn("t1")


async def test_a_retryable_failure_is_tried_three_times(
    bench: Bench, start: Callable[..., Awaitable[Delivery]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Then it is buried with its reason."""
    monkeypatch.setattr(module, "PAUSES_S", (0.0, 0.0))

    async def refuse(_: Job[TurnRequested]) -> None:
        raise Failure(Code.ENGINE_SILENT, "no answer", retryable=True)

    await bench.add("t1")
    await start(bench.duty(refuse))
    await bench.until(lambda: _is_zero(bench.left()))
    assert len(bench.seen) == 3
    assert bench.dead == [("t1", Code.ENGINE_SILENT)]


async def test_a_final_failure_is_tried_once(bench: Bench, start: Callable[..., Awaitable[Delivery]]) -> None:
    """What can never succeed is not tried again; a bug counts as such."""

    async def break_(job: Job[TurnRequested]) -> None:
        raise Failure(Code.BAD_INPUT, "no") if job.message.turn == "t1" else KeyError("bug")

    await bench.add("t1", "t2")
    await start(bench.duty(break_))
    await bench.until(lambda: _is_zero(bench.left()))
    assert bench.dead == [("t1", Code.BAD_INPUT), ("t2", Code.INTERNAL)]
    assert len(bench.seen) == 2


async def test_a_message_that_does_not_parse_is_buried_and_the_stream_goes_on(
    bench: Bench, start: Callable[..., Awaitable[Delivery]]
) -> None:
    """Its bytes and the reason are kept."""
    await bench.raw.xadd(TURNS, {"__data__": b'{"turn": 3}'})
    await bench.add("t2")
    await start(bench.duty(bench.finish))
    await bench.until(lambda: _is_zero(bench.left()))
    letters = await bench.raw.xrange(streams.DEAD)
    assert [(fields[b"code"], fields[b"was:__data__"]) for _, fields in letters] == [(b"bad_message", b'{"turn": 3}')]
    assert [job.message.turn for job in bench.seen] == ["t2"]


async def test_a_job_ends_when_its_entry_is_anothers(
    bench: Bench, start: Callable[..., Awaitable[Delivery]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The beat notices that another owns the entry and cancels the job."""
    monkeypatch.setattr(module, "BEAT_S", 0.02)
    ended = asyncio.Event()

    async def work_on(_: Job[TurnRequested]) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    await bench.add("t1")
    await start(bench.duty(work_on))
    await bench.until(lambda: bool(bench.seen))
    id_ = bench.seen[0].entry.id
    await bench.raw.xclaim(TURNS, "llm", "thief", 0, [id_])
    async with asyncio.timeout(20):
        await ended.wait()
    assert await bench.work.finish(Entry(TURNS, "llm", id_, "thief")) is Verdict.OK


async def test_a_beat_after_the_jobs_own_end_does_not_cut_it(
    bench: Bench, start: Callable[..., Awaitable[Delivery]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A beat that finds the entry gone because the job has just finished it lets the job return, and it is counted."""
    monkeypatch.setattr(module, "BEAT_S", 0.02)
    beat, gone, labels = bench.work.beat, asyncio.Event(), {"stream": TURNS, "outcome": "done"}
    before = REGISTRY.get_sample_value("onair_jobs_total", labels) or 0

    async def tell(entry: Entry) -> Verdict:
        verdict = await beat(entry)
        if verdict is Verdict.GONE:
            gone.set()
        return verdict

    async def finish(job: Job[TurnRequested]) -> None:
        await bench.finish(job)
        await gone.wait()
        await bench.raw.ping()

    monkeypatch.setattr(bench.work, "beat", tell)
    await bench.add("t1")
    await start(bench.duty(finish))
    await bench.until(lambda: REGISTRY.get_sample_value("onair_jobs_total", labels) == before + 1)


async def test_sigterm_hands_back_what_has_not_ended(bench: Bench, start: Callable[..., Awaitable[Delivery]]) -> None:
    """The entry is new again: another worker gets it at once as a first delivery."""

    async def work_on(_: Job[TurnRequested]) -> None:
        await asyncio.Event().wait()

    await bench.add("t1")
    first = await start(bench.duty(work_on))
    await bench.until(lambda: bool(bench.seen))
    await first.drain(grace_s=0.05)
    found = await bench.raw.xreadgroup("llm", "next", {TURNS: ">"}, count=1)
    id_ = found[0][1][0][0].decode()
    assert await bench.work.deliveries(Entry(TURNS, "llm", id_, "next")) == 1
    assert await bench.left() == 1


async def test_calls_come_before_shows_and_a_full_house_hands_back(
    bench: Bench, start: Callable[..., Awaitable[Delivery]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With one permit, a waiting call is served next; a show's sentence that waits too long goes back as new."""
    monkeypatch.setattr(module, "SHOW_PATIENCE_S", 0.1)
    gate, permits = asyncio.Event(), Permits(1)

    async def wait(job: Job[TurnRequested]) -> None:
        await gate.wait()
        await bench.finish(job)

    call, show = streams.speak("p", "call"), streams.speak("p", "room")
    await start(
        bench.duty(wait, call, permits=permits, urgent=True, workers=2),
        bench.duty(wait, show, permits=permits),
    )
    await bench.add("c1", stream=call)
    await bench.until(lambda: len(bench.seen) == 1)
    before = (await bench.raw.xadd(show, {"__data__": envelope.encode(turn("s1"))})).decode()
    await bench.add("c2", stream=call)

    async def handed_back() -> bool:
        entries = await bench.raw.xrange(show)
        return bool(entries) and entries[0][0].decode() != before

    await bench.until(handed_back)
    gate.set()
    await bench.until(lambda: len(bench.seen) == 3)
    assert [job.message.turn for job in bench.seen] == ["c1", "c2", "s1"]


async def test_a_lost_group_is_made_again(bench: Bench, start: Callable[..., Awaitable[Delivery]]) -> None:
    """Nothing that was not finished is lost with it."""
    await start(bench.duty(bench.finish))
    await bench.raw.xgroup_destroy(TURNS, "llm")
    await bench.add("t1")
    await bench.until(lambda: bool(bench.seen))
    await bench.until(lambda: _is_zero(bench.left()))


async def test_a_broker_that_refuses_reads_does_not_spin_the_reader(
    bench: Bench, start: Callable[..., Awaitable[Delivery]]
) -> None:
    """While the stream's key is of a wrong type every read is an error; a few tries a second, then it goes on."""
    await start(bench.duty(bench.finish))
    await bench.raw.set(TURNS, "x")
    asked = int((await bench.raw.info("commandstats")).get("cmdstat_xreadgroup", {"calls": 0})["calls"])
    await asyncio.sleep(1)
    again = int((await bench.raw.info("commandstats"))["cmdstat_xreadgroup"]["calls"])
    assert again - asked < 20
    await bench.raw.delete(TURNS)
    await bench.add("t1")
    await bench.until(lambda: bool(bench.seen))


async def test_a_broker_that_is_not_there_is_named(bench: Bench) -> None:
    """A bus that answers has no problem; one that does not is named with the remedy."""
    assert await bench.bus.check() == ""
    nobody = Bus("redis://127.0.0.1:1", ["redis://127.0.0.1:1"])
    assert "the work broker does not answer" in await nobody.check()
    with pytest.raises(Failure, match="is it running"):
        await nobody.ready(patience_s=0)
    await nobody.close()
