"""No row of the console lies: a worker is killed in the middle, and each row is held against the broker's own words."""

import asyncio
import os
import signal
from pathlib import Path
from typing import Any, cast

import pytest

from services.contract import streams
from services.contract.llm import SentenceReady
from services.runtime import envelope, janitor
from services.runtime.bus import Bus
from services.runtime.clock import now_ms
from services.runtime.work import Work
from tests.gateway.looking import Looker, looking
from tests.gateway.studio import running as gateway_running
from tests.redis.test_service import note, running

pytestmark = [pytest.mark.slow]
STREAM = "speak:espeak:show"
TEXT = "一二三四五六七八九十，" * 30
SENTENCES = 40
PATIENCE_S = 60


async def fill(bus: Bus) -> None:
    for index in range(SENTENCES):
        ready = SentenceReady(
            turn="t1", no=1, session="demo", epoch=0, index=index, text=TEXT, speak=TEXT, voice="plain",
            deadline_ms=now_ms() + 600_000,
        )  # fmt: skip
        await bus.work.xadd(STREAM, {"__data__": envelope.encode(ready)})


async def truth(bus: Bus) -> dict[str, Any]:
    """What the broker itself says of the stream."""
    work = cast("Any", bus.work)
    (group,) = await work.xinfo_groups(STREAM)
    stream = await work.xinfo_stream(STREAM)
    oldest = stream["first-entry"]
    return {
        "key": STREAM,
        "group": group["name"].decode(),
        "length": stream["length"],
        "pending": (await work.xpending(STREAM, "tts"))["pending"],
        "lag": group["lag"],
        "consumers": len(await work.xinfo_consumers(STREAM, "tts")),
        "oldest_ms": int(oldest[0].partition(b"-")[0]) if oldest else None,
    }


async def held(bus: Bus) -> set[tuple[str, str]]:
    """(entry, consumer) of all that is pending."""
    found = await cast("Any", bus.work).xpending_range(STREAM, "tts", "-", "+", 100)
    return {(one["message_id"].decode(), one["consumer"].decode()) for one in found}


def row(look: Looker) -> dict[str, Any]:
    told = look.stream(STREAM)
    return {name: told[name] for name in ("key", "group", "length", "pending", "lag", "consumers", "oldest_ms")}


def shown(look: Looker) -> dict[str, tuple[str, set[tuple[str, str]]]]:
    """Worker → (state, what it holds) of those of tts."""
    rows = [worker for worker in look.data["workers"] if worker["service"] == "tts"]
    return {w["name"]: (w["state"], {(hold["id"], hold["consumer"]) for hold in w["holds"]}) for w in rows}


async def test_a_killed_worker_is_told_as_it_is(tmp_path: Path, broker_url: str, live_url: str) -> None:
    """What it held stays pending, in its hands, and grows older; it is gone; another takes over; its names vanish."""
    urls = {"work": broker_url, "live": live_url}
    async with gateway_running(broker_url, live_url, rooms=("demo",), pools=("espeak",)) as gateway:
        bus = gateway.studio.bus
        with running("tts", tmp_path, urls) as first:
            await asyncio.to_thread(note, tmp_path, first)
            async with looking(gateway) as look:
                await look.until(lambda data: any(w["state"] == "ready" for w in data["workers"]))
                assert all(state == "ready" for state, _ in shown(look).values())
                async with asyncio.timeout(PATIENCE_S):
                    await fill(bus)
                    while not await held(bus):
                        await asyncio.sleep(0)
                os.kill(first.pid, signal.SIGKILL)
                first.wait()
                landed, facts = await held(bus), await truth(bus)
                assert landed, "it was killed with something in its hands"
                await _killed(look, landed, facts)
                before = facts["oldest_ms"], look.data["now_ms"]
                await look.next()
                assert (row(look)["oldest_ms"], look.data["now_ms"] > before[1]) == (before[0], True), "it grows older"
                folder = tmp_path / "second"
                folder.mkdir()
                with running("tts", folder, urls):
                    await _taken_over(look, bus)
                names = {consumer.rpartition("-")[0] for _, consumer in landed}
                await _forgotten(look, bus, names)


async def _killed(look: Looker, landed: set[tuple[str, str]], facts: dict[str, Any]) -> None:
    (name,) = {consumer.rpartition("-")[0] for _, consumer in landed}
    async with asyncio.timeout(PATIENCE_S):
        while shown(look).get(name) != ("gone", landed):
            await look.next()
    assert row(look) == facts
    (pool,) = [pool for pool in look.data["pools"] if pool["pool"] == "espeak"]
    assert (pool["busy"], pool["waiting"]) == (len(landed), facts["length"] - len(landed))
    async with asyncio.timeout(PATIENCE_S):
        while look.data["pools"][0]["living"]:
            await look.next()
    assert look.data["pools"][0]["workers"] == 0


async def _taken_over(look: Looker, bus: Bus) -> None:
    """By another worker, who says so."""
    async with asyncio.timeout(PATIENCE_S):
        while not any(state == "ready" and holds for state, holds in shown(look).values()):
            await look.next()
        while row(look)["length"]:
            await look.next()
    facts = await truth(bus)
    assert row(look) == facts
    assert facts["pending"] == 0


async def _forgotten(look: Looker, bus: Bus, names: set[str]) -> None:
    """The consumers of who is gone are forgotten by the janitor, then the console shows as many as there are."""
    many = row(look)["consumers"]
    work = Work(bus.work)
    await janitor.sweep(work, [(STREAM, streams.SPEAK_SHOW.group)], idle_ms=0)
    facts = await truth(bus)
    assert facts["consumers"] < many
    async with asyncio.timeout(PATIENCE_S):
        while row(look) != facts:
            await look.next()
    left = [one["name"].decode() for one in await cast("Any", bus.work).xinfo_consumers(STREAM, "tts")]
    assert not [one for one in left if one.rpartition("-")[0] in names]
