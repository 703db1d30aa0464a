"""Consumers that are gone are forgotten; whoever holds an entry, or has just asked, is not."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.contract import streams
from services.runtime import janitor
from services.runtime.bus import Bus, ensure_group
from services.runtime.work import Work

TURNS = streams.TURNS.key()
Client = Any


@pytest.fixture
async def redis(broker_url: str, live_url: str) -> AsyncIterator[Client]:
    bus = Bus(broker_url, [live_url])
    await ensure_group(bus.work, TURNS, "llm")
    yield bus.work
    await bus.close()


async def names(redis: Client) -> set[str]:
    return {consumer["name"].decode() for consumer in await redis.xinfo_consumers(TURNS, "llm")}


async def test_only_who_holds_nothing_and_has_not_asked_for_long_is_forgotten(redis: Client) -> None:
    """A consumer with a pending entry stays with it, however long it is idle; one that asked just now stays, too."""
    work = Work(redis)
    await redis.xadd(TURNS, {"a": "b"})
    await redis.xreadgroup("llm", "holder", {TURNS: ">"}, count=1)
    await redis.xgroup_createconsumer(TURNS, "llm", "empty")  # Redis 7.0 makes none at a read that finds nothing
    assert await janitor.sweep(work, [(TURNS, "llm")], idle_ms=60_000) == 0
    assert await names(redis) == {"holder", "empty"}
    assert await janitor.sweep(work, [(TURNS, "llm"), ("no such", "llm"), (TURNS, "none")], idle_ms=0) == 1
    assert await names(redis) == {"holder"}
    assert (await redis.xpending(TURNS, "llm"))["pending"] == 1


STEPS = st.lists(
    st.tuples(st.sampled_from(["read", "ack", "claim", "sweep"]), st.sampled_from(["a", "b", "c"])), max_size=40
)


@pytest.mark.slow
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(STEPS)
async def test_no_sweep_loses_an_entry(redis: Client, steps: list[tuple[str, str]]) -> None:
    """However readers take, claim and finish entries between sweeps, each is pending, finished or unread."""
    work, finished, added = Work(redis), 0, 0
    await redis.delete(TURNS)
    await ensure_group(redis, TURNS, "llm")
    for step, name in steps:
        if step == "read":
            await redis.xadd(TURNS, {"a": "b"})
            added += 1
            await redis.xreadgroup("llm", name, {TURNS: ">"}, count=1)
        elif step == "claim":
            await redis.xautoclaim(TURNS, "llm", name, 0, count=1)
        elif step == "sweep":
            await janitor.sweep(work, [(TURNS, "llm")], idle_ms=0)
        elif mine := await redis.xpending_range(TURNS, "llm", "-", "+", 1, name):
            finished += await redis.xack(TURNS, "llm", mine[0]["message_id"])
    await janitor.sweep(work, [(TURNS, "llm")], idle_ms=0)
    assert (await redis.xpending(TURNS, "llm"))["pending"] == added - finished
    holders = {entry["consumer"].decode() for entry in await redis.xpending_range(TURNS, "llm", "-", "+", 100)}
    assert await names(redis) == holders
