"""Readers that share blocking reads, on real brokers."""

import asyncio
import gc
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from pathlib import Path
from typing import Any, TypeVar

import pytest
from redis.asyncio import Redis

from services.contract import streams
from services.runtime import follow as module
from services.runtime.bus import Bus, connect
from services.runtime.follow import BATCH, KEYS, Hub, Reader, follow
from services.runtime.tail import RawEntry
from services.runtime.trouble import TROUBLE
from tests.redis.broker import Broker

T = TypeVar("T")


@pytest.fixture
async def redis(live_url: str) -> AsyncIterator[Redis]:
    redis = connect(live_url)
    yield redis
    await redis.aclose()


async def until(holds: Callable[[], Any]) -> None:
    """Look again until it holds."""
    async with asyncio.timeout(20):
        while not await holds():
            await asyncio.sleep(0.01)


async def blocked(redis: Redis) -> int:
    """Connections that wait in a blocking read."""
    found: Any = await redis.client_list()  # pyright: ignore[reportUnknownMemberType]  redis-py leaves **kwargs untyped
    return sum(client["cmd"] == "xread" and "b" in client["flags"] for client in found)


async def cut(redis: Any) -> None:
    """Break the connections of blocking reads."""
    for client in await redis.client_list():
        if client["cmd"] == "xread":
            await redis.client_kill_filter(_id=client["id"])


async def add(redis: Redis, key: str, text: str) -> None:
    await redis.xadd(key, {"k": text})


async def words(entries: AsyncGenerator[RawEntry], count: int) -> list[str]:
    """The next so many."""
    async with asyncio.timeout(20):
        return [(await anext(entries))[1][b"k"].decode() for _ in range(count)]


def waiting(entries: AsyncGenerator[RawEntry], count: int = 1) -> asyncio.Task[list[str]]:
    """Somebody waits for the next so many."""
    return asyncio.create_task(words(entries, count))


async def wakes(redis: Any) -> list[bytes]:
    """Keys by which blocking reads were woken."""
    return await redis.keys("wake:*")


async def test_who_joins_is_heard_at_once(redis: Redis, monkeypatch: pytest.MonkeyPatch, live_url: str) -> None:
    """A blocking read that would wait for ever asks anew as soon as a key is added."""
    monkeypatch.setattr(module, "BLOCK_MS", 3_600_000)
    patient = Redis.from_url(live_url, socket_timeout=None)  # pyright: ignore[reportUnknownMemberType]  as above
    first, second = follow(patient, "a", "0-0"), follow(patient, "b", "0-0")
    one = waiting(first)
    await until(lambda: blocked(redis))
    two = waiting(second)
    await until(lambda: wakes(redis))
    await add(redis, "b", "b1")
    assert await two == ["b1"]
    await add(redis, "a", "a1")
    assert await one == ["a1"]
    [key] = await wakes(redis)
    assert 0 < await redis.ttl(key) <= streams.WAKE_IDLE_S
    await redis.xadd(key, {"k": ""}, id="9999999999999-0")
    await redis.flushall()  # pyright: ignore[reportUnknownMemberType]  as above
    await cut(redis)
    await until(lambda: blocked(redis))
    third = follow(patient, "c", "0-0")
    three = waiting(third)
    await until(lambda: wakes(redis))
    await add(redis, "c", "c1")
    assert await three == ["c1"]
    for entries in (first, second, third):
        await entries.aclose()
    await patient.aclose()


class Held(Redis):
    """A client whose answers to several questions at once are held back."""

    def __init__(self, url: str) -> None:
        super().__init__(connection_pool=connect(url).connection_pool)  # pyright: ignore[reportUnknownMemberType]  as above
        self.asked, self.answer = asyncio.Event(), asyncio.Event()

    def pipeline(self, transaction: bool = True, shard_hint: str | None = None) -> Any:  # noqa: FBT001, FBT002  as redis-py
        made: Any = super().pipeline(transaction, shard_hint)
        execute = made.execute

        async def held(**how: Any) -> Any:
            found = await execute(**how)
            self.asked.set()
            await self.answer.wait()
            return found

        made.execute = held
        return made


async def test_who_comes_while_the_broker_is_asked_how_it_stands_hears_nothing_twice(
    redis: Redis, live_url: str
) -> None:
    """He knows better than the answer; who was there before begins anew."""
    client = Held(live_url)
    old = follow(client, "a", "0-0")
    heard = waiting(old)
    await until(lambda: blocked(redis))
    await redis.xadd("a", {"k": "far"}, id="9999999999999-0")
    assert await heard == ["far"]
    heard = waiting(old, 2)
    await until(lambda: blocked(redis))
    await redis.delete("a")
    await cut(redis)
    await client.asked.wait()
    await add(redis, "a", "1")
    new = follow(client, "a", "0-0")
    assert await words(new, 1) == ["1"]
    more = waiting(new)
    await until(lambda: _joined(2))
    client.answer.set()
    await add(redis, "a", "2")
    assert (await heard, await more) == (["1", "2"], ["2"])
    await old.aclose()
    await new.aclose()
    await client.connection_pool.disconnect()


def there(kind: type[T]) -> list[T]:
    """All objects of the kind. What a dead proxy of another test points to is not asked for."""
    return [thing for thing in gc.get_objects() if type(thing) is kind]


async def _joined(count: int) -> bool:
    return sum(thing.feed is not None for thing in there(Reader)) == count


async def test_many_keys_need_few_connections(redis: Redis) -> None:
    """A blocking read for each hundred keys; each reader hears its own; all is freed when they leave."""
    count = 2 * KEYS + 50
    readers = [follow(redis, f"k{number}", "0-0") for number in range(count)]
    heard = [waiting(entries) for entries in readers]
    await until(lambda: _equal(redis, 3))
    for number in range(count):
        await add(redis, f"k{number}", str(number))
    assert await asyncio.gather(*heard) == [[str(number)] for number in range(count)]
    assert await blocked(redis) <= 3
    for entries in readers:
        await entries.aclose()
    assert asyncio.all_tasks() == {asyncio.current_task()}
    await until(lambda: _equal(redis, 0))
    gc.collect()
    assert not [*there(Hub), *there(Reader), *there(module.Link)]


async def _equal(redis: Redis, count: int) -> bool:
    return await blocked(redis) == count


async def test_a_reader_that_is_cancelled_frees_what_it_held(redis: Redis) -> None:
    """Whether it reads, fetches or has not begun; the others go on."""
    stays = follow(redis, "a", "0-0")
    heard = waiting(stays)
    leaves = [follow(redis, key, "0-0") for key in ("a", "b", "c")]
    tasks = [waiting(entries) for entries in leaves[:2]]
    await until(lambda: blocked(redis))
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await leaves[2].aclose()
    await add(redis, "a", "a1")
    assert await heard == ["a1"]
    await stays.aclose()
    await until(lambda: _equal(redis, 0))


async def test_who_is_slow_holds_up_nobody(redis: Redis) -> None:
    """So much waits for him and no more; later he is given the rest, in order."""
    slow, fast = follow(redis, "a", "0-0"), follow(redis, "a", "0-0")
    begun, heard = waiting(slow), waiting(fast, 2_001)
    await until(lambda: blocked(redis))
    await add(redis, "a", "0")
    assert await begun == ["0"]
    for number in range(1, 2_001):
        await add(redis, "a", str(number))
    wanted = [str(number) for number in range(2_001)]
    assert await heard == wanted
    assert max(len(thing.waiting) for thing in gc.get_objects() if isinstance(thing, Reader)) == BATCH
    assert await words(slow, 2_000) == wanted[1:]
    await slow.aclose()
    await fast.aclose()


@pytest.mark.parametrize("turned", [False, True])
async def test_a_key_that_cannot_be_read_harms_no_other(redis: Redis, *, turned: bool) -> None:
    """From the start, or turned into one while it is read; once it is a stream again it is read."""
    if not turned:
        await redis.set("bad", "text")
    good, bad = follow(redis, "good", "0-0"), follow(redis, "bad", "0-0")
    one, two = waiting(good), waiting(bad)
    await until(lambda: blocked(redis))
    if turned:
        await add(redis, "good", "both are read")
        assert await one == ["both are read"]
        one = waiting(good)
        await redis.set("bad", "text")
    await add(redis, "good", "g")
    assert await one == ["g"]
    await redis.delete("bad")
    await add(redis, "bad", "b")
    assert await two == ["b"]
    await good.aclose()
    await bad.aclose()


async def test_a_fault_of_our_own_reaches_the_reader(redis: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits for ever for a blocking read that has ended."""

    def broken(_: object) -> None:
        raise ValueError("x")

    entries = follow(redis, "a", "0-0")
    heard = waiting(entries)
    await until(lambda: blocked(redis))
    monkeypatch.setattr(module, "order", broken)
    await add(redis, "a", "a1")
    with pytest.raises(ValueError, match="x"):
        await heard


async def test_brokers_do_not_share_their_troubles(tmp_path: Path) -> None:
    """One is gone, the other's readers hear; it comes back empty, and its old reader and a new one hear what is new."""
    brokers = [Broker(tmp_path / name) for name in "ab"]
    try:
        for broker in brokers:
            broker.start()
        bus = Bus(brokers[0].url, [broker.url for broker in brokers])
        gone, stays = bus.lives
        entries = [follow(redis, "k", "0-0") for redis in (gone, stays)]
        for redis, reader in zip((gone, stays), entries, strict=True):
            heard = waiting(reader)
            await until(lambda: blocked(redis))  # noqa: B023  awaited at once
            await redis.xadd("k", {"k": "far"}, id="9999999999999-0")
            assert await heard == ["far"]
        old, other = waiting(entries[0], 2), waiting(entries[1])
        brokers[0].kill()
        await stays.xadd("k", {"k": "here"}, id="9999999999999-1")
        assert await other == ["here"]
        late = follow(gone, "k", "9999999999999-0")
        new = waiting(late, 2)
        with pytest.raises(TROUBLE):
            await add(gone, "k", "nobody")
        brokers[0].start()
        await add(gone, "k", "new")
        await until(lambda: blocked(gone))
        await add(gone, "k", "newer")
        assert (await old, await new) == (["new", "newer"], ["new", "newer"])
        for reader in (*entries, late):
            await reader.aclose()
        await bus.close()
    finally:
        for broker in brokers:
            broker.kill()
