"""Who wants a conversation and who is in it, on a real broker."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from redis.asyncio import Redis

from services.contract import streams
from services.contract.gateway import ConversationWanted
from services.runtime import envelope, wanted
from services.runtime.bus import connect
from services.runtime.wanted import Held, Interest, Stay

SESSION = "daily:c1"
ORDER = ConversationWanted(session=SESSION, conversation="c1", deadline_ms=1)


@pytest.fixture
async def redis(broker_url: str) -> AsyncIterator[Redis]:
    client = connect(broker_url)
    yield client
    await client.aclose()


async def test_an_interest_orders_what_nobody_has(redis: Redis) -> None:
    """As long as nobody has it, and no more than so many orders; then it is told who is in it."""
    interest, stay = Interest(redis, SESSION), Stay(redis, SESSION, "ingest")
    assert await interest.hold(ORDER) == Held(attended=False, call="")
    found: Any = await redis.xrange(streams.JOINS.key())
    assert [envelope.body(fields[b"__data__"]) for _, fields in found] == [ORDER.to_json()]
    assert await stay.take()
    assert await interest.hold(ORDER) == Held(attended=True, call="")
    stay.joined = True
    assert await stay.renew()
    assert await interest.hold(ORDER) == Held(attended=True, call=stay.me)
    assert await redis.xlen(streams.JOINS.key()) == 1
    await stay.release()
    assert await interest.hold(ORDER) == Held(attended=False, call="")


async def test_orders_do_not_pile_up(redis: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    """While nobody takes any."""
    monkeypatch.setattr(wanted, "MOST_ORDERS", 3)
    interest = Interest(redis, SESSION)
    for _ in range(5):
        await interest.hold(ORDER)
    assert await redis.xlen(streams.JOINS.key()) == 3


async def test_the_last_interest_ends_it(redis: Redis) -> None:
    """Dropped, or not renewed: a gateway that was killed wants nothing after a lease's time."""
    one, killed, stay = Interest(redis, SESSION), Interest(redis, SESSION), Stay(redis, SESSION, "ingest")
    assert await stay.take()
    for interest in (one, killed):
        await interest.hold(ORDER)
    await one.drop()
    assert await stay.renew()
    assert not stay.unwanted.is_set()
    begun = asyncio.get_running_loop().time()
    while not stay.unwanted.is_set():
        assert await stay.renew()
        await asyncio.sleep(0.1)
    took = asyncio.get_running_loop().time() - begun
    assert streams.LEASE_MS / 1_000 - 0.5 < took < streams.LEASE_MS / 1_000 + 1


async def test_a_lost_lease_touches_nothing(redis: Redis) -> None:
    """Who has lost it neither renews nor tells nor ends what is another's now."""
    lost, other = Stay(redis, SESSION, "ingest"), Stay(redis, SESSION, "ingest")
    assert await lost.take()
    lost.joined = other.joined = True
    await redis.delete(streams.ATTEND.of(SESSION))
    assert await other.take()
    assert await other.renew()
    assert not await lost.renew()
    await lost.release()
    assert await redis.get(streams.ATTEND.of(SESSION)) == other.me.encode()
    assert await redis.get(streams.JOINED.of(SESSION)) == other.me.encode()
    for key in (streams.ATTEND, streams.JOINED):
        assert 0 < await redis.pttl(key.of(SESSION)) <= streams.LEASE_MS
