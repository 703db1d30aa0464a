"""Sessions on a real broker."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from services.contract.gateway import Interrupted
from services.contract.tts import SpeechChunk
from services.runtime.bus import Bus
from services.runtime.sessions import Item, Sessions
from services.runtime.work import Work


@pytest.fixture
async def bus(broker_url: str, live_url: str) -> AsyncIterator[Bus]:
    bus = Bus(broker_url, [live_url])
    yield bus
    await bus.close()


def chunk(number: int) -> SpeechChunk:
    return SpeechChunk(turn="t", index=0, attempt=1, chunk=number, sample_offset=0)


async def take(sessions: Sessions, after: str, count: int) -> list[Item]:
    items: list[Item] = []
    async with asyncio.timeout(20):
        async for item in sessions.read("s", after):
            items.append(item)
            if len(items) == count:
                break
    return items


async def test_what_is_published_is_read_in_order_with_its_bytes(bus: Bus) -> None:
    """From any position; the entry's time is the broker's."""
    sessions = Sessions(bus)
    ids = [await sessions.publish("s", chunk(number), bytes([number] * 4)) for number in range(3)]
    items = await take(sessions, "0-0", 3)
    assert [(item.id, item.blob) for item in items] == list(zip(ids, [b"\0" * 4, b"\1" * 4, b"\2" * 4], strict=True))
    assert [item.message for item in await take(sessions, ids[1], 1)] == [chunk(2)]
    assert items[0].ms == int(ids[0].split("-")[0])
    assert await sessions.last_id("s") == ids[2]
    assert [item.id for item in await sessions.range("s", ids[0])] == ids[1:]
    assert await sessions.last_id("nobody") == "0-0"


async def test_an_entry_that_does_not_parse_is_passed_over(bus: Bus) -> None:
    """One bad publisher does not stop a reader."""
    live: Any = bus.live("s")
    await live.xadd("session:s", {"t": "Nonsense", "j": "{}"})
    await live.xadd("session:s", {"t": b"\xff", "j": "{}"})
    sessions = Sessions(bus)
    await sessions.publish("s", chunk(1))
    assert [item.message for item in await take(sessions, "0-0", 1)] == [chunk(1)]


async def test_an_interrupt_raises_the_epoch_and_is_told(bus: Bus) -> None:
    """Work knows first, then the session."""
    sessions, work = Sessions(bus), Work(bus.work)
    assert await sessions.interrupt(work, "s", "operator") == 1
    assert await work.epoch("s") == 1
    assert [item.message for item in await sessions.range("s")] == [Interrupted(epoch=1, by="operator")]


async def test_a_reader_outlives_its_broker(bus: Bus) -> None:
    """The broker comes back empty, with a clock behind the reader's position: the reader hears what is new."""
    sessions, live = Sessions(bus), bus.live("s")
    raw: Any = live
    await raw.xadd("session:s", {"t": "Interrupted", "j": '{"epoch":1,"by":"x"}'}, id="9999999999999-0")
    items = sessions.read("s", "0-0")
    async with asyncio.timeout(20):
        assert (await anext(items)).id == "9999999999999-0"
        await raw.flushall()
        waiting = asyncio.ensure_future(anext(items))
        while not (readers := [c["id"] for c in await raw.client_list() if c["cmd"] == "xread"]):
            await asyncio.sleep(0.01)
        await sessions.publish("s", chunk(7))
        for reader in readers:
            await raw.client_kill_filter(_id=reader)
        assert (await waiting).message == chunk(7)
    await items.aclose()
