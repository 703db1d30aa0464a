"""What each commit answers and leaves behind, on a real broker."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from redis.exceptions import ResponseError

from services.contract import streams
from services.contract.llm import SentenceReady
from services.runtime import envelope
from services.runtime.bus import connect, ensure_group
from services.runtime.clock import now_ms
from services.runtime.work import Answer, Entry, Fence, Verdict, Work

Client = Any
"""redis-py's: its answers are typed as unions of all protocol versions."""
STREAM, OTHER, GROUP = "speak:gpu:call", "speak:cpu:call", "tts"
OWN = [STREAM, OTHER, "answer:t1", "answer:t2", "spoken:t1", "epoch:s1", streams.DEAD, streams.SILENCE]
"""What these tests write: a broker that is not our own is not flushed between them."""
FENCE = Fence("s1", 0, "t1")
READY = SentenceReady(
    turn="t1", no=1, session="s1", epoch=0, index=0, text="Hi.", speak="Hi.", voice="v", deadline_ms=0, trace="trace-1"
)


@pytest.fixture
async def redis(broker_url: str) -> AsyncIterator[Client]:
    client: Client = connect(broker_url)
    await client.delete(*OWN)
    for stream in (STREAM, OTHER):
        await ensure_group(client, stream, GROUP)
    yield client
    await client.aclose()


@pytest.fixture
def work(redis: Client) -> Work:
    return Work(redis)


@pytest.fixture
async def entry(redis: Client) -> Entry:
    """One order in the hands of `me`."""
    return await order(redis)


async def order(redis: Client, me: str = "me") -> Entry:
    id_ = await redis.xadd(STREAM, {"__data__": envelope.encode(READY)})
    await redis.xreadgroup(GROUP, me, {STREAM: ">"}, count=1)
    return Entry(STREAM, GROUP, id_.decode(), me)


async def steal(redis: Client, entry: Entry, me: str = "another") -> Entry:
    await redis.xclaim(entry.stream, entry.group, me, 0, [entry.id])
    return Entry(entry.stream, entry.group, entry.id, me)


async def left(redis: Client, stream: str = STREAM) -> tuple[int, int]:
    """Entries in the stream, and how many of them are pending."""
    return await redis.xlen(stream), (await redis.xpending(stream, GROUP))["pending"]


async def test_a_sentence_is_added_to_the_answer_and_to_its_stream(work: Work, redis: Client, entry: Entry) -> None:
    """Say writes the text, the next index and the order, and keeps the turn's entry."""
    assert await work.say(entry, FENCE, 0, "Hi.", OTHER, READY) is Verdict.OK
    assert (await work.answer("t1")).sentences == {0: "Hi."}
    [(_, fields)] = await redis.xrange(OTHER)
    assert fields[b"__data__"] == envelope.encode(READY)
    assert await left(redis) == (1, 1)
    assert 0 < await redis.ttl("answer:t1") <= streams.TURN_KEPT_S


async def test_a_sentence_out_of_order_is_not_taken(work: Work, redis: Client, entry: Entry) -> None:
    """Say answers ORDER for an index that is not the next, and writes nothing."""
    assert await work.say(entry, FENCE, 1, "Hi.", OTHER, READY) is Verdict.ORDER
    assert await redis.exists("answer:t1") == 0
    assert await redis.xlen(OTHER) == 0


async def test_a_sentence_cannot_be_said_twice(work: Work, redis: Client, entry: Entry) -> None:
    """The second say of one index is ORDER."""
    await work.say(entry, FENCE, 0, "Hi.", OTHER, READY)
    assert await work.say(entry, FENCE, 0, "Ho.", OTHER, READY) is Verdict.ORDER
    assert await redis.xlen(OTHER) == 1


async def test_nothing_is_said_after_the_count(work: Work, redis: Client, entry: Entry) -> None:
    """Say answers DONE once the number of sentences is fixed."""
    await work.count(entry, FENCE, "done")
    assert await work.say(entry, FENCE, 0, "Hi.", OTHER, READY) is Verdict.DONE
    assert await redis.xlen(OTHER) == 0


async def test_the_first_count_stands(work: Work, redis: Client, entry: Entry) -> None:
    """A repeated count gives the number and the reason of the first, and keeps the entry."""
    await work.say(entry, FENCE, 0, "Hi.", OTHER, READY)
    assert await work.count(entry, FENCE, "cut") == (Verdict.OK, 1, "cut")
    assert await work.count(entry, FENCE, "done") == (Verdict.OK, 1, "cut")
    assert await left(redis) == (1, 1)


async def test_an_answer_of_no_sentences_is_counted(work: Work, entry: Entry) -> None:
    """The count of an answer without a sentence is 0, and the answer is complete."""
    assert await work.count(entry, FENCE, "failed") == (Verdict.OK, 0, "failed")
    assert (await work.answer("t1")).complete


async def test_who_gives_up_fixes_the_count_as_it_is(work: Work, entry: Entry) -> None:
    """End needs no entry, counts what was said in the same step, and does not change a count."""
    assert await work.end("t2") == (0, "failed")
    await work.say(entry, FENCE, 0, "Hi.", OTHER, READY)
    assert await work.end("t1") == (1, "cut")
    assert await work.say(entry, FENCE, 1, "Ho.", OTHER, READY) is Verdict.DONE
    assert await work.count(entry, FENCE, "done") == (Verdict.OK, 1, "cut")


async def test_attempts_are_numbered(work: Work, redis: Client, entry: Entry) -> None:
    """Begin counts 1, 2 for one sentence, and another sentence has its own count."""
    assert await work.begin(entry, FENCE, 0) == (Verdict.OK, 1)
    assert await work.begin(entry, FENCE, 0) == (Verdict.OK, 2)
    assert await work.begin(entry, FENCE, 1) == (Verdict.OK, 1)
    assert 0 < await redis.ttl("spoken:t1") <= streams.TURN_KEPT_S


async def test_attempts_go_on_in_another_pool(work: Work, redis: Client, entry: Entry) -> None:
    """A hand-over moves the order, not the number of its attempts."""
    await work.begin(entry, FENCE, 0)
    assert await work.move(entry, OTHER, READY) is Verdict.OK
    [(_, [(id_, _)])] = await redis.xreadgroup(GROUP, "me", {OTHER: ">"})
    assert await work.begin(Entry(OTHER, GROUP, id_.decode(), "me"), FENCE, 0) == (Verdict.OK, 2)


async def test_a_decided_sentence_is_not_begun_and_its_order_is_kept(work: Work, redis: Client, entry: Entry) -> None:
    """Begin answers DONE and leaves the entry: its owner tells the session, then finishes it."""
    await work.skip("t1", 0, "late")
    assert await work.begin(entry, FENCE, 0) == (Verdict.DONE, 0)
    assert await left(redis) == (1, 1)


async def test_a_spoken_sentence_finishes_its_order(work: Work, redis: Client, entry: Entry) -> None:
    """Spoken writes the length and deletes the entry, in one step."""
    assert await work.spoken(entry, FENCE, 0, 24_000) is Verdict.OK
    answer = await work.answer("t1")
    assert (answer.spoken, answer.samples) == ({0: "spoken:24000"}, 24_000)
    assert await left(redis) == (0, 0)


async def test_a_skip_before_the_commit_stands(work: Work, redis: Client, entry: Entry) -> None:
    """Spoken answers DONE for a sentence that was skipped meanwhile, and finishes the entry."""
    assert await work.skip("t1", 0, "late") == "skipped:late"
    assert await work.spoken(entry, FENCE, 0, 24_000) is Verdict.DONE
    assert (await work.answer("t1")).spoken == {0: "skipped:late"}
    assert await left(redis) == (0, 0)


async def test_a_commit_before_the_skip_stands(work: Work, entry: Entry) -> None:
    """Skip gives the value that stands."""
    await work.spoken(entry, FENCE, 0, 7)
    assert await work.skip("t1", 0, "late") == "spoken:7"


async def test_a_skip_alone_expires(work: Work, redis: Client) -> None:
    """What is kept of a turn whose sentence was never begun is kept a day."""
    await work.skip("t1", 0, "late")
    assert 0 < await redis.ttl("spoken:t1") <= streams.TURN_KEPT_S


async def test_no_commit_of_a_worker_that_lost_its_entry_passes(work: Work, redis: Client, entry: Entry) -> None:
    """Each commit answers GONE when the entry is pending for another, and changes nothing."""
    owner = await steal(redis, entry)
    assert await work.say(entry, FENCE, 0, "Hi.", OTHER, READY) is Verdict.GONE
    assert await work.count(entry, FENCE, "done") == (Verdict.GONE, 0, "")
    assert await work.begin(entry, FENCE, 0) == (Verdict.GONE, 0)
    assert await work.spoken(entry, FENCE, 0, 7) is Verdict.GONE
    assert await work.move(entry, OTHER, READY) is Verdict.GONE
    assert await work.bury(entry, {"reason": "x"}) is Verdict.GONE
    assert await work.finish(entry) is Verdict.GONE
    assert await work.beat(entry) is Verdict.GONE
    assert await work.answer("t1") == Answer()
    assert (await left(redis), await left(redis, OTHER), await redis.xlen("dead")) == ((1, 1), (0, 0), 0)
    assert await work.deliveries(entry) == 0
    assert await work.deliveries(owner) == 2


async def test_no_commit_of_a_finished_entry_passes(work: Work, entry: Entry) -> None:
    """A second finish, and a beat after it, are GONE."""
    assert await work.finish(entry) is Verdict.OK
    assert await work.finish(entry) is Verdict.GONE
    assert await work.beat(entry) is Verdict.GONE


async def fence_interrupt(work: Work, redis: Client) -> None:
    del redis
    await work.raise_epoch("s1")


async def fence_silence(work: Work, redis: Client) -> None:
    del work
    await redis.set(streams.SILENCE, "operator")


async def fence_drop(work: Work, redis: Client) -> None:
    del work
    await redis.hsetnx("answer:t1", "dropped", "stale")


@pytest.mark.parametrize("raised", [fence_interrupt, fence_silence, fence_drop])
@pytest.mark.parametrize("commit", ["say", "count", "begin", "spoken"])
async def test_a_stale_turn_is_let_go(
    work: Work, redis: Client, entry: Entry, raised: Callable[[Work, Client], Awaitable[None]], commit: str
) -> None:
    """After an interrupt, a drop or the kill switch each commit of the turn is STALE and finishes the entry."""
    assert not await work.stale(FENCE)
    await raised(work, redis)
    calls: dict[str, Callable[[], Awaitable[Any]]] = {
        "say": lambda: work.say(entry, FENCE, 0, "Hi.", OTHER, READY),
        "count": lambda: work.count(entry, FENCE, "done"),
        "begin": lambda: work.begin(entry, FENCE, 0),
        "spoken": lambda: work.spoken(entry, FENCE, 0, 7),
    }
    verdict = await calls[commit]()
    assert (verdict[0] if isinstance(verdict, tuple) else verdict) is Verdict.STALE
    assert await work.stale(FENCE)
    assert await left(redis) == (0, 0)
    assert ((await work.answer("t1")).sentences, (await work.answer("t1")).spoken) == ({}, {})


async def test_an_interrupt_spares_what_is_asked_for_after_it(work: Work, entry: Entry) -> None:
    """A turn of the new epoch commits."""
    epoch = await work.raise_epoch("s1")
    assert (epoch, await work.epoch("s1"), await work.epoch("s2")) == (1, 1, 0)
    assert await work.begin(entry, Fence("s1", epoch, "t1"), 0) == (Verdict.OK, 1)


async def test_an_interrupt_wakes_who_listens(work: Work, redis: Client) -> None:
    """The epoch is published on the channel."""
    async with redis.pubsub() as channel:
        await channel.subscribe(streams.INTERRUPTS)
        await channel.get_message(timeout=5)
        await work.raise_epoch("s1")
        heard = await channel.get_message(timeout=5)
    assert heard is not None
    assert heard["data"] == b"s1 1"


async def test_a_hand_back_counts_deliveries_anew(work: Work, redis: Client, entry: Entry) -> None:
    """Move to the same stream leaves one entry, delivered once when it is read again."""
    owner = await steal(redis, entry)
    assert await work.deliveries(owner) == 2
    assert await work.move(owner, STREAM, READY) is Verdict.OK
    assert await left(redis) == (1, 0)
    [(_, [(id_, fields)])] = await redis.xreadgroup(GROUP, "me", {STREAM: ">"})
    assert await work.deliveries(Entry(STREAM, GROUP, id_.decode(), "me")) == 1
    assert SentenceReady.from_json(envelope.body(fields[b"__data__"])) == READY


async def test_a_beat_keeps_the_count_and_resets_the_idle_time(work: Work, redis: Client, entry: Entry) -> None:
    """A beat is no delivery, and no reclaimer finds the entry idle after it."""
    await redis.xclaim(STREAM, GROUP, "me", 0, [entry.id], idle=60_000, justid=True)
    assert await work.beat(entry) is Verdict.OK
    assert await work.deliveries(entry) == 1
    assert await redis.xclaim(STREAM, GROUP, "another", 60_000, [entry.id]) == []


async def test_a_buried_entry_lies_in_the_dead_letters(work: Work, redis: Client, entry: Entry) -> None:
    """Bury moves the entry with its own bytes, its place, its deliveries and its reason."""
    assert await work.bury(entry, {"reason": "broken", "code": b"\xff"}) is Verdict.OK
    [(_, fields)] = await redis.xrange(streams.DEAD)
    assert abs(int(fields.pop(b"at_ms")) - now_ms()) < 60_000
    assert fields == {
        b"stream": STREAM.encode(),
        b"group": GROUP.encode(),
        b"id": entry.id.encode(),
        b"deliveries": b"1",
        b"reason": b"broken",
        b"code": b"\xff",
        b"was:__data__": envelope.encode(READY),
    }
    assert await left(redis) == (0, 0)


async def test_a_broker_that_forgot_the_scripts_is_taught_again(work: Work, redis: Client, entry: Entry) -> None:
    """After SCRIPT FLUSH, as after a restart, a commit passes without anybody noticing."""
    await work.begin(entry, FENCE, 0)
    await redis.script_flush()
    assert await work.begin(entry, FENCE, 0) == (Verdict.OK, 2)


async def test_a_lost_group_is_said_by_the_broker(work: Work, redis: Client, entry: Entry) -> None:
    """A commit without its group raises: delivery heals it, no verdict is made up."""
    await redis.xgroup_destroy(STREAM, GROUP)
    with pytest.raises(ResponseError, match="NOGROUP"):
        await work.finish(entry)


async def test_the_answer_tells_all_that_is_known(work: Work, redis: Client, entry: Entry) -> None:
    """Sentences, count, reason, drop and ends are read in one round trip; attempts are not taken for sentences."""
    await work.say(entry, FENCE, 0, "Hi.", OTHER, READY)
    await work.count(entry, FENCE, "done")
    await work.begin(entry, FENCE, 0)
    await work.skip("t1", 0, "late")
    await fence_drop(work, redis)
    answer = await work.answer("t1")
    assert answer == Answer({0: "Hi."}, 1, "done", "stale", {0: "skipped:late"})
    assert (answer.complete, answer.samples) == (True, 0)
    assert await work.answer("t2") == Answer()
