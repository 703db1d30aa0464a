"""Dead letters on a real broker: what cannot be read stops nothing, is kept byte for byte, and goes back once."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any, Self

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.contract import streams
from services.contract.failure import Failure
from services.contract.ingest import Kind, Lane, LedgerRow, LiveEvent, TurnRequested
from services.runtime import envelope
from services.runtime.bus import Bus, ensure_group
from services.runtime.dead import Dead
from services.runtime.delivery import Delivery, Duty, Job
from services.runtime.show import Show
from services.runtime.work import Entry, Verdict, Work
from tests.redis.test_delivery import turn

TURNS, ROOM = streams.TURNS.key(), "demo"
EVENT = LiveEvent(
    id="api:super_chat:1", room=ROOM, source="api", kind=Kind.SUPER_CHAT, lane=Lane.PAID, amount_fen=1, at_ms=1
)
GOOD = envelope.encode(turn("good"))
JUNK: list[dict[str | bytes, str | bytes]] = [
    {"__data__": b""},
    {"__data__": b"\xff\xfe"},
    {"__data__": b"null"},
    {"__data__": b'{"data": "{}", "headers": {"a": 1}}'},
    {"__data__": b'{"data": 1}'},
    {"__data__": b'{"turn": "\\ud800"}'},
    {"__data__": b"[" * 50_000},
    {"__data__": envelope.MAGIC},
    {"__data__": envelope.MAGIC + b"\0\1" + b"\xff" * 8},
    {"__data__": GOOD.replace(b"correlation_id", b"\xfforrelation_id")[:-1]},
    {"__data__": GOOD[:30]},
    {b"\xff": b"\xff"},
    {"event": EVENT.to_json()},
    {f"field {number}": "x" for number in range(5_000)},
]


@pytest.fixture
async def bus(broker_url: str, live_url: str) -> AsyncIterator[Bus]:
    bus = Bus(broker_url, [live_url])
    yield bus
    await bus.close()


class Reader:
    """A service that answers turns, and takes the names of those it could read."""

    def __init__(self, bus: Bus) -> None:
        self.raw: Any = bus.work
        self.dead = Dead(bus.work)
        self.seen: list[str] = []
        self._work = Work(bus.work)
        self._delivery = Delivery(bus, self._work, "llm")
        self._delivery.attach(Duty(TURNS, "llm", TurnRequested, self._take, self._failed))

    async def _take(self, job: Job[TurnRequested]) -> None:
        self.seen.append(job.message.turn)
        await self._work.finish(job.entry)

    async def _failed(self, message: TurnRequested, failure: Failure) -> None:
        raise AssertionError(message.turn) from failure

    async def __aenter__(self) -> Self:
        await self._delivery.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._delivery.drain(0.2)

    async def empty(self) -> None:
        async with asyncio.timeout(20):
            while await self.raw.xlen(TURNS):
                await asyncio.sleep(0.01)


async def test_no_bytes_stop_a_work_stream(bus: Bus) -> None:
    """Whatever is added by whomever: each is buried once with its own bytes and the reason, what follows is done."""
    async with Reader(bus) as reader:
        for junk in JUNK:
            await reader.raw.xadd(TURNS, junk)
        await reader.raw.xadd(TURNS, {"__data__": GOOD})
        await reader.empty()
    assert reader.seen == ["good"]
    letters = list(reversed(await reader.dead.list()))
    assert len(letters) == len(JUNK) == await reader.dead.count()
    for letter, junk in zip(letters, JUNK, strict=True):
        assert (letter.stream, letter.group, letter.code, letter.message) == (
            TURNS,
            "llm",
            "bad_message",
            "TurnRequested",
        )
        assert letter.reason
        assert letter.deliveries == 1
        was = {_text(name): _bytes(value) for name, value in junk.items()}
        assert dict(letter.fields) == dict(list(was.items())[:500])


def _text(name: str | bytes) -> str:
    return name if isinstance(name, str) else name.decode("utf-8", "replace")


def _bytes(value: str | bytes) -> bytes:
    return value if isinstance(value, bytes) else value.encode()


FIELDS = st.dictionaries(st.binary(min_size=1, max_size=12) | st.just(b"__data__"), st.binary(max_size=80), min_size=1)
BROKEN = st.tuples(st.integers(0, len(GOOD) - 1), st.integers(0, 255)).map(
    lambda at: {b"__data__": GOOD[: at[0]] + bytes([at[1]]) + GOOD[at[0] + 1 :]}
)


@pytest.mark.slow
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(FIELDS | BROKEN, min_size=10, max_size=30))
async def test_every_entry_is_done_or_buried(bus: Bus, entries: list[dict[bytes, bytes]]) -> None:
    """Of any entries, each is handled or lies in the dead letters exactly once; nothing stays."""
    raw: Any = bus.work
    await raw.delete(streams.DEAD)
    fresh = Bus(_url(bus), [_url(bus)])
    async with Reader(fresh) as reader:
        for fields in entries:
            await raw.xadd(TURNS, fields)
        await reader.empty()
        assert len(reader.seen) + await reader.dead.count() == len(entries)
        assert (await raw.xpending(TURNS, "llm"))["pending"] == 0
    await fresh.close()


def _url(bus: Bus) -> str:
    known: dict[str, Any] = bus.work.connection_pool.connection_kwargs
    return f"redis://{known['host']}:{known['port']}"


async def test_a_letter_goes_back_once(bus: Bus) -> None:
    """Requeued, the entry is in its stream with the very bytes; a second time there is no such letter."""
    raw: Any = bus.work
    dead, work = Dead(bus.work), Work(bus.work)
    await ensure_group(bus.work, TURNS, "llm")
    await raw.xadd(TURNS, {"__data__": GOOD, b"\xfe": b"\xff"})
    [[_, [[id_, _]]]] = await raw.xreadgroup("llm", "me", {TURNS: ">"}, count=1)
    entry = Entry(TURNS, "llm", id_.decode(), "me")
    assert await work.bury(entry, {"code": "internal", "reason": "why", "trace": "t"}) is Verdict.OK
    assert await work.bury(entry, {"code": "internal", "reason": "why", "trace": "t"}) is Verdict.GONE
    (letter,) = await dead.list()
    assert (letter.id, letter.trace, letter.reason) == (entry.id, "t", "why")
    assert TurnRequested.from_json(letter.body) == turn("good")
    outcomes = await asyncio.gather(*(dead.requeue(letter.letter) for _ in range(5)))
    assert sorted(outcomes) == ["gone"] * 4 + ["ok"]
    assert [fields for _, fields in await raw.xrange(TURNS)] == [{b"__data__": GOOD, b"\xfe": b"\xff"}]
    assert await dead.list() == []


async def test_letters_are_listed_by_pages_and_dropped(bus: Bus) -> None:
    """The newest first; `before` gives the next page; what is dropped is gone for good."""
    raw: Any = bus.work
    for number in range(5):
        await raw.xadd(streams.DEAD, {"stream": TURNS, "code": str(number)})
    dead = Dead(bus.work)
    page = await dead.list(2)
    assert [letter.code for letter in page] == ["4", "3"]
    assert [letter.code for letter in await dead.list(9, before=page[-1].letter)] == ["2", "1", "0"]
    assert await dead.drop(page[0].letter)
    assert not await dead.drop(page[0].letter)
    assert await dead.requeue(page[0].letter) is Verdict.GONE
    assert await dead.requeue(page[1].letter) is Verdict.ORDER, "it has no fields"
    assert await dead.count() == 4


async def test_a_letter_whose_key_is_something_else_stays(bus: Bus) -> None:
    """It is not put into a key of another type, and it is not lost."""
    raw: Any = bus.work
    dead = Dead(bus.work)
    id_ = (await raw.xadd(streams.DEAD, {"stream": "epoch:s", "was:a": "b"})).decode()
    await raw.set("epoch:s", "1")
    assert await dead.requeue(id_) is Verdict.ORDER
    assert await dead.count() == 1


async def test_no_entry_stops_the_lanes(bus: Bus) -> None:
    """What is no event in the paid or the chat lane is buried once; the director reads on."""
    raw: Any = bus.work
    show, dead = Show(bus.work), Dead(bus.work)
    paid, chat = streams.PAID.of(ROOM), streams.CHAT.of(ROOM)
    for lane in (paid, chat):
        for junk in JUNK:
            await raw.xadd(lane, junk | {"event": b"\xff" + str(junk)[:9].encode()})
        await raw.xadd(lane, {"not": "an event"})
    await show.receive(EVENT)
    comment = EVENT.model_copy(update={"id": "api:danmaku:1", "lane": Lane.CHAT})
    await show.comment(comment, 100)
    assert [waiting.event for waiting in await show.waiting(ROOM)] == [EVENT]
    follow = show.follow(ROOM, "0-0")
    async with contextlib.aclosing(follow), asyncio.timeout(20):  # pyright: ignore[reportArgumentType]  it is a generator
        assert [(await anext(follow)).event for _ in range(2)] == [EVENT, comment]
    letters = await dead.list(1_000)
    assert [letter.stream for letter in letters].count(paid) == len(JUNK) + 1
    assert [letter.stream for letter in letters].count(chat) == len(JUNK) + 1
    assert {letter.code for letter in letters} == {"bad_message"}
    assert (await raw.xlen(paid), await raw.xlen(chat)) == (1, 0)
    assert await dead.requeue(letters[0].letter) is Verdict.OK
    assert await raw.xlen(letters[0].stream) in {1, 2}


async def test_a_row_that_is_none_leaves_the_ledger(bus: Bus) -> None:
    """Its bytes are kept with the reason, and can go back to their field."""
    raw: Any = bus.work
    show, dead = Show(bus.work), Dead(bus.work)
    await show.receive(EVENT)
    await raw.hset(streams.LEDGER.of(ROOM), "bad", b"\xff{")
    assert set(await show.ledger(ROOM)) == {EVENT.id}
    assert set(await show.ledger(ROOM)) == {EVENT.id}
    (letter,) = await dead.list()
    assert (letter.stream, letter.id, letter.body) == (streams.LEDGER.of(ROOM), "bad", b"\xff{")
    good = LedgerRow(event=EVENT, state="received", at_ms=1).to_json()
    assert json.loads(await raw.hget(streams.LEDGER.of(ROOM), EVENT.id))["state"] == "received"
    await raw.hset(streams.LEDGER.of(ROOM), "bad", good)
    assert await dead.requeue(letter.letter) is Verdict.OK
    assert await raw.hget(streams.LEDGER.of(ROOM), "bad") == good, "what stands there meanwhile is not overwritten"
