"""Delivery while a broker is in trouble: healthy work is kept, neither lost nor struck out, and nothing spins."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import OutOfMemoryError, ReadOnlyError, ResponseError

from services.contract import streams
from services.contract.failure import Code, Failure
from services.contract.ingest import TurnRequested
from services.runtime import delivery as module
from services.runtime import envelope, reads, trouble
from services.runtime.bus import Bus, ensure_group
from services.runtime.delivery import Delivery, Job
from services.runtime.permits import Permits
from services.runtime.reads import Reads
from services.runtime.work import Entry, Verdict, Work
from tests.conftest import LIVE, WORK
from tests.redis.broker import Broker
from tests.redis.test_delivery import TURNS, Bench, bench, start, turn

__all__ = ["bench", "start"]
Start = Callable[..., Awaitable[Delivery]]


async def test_a_fault_of_a_broker_is_no_strike(bench: Bench, start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """However often a job ends by it, the entry is new each time, and is done in the end."""
    monkeypatch.setattr(module, "HEAL_S", 0.01)

    async def fail_often(job: Job[TurnRequested]) -> None:
        if len(bench.seen) < 6:
            raise RedisConnectionError("lost")
        await bench.finish(job)

    await bench.raw.xadd(TURNS, {"__data__": envelope.encode(turn()), "newer": b"\xff"})
    await start(bench.duty(fail_often))
    await bench.until(lambda: len(bench.seen) == 3)
    entries = await bench.raw.xrange(TURNS)
    assert [fields for _, fields in entries] == [{b"__data__": envelope.encode(turn()), b"newer": b"\xff"}]
    await bench.until(lambda: _gone(bench))
    assert [job.delivery for job in bench.seen] == [1] * 6
    assert bench.dead == []


async def _gone(bench: Bench) -> bool:
    return await bench.left() == 0


@pytest.mark.parametrize("error", [ResponseError("WRONGTYPE of a key"), FileNotFoundError("a model")])
async def test_an_error_that_comes_back_is_a_failure(bench: Bench, start: Start, error: Exception) -> None:
    """An error reply that tells nothing of the broker's state, or a missing file, is buried and not tried for ever."""

    async def fail(_: Job[TurnRequested]) -> None:
        raise error

    await bench.add("t1")
    await start(bench.duty(fail))
    await bench.until(lambda: _gone(bench))
    assert bench.dead == [("t1", Code.INTERNAL)]
    assert len(bench.seen) == 1


@pytest.mark.parametrize(
    ("error", "passes"),
    [
        (RedisConnectionError("x"), True),
        (OutOfMemoryError("x"), True),
        (ReadOnlyError("x"), True),
        (TimeoutError(), True),
        (ConnectionResetError(), True),
        (ResponseError("NOGROUP No such key"), True),
        (ResponseError("MISCONF disk"), True),
        (ResponseError("WRONGTYPE"), False),
        (FileNotFoundError(), False),
        (ValueError("NOGROUP"), False),
    ],
)
def test_what_passes_by_itself(error: Exception, passes: bool) -> None:  # noqa: FBT001  a parameter of the table
    """The broker's states and lost connections do; what was wrong with the request does not."""
    assert trouble.passes(error) is passes


async def test_a_beat_that_dies_ends_the_job(bench: Bench, start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody works on an entry that nobody keeps."""
    monkeypatch.setattr(module, "BEAT_S", 0.02)
    ended = asyncio.Event()

    async def die(_: Entry) -> Verdict:
        raise ValueError

    async def work_on(_: Job[TurnRequested]) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    monkeypatch.setattr(bench.work, "beat", die)
    await bench.add("t1")
    await start(bench.duty(work_on))
    async with asyncio.timeout(20):
        await ended.wait()


async def test_a_beat_that_the_broker_refuses_goes_on(
    bench: Bench, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The job is not ended by a broker in trouble: what it may commit, the broker decides."""
    monkeypatch.setattr(module, "BEAT_S", 0.02)
    beats = 0
    beat = bench.work.beat

    async def refuse(entry: Entry) -> Verdict:
        nonlocal beats
        beats += 1
        if beats < 5:
            raise RedisConnectionError("x")
        return await beat(entry)

    async def wait(job: Job[TurnRequested]) -> None:
        await bench.until(lambda: beats > 6)
        await bench.finish(job)

    monkeypatch.setattr(bench.work, "beat", refuse)
    await bench.add("t1")
    await start(bench.duty(wait))
    await bench.until(lambda: _gone(bench))
    assert len(bench.seen) == 1


async def test_what_failed_for_good_is_told_when_it_can_be_told(
    bench: Bench, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A broker in trouble delays the burial; a bug in the telling does not stop it."""
    monkeypatch.setattr(module, "HEAL_S", 0.01)
    told: list[str] = []

    async def refuse(_: Job[TurnRequested]) -> None:
        raise Failure(Code.BAD_INPUT, "no \ud800 surrogate")

    async def dead(message: TurnRequested, _: Failure) -> None:
        told.append(message.turn)
        if message.turn == "bug":
            raise KeyError
        if len(told) < 4:
            raise RedisConnectionError("x")

    duty = bench.duty(refuse)
    object.__setattr__(duty, "dead", dead)
    await bench.add("t1")
    await start(duty)
    await bench.until(lambda: _gone(bench))
    assert told == ["t1"] * 4
    await bench.add("bug")
    await bench.until(lambda: _gone(bench))
    assert told[4:] == ["bug"]
    assert await bench.left(streams.DEAD) == 2


async def test_no_permit_hands_back_the_very_bytes(bench: Bench, start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """A field of a newer publisher is there still when another takes the entry."""
    monkeypatch.setattr(module, "SHOW_PATIENCE_S", 0.01)
    permits = Permits(0)
    await start(bench.duty(bench.finish, permits=permits))
    body = envelope.encode(turn()).replace(b'"turn"', b'"newer":1,"turn"')
    first = await bench.raw.xadd(TURNS, {"__data__": body, "x": "y"})

    async def back() -> bool:
        entries = await bench.raw.xrange(TURNS)
        return bool(entries) and entries[0][0] != first

    await bench.until(back)
    permits.give()
    await bench.until(lambda: _gone(bench))
    assert bench.seen[0].delivery == 1


async def test_a_delivery_whose_answer_was_lost_is_found(bench: Bench) -> None:
    """The entry is pending for a reader that never got it: his next read gives it, and it counts as the first."""
    await ensure_group(bench.bus.work, TURNS, "llm")
    await bench.add("t1", "t2")
    again: set[bytes] = set()
    raw = bench.raw
    real = raw.xreadgroup
    lost: list[object] = []

    async def lossy(**kwargs: Any) -> Any:
        answer = await real(**kwargs)
        if not lost:
            lost.append(answer)
            raise RedisConnectionError("reset")
        return answer

    raw.xreadgroup = lossy
    guarded = Reads(raw, again)
    asked = {"groupname": "llm", "consumername": "me", "streams": {TURNS: ">"}, "count": 1, "block": 10}
    with pytest.raises(RedisConnectionError):
        await guarded.xreadgroup(**asked)
    names: list[str] = []
    for _ in range(2):
        [[_, [[id_, fields]]]] = await guarded.xreadgroup(**asked)
        names.append(TurnRequested.from_json(envelope.body(fields[b"__data__"])).turn)
        assert await bench.work.deliveries(Entry(TURNS, "llm", id_.decode(), "me")) == 1
    assert names == ["t1", "t2"]
    assert len(again) == 1


async def test_nothing_is_claimed_right_after_a_fault(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """The others are alive and look for the broker, too: their entries are theirs for a while."""
    monkeypatch.setattr(reads, "GRACE_S", 0.3)
    await ensure_group(bench.bus.work, TURNS, "llm")
    await bench.add("t1")
    await bench.raw.xreadgroup("llm", "alive", {TURNS: ">"}, count=1)
    raw = bench.raw
    real = raw.xautoclaim
    broken = True

    async def claim(**kwargs: Any) -> Any:
        if broken:
            raise RedisConnectionError("down")
        return await real(**kwargs)

    raw.xautoclaim = claim
    guarded = Reads(raw, set())
    asked = {"name": TURNS, "groupname": "llm", "consumername": "me", "min_idle_time": 0, "start_id": "0", "count": 1}
    with pytest.raises(RedisConnectionError):
        await guarded.xautoclaim(**asked)
    broken = False
    assert (await guarded.xautoclaim(**asked))[1] == []
    assert (await guarded.xautoclaim(**asked))[1] == []
    async with asyncio.timeout(20):
        while not (await guarded.xautoclaim(**asked))[1]:
            await asyncio.sleep(0.01)


@pytest.fixture
async def own(tmp_path: Path) -> AsyncIterator[tuple[Broker, Broker]]:
    work, live = Broker(tmp_path / "work", *WORK), Broker(tmp_path / "live", *LIVE)
    work.start()
    live.start()
    yield work, live
    work.kill()
    live.kill()


@pytest.mark.slow
@pytest.mark.parametrize("trouble", ["oom", "readonly", "live dead"])
async def test_a_job_waits_for_the_broker_and_is_done_once_more(own: tuple[Broker, Broker], trouble: str) -> None:
    """While the trouble lasts the entry is kept and not tried again; then it is delivered as new and done."""
    work, live = own
    bus = Bus(work.url, [live.url])
    bench = Bench(bus, Work(bus.work))
    enter, leave = {
        "oom": (lambda: work.ask("CONFIG", "SET", "maxmemory", 1), lambda: work.ask("CONFIG", "SET", "maxmemory", 0)),
        "readonly": (lambda: work.ask("REPLICAOF", "127.0.0.1", 1), lambda: work.ask("REPLICAOF", "NO", "ONE")),
        "live dead": (live.kill, live.start),
    }[trouble]

    async def commit(job: Job[TurnRequested]) -> None:
        if len(bench.seen) == 1:
            await asyncio.to_thread(enter)
        await bus.live("s").set("told", "1")
        await bench.raw.set("done", "1")
        await bench.work.finish(job.entry)

    delivery = Delivery(bus, bench.work, "llm")
    delivery.attach(bench.duty(commit))
    await delivery.start()
    await bench.add("t1")
    await bench.until(lambda: bool(bench.seen))
    await asyncio.sleep(2)  # what is looked at is that nothing happens in that time
    assert (len(bench.seen), bench.dead) == (1, [])
    await asyncio.to_thread(leave)
    await bus.healed()
    await bench.until(lambda: len(bench.seen) == 2)
    await bench.until(lambda: _gone(bench))
    assert [job.delivery for job in bench.seen] == [1, 1]
    await delivery.drain(0.2)
    await bus.close()
