"""The microphone on a real broker."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from services.contract import streams
from services.runtime.bus import Bus
from services.runtime.mic import Mic, MicItem


@pytest.fixture
async def bus(broker_url: str, live_url: str) -> AsyncIterator[Bus]:
    bus = Bus(broker_url, [live_url])
    yield bus
    await bus.close()


async def take(mic: Mic, after: str, count: int) -> list[MicItem]:
    items: list[MicItem] = []
    async with asyncio.timeout(20):
        async for item in mic.read("s", after):
            items.append(item)
            if len(items) == count:
                break
    return items


async def test_frames_come_with_their_place_and_time(bus: Bus) -> None:
    """From any position, of any length; the time is the broker's."""
    mic = Mic(bus)
    assert await mic.last("s") is None
    first = await mic.write("s", 0, b"\1\0" * 3)
    second = await mic.write("s", 3, b"\2\0")
    wanted = [
        MicItem(first, int(first.split("-")[0]), 0, b"\1\0" * 3),
        MicItem(second, int(second.split("-")[0]), 3, b"\2\0"),
    ]
    assert await take(mic, "0-0", 2) == wanted
    assert await mic.range("s") == wanted
    assert await mic.range("s", first) == wanted[1:]
    assert await mic.last("s") == wanted[1]
    assert [item.until_sample for item in wanted] == [3, 4]


async def test_old_sound_goes(bus: Bus) -> None:
    """What is older than is kept is trimmed with the next frames; a call that is over expires as a whole."""
    mic, live = Mic(bus), bus.live("s")
    raw: Any = live
    for number in range(1, 301):
        await raw.xadd("mic:s", {"t": "AudioHeard", "j": f'{{"at_sample":{number}}}', "b": b"\0\0"}, id=f"{number}-0")
    await mic.write("s", 301, b"\0\0")
    assert len(await mic.range("s")) <= 100
    assert 0 < await raw.ttl("mic:s") <= streams.MIC_IDLE_S


async def test_what_is_no_frame_is_passed_over(bus: Bus) -> None:
    """Neither foreign bytes nor another message stop the reader; half a sample at the end is none."""
    mic, raw = Mic(bus), bus.live("s")
    foreign: Any = raw
    await foreign.xadd("mic:s", {"x": "y"})
    await foreign.xadd("mic:s", {"t": "Interrupted", "j": '{"epoch":1,"by":"x"}'})
    assert await mic.last("s") is None
    await mic.write("s", 0, b"\1\0\1")
    assert [(item.at_sample, item.pcm) for item in await take(mic, "0-0", 1)] == [(0, b"\1\0")]


async def test_a_listener_outlives_its_broker(bus: Bus) -> None:
    """The broker comes back empty, with a clock behind the listener's position: what is new is heard."""
    mic, live = Mic(bus), bus.live("s")
    raw: Any = live
    await raw.xadd("mic:s", {"t": "AudioHeard", "j": '{"at_sample":0}', "b": b"\0\0"}, id="9999999999999-0")
    frames = mic.read("s", "0-0")
    async with asyncio.timeout(20):
        assert (await anext(frames)).at_sample == 0
        await raw.flushall()
        waiting = asyncio.ensure_future(anext(frames))
        while not (readers := [c["id"] for c in await raw.client_list() if c["cmd"] == "xread"]):
            await asyncio.sleep(0.01)
        await mic.write("s", 7, b"\1\0")
        for reader in readers:
            await raw.client_kill_filter(_id=reader)
        assert (await waiting).at_sample == 7
    await frames.aclose()
