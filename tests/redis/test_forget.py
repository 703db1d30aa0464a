"""What expires of a room on a real broker: only what is final, old, and waited for by nothing."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.contract import streams
from services.contract.ingest import Counted, Heard, Kind, Lane, LedgerRow, LiveEvent, TurnSettled
from services.ingest.core.items import Choice, Item, Turn
from services.runtime import archive, scripts
from services.runtime.archive import Archive
from services.runtime.bus import connect
from services.runtime.law import FINAL
from services.runtime.show import Show, Term
from services.runtime.work import Verdict

ROOM = "forgotten"
KEYS = [
    key.of(ROOM) for key in (streams.LEDGER, streams.PAID, streams.FLOOR, streams.SHOW, streams.LEASE, streams.TERM)
]
STATES = ("received", "chosen", "aired", *sorted(FINAL))
IDS = st.text(min_size=1, max_size=6) | st.sampled_from(
    ["a", "ab", 'x"y', "a\\b", "b/c", "\x07", "雪", "a'b", "]]>", "%d+"]
)
CUT_MS = 1_000_000


def row(id_: str, state: str, at_ms: int) -> LedgerRow:
    event = LiveEvent(id=id_, room=ROOM, source="api", kind=Kind.SUPER_CHAT, lane=Lane.PAID, at_ms=0)
    return LedgerRow.model_validate({"event": event, "state": state, "at_ms": at_ms})


@pytest.fixture
async def redis(broker_url: str) -> AsyncIterator[Any]:
    client = connect(broker_url)
    await client.delete(*KEYS)
    yield client
    await client.aclose()


@pytest.fixture
def url(broker_url: str) -> str:
    return broker_url


Rows = dict[str, tuple[str, int, bool, bool]]


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=st.dictionaries(
        IDS,
        st.tuples(st.sampled_from(STATES), st.integers(CUT_MS - 2, CUT_MS + 2), st.booleans(), st.booleans()),
        max_size=8,
    )
)
def test_no_row_goes_that_is_still_needed(url: str, rows: Rows) -> None:
    """Exactly those rows go that are final and older, and are neither in the lane nor in a turn in flight."""
    asyncio.run(_forget(url, rows))


async def _forget(url: str, rows: Rows) -> None:
    client: Any = connect(url)
    await client.delete(*KEYS)
    for id_, (state, at_ms, lane, floor) in rows.items():
        given = row(id_, state, at_ms)
        await client.hset(KEYS[0], id_, given.to_json())
        if lane:
            await client.xadd(KEYS[1], {"event": given.event.to_json()})
        if floor:
            turn = Turn("t", 1, 0, Choice(Item((given.event,), 0, 0), "", 0), 0)
            await client.hset(KEYS[2], f"turn-{id_}", turn.to_json())
    named = [id_ for id_, (_, _, lane, floor) in rows.items() if lane or floor]
    gone = {id_ for id_, (state, at_ms, *_) in rows.items() if state in FINAL and at_ms < CUT_MS and id_ not in named}
    show, kept = Show(client), Archive(client)
    old = await kept.forget(ROOM, CUT_MS, dry_run=True)
    assert old == sum(state in FINAL and at_ms < CUT_MS for state, at_ms, *_ in rows.values())
    assert len(await show.ledger(ROOM)) == len(rows)
    count = await kept.forget(ROOM, CUT_MS)
    left = set(await show.ledger(ROOM))
    assert left >= set(rows) - gone
    # Turns have an id too: a row of the same name waits.
    assert left - (set(rows) - gone) <= ({"t"} if any(floor for *_, floor in rows.values()) else set())
    assert count == len(rows) - len(left)
    await client.aclose()


async def test_the_script_looks_again(redis: Any) -> None:
    """A row that was final when it was looked at and is not any more, is gone, or is no row, is left alone."""
    await redis.hset(KEYS[0], "again", row("again", "chosen", 0).to_json())
    await redis.hset(KEYS[0], "broken", b"{")
    await redis.hset(KEYS[0], "odd", b'{"state":"spoken","at_ms":"0"}')
    run = scripts.Scripts(redis).run
    assert (
        await run(
            archive.FORGET,
            KEYS[:3],
            [CUT_MS, *(part for id_ in ("again", "broken", "odd", "none") for part in (id_, id_))],
        )
        == 0
    )
    assert await redis.hlen(KEYS[0]) == 3


async def test_a_row_that_does_not_parse_is_kept(redis: Any) -> None:
    """It is for people to look at; the others are forgotten all the same."""
    await redis.hset(KEYS[0], "broken", b"{")
    await redis.hset(KEYS[0], "old", row("old", "spoken", 0).to_json())
    assert await Archive(redis).forget(ROOM, CUT_MS) == 1
    assert await redis.hkeys(KEYS[0]) == [b"broken"]


async def test_many_rows_go_in_pages(redis: Any) -> None:
    """More than one script may take, and exactly those."""
    rows = {f"e{no}": row(f"e{no}", "spoken", CUT_MS - 1 + no % 2).to_json() for no in range(1_001)}
    await redis.hset(KEYS[0], mapping=rows)
    assert await Archive(redis).forget(ROOM, CUT_MS) == 501
    assert await redis.hlen(KEYS[0]) == 500


async def test_what_lasts_of_a_show(redis: Any) -> None:
    """Only the holder of the lease adds to it; it is read from any time on, and trimmed by age alone."""
    show, kept = Show(redis), Archive(redis)
    term = await show.lease(ROOM, "me")
    assert term
    told = [
        TurnSettled(turn="t", state="spoken", at_ms=1, captions=(Heard(text="Hi.", from_ms=0, to_ms=1),)),
        Counted(at_ms=2, received=3, answered=1, dropped={"stale": 2}),
    ]
    assert [await kept.write(term, each) for each in told] == [Verdict.OK, Verdict.OK]
    assert await kept.write(Term(ROOM, "me", term.number + 1), told[0]) is Verdict.GONE
    assert await kept.write(Term(ROOM, "other", term.number), told[0]) is Verdict.GONE
    assert [each async for each in kept.record(ROOM)] == told
    last = int((await redis.xrevrange(KEYS[3], count=1))[0][0].split(b"-")[0])
    assert [each async for each in kept.record(ROOM, last + 1)] == []
    assert ROOM in await kept.rooms()
    assert await kept.trim(ROOM, last - 60_000) == 0
    assert await kept.trim(ROOM, last + 1, dry_run=True) == 2
    assert [each async for each in kept.record(ROOM)] == told
    assert await kept.trim(ROOM, last + 1) == 2
    assert [each async for each in kept.record(ROOM)] == []


async def test_the_books_of_one_moment(redis: Any) -> None:
    """While events come in and are settled, nothing ever seems lost."""
    show, kept, done = Show(redis), Archive(redis), asyncio.Event()

    async def settle() -> None:
        for no in range(150):
            event = row(f"{ROOM}-{no}", "received", 0).event
            await redis.delete(streams.SEEN.of(f"{ROOM}:{event.id}"))
            assert await show.receive(event)
            term = await show.lease(ROOM, "me")
            assert term
            entry = (await show.waiting(ROOM))[0].entry
            rows = [LedgerRow(event=event, state="spoken", at_ms=1)]
            assert await show.settle(term, "t", rows, [entry]) is Verdict.OK
        done.set()

    task, looked = asyncio.ensure_future(settle()), 0
    while not done.is_set() and not task.done():
        books = await kept.books(ROOM)
        assert {id_ for id_, each in books.rows.items() if each.state not in FINAL} == set(books.lane)
        assert books.law.holds
        looked += 1
    await task
    assert looked > 20
