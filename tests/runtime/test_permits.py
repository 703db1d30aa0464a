"""Permits and the rule that a second delivery runs alone."""

import asyncio

import pytest

from services.runtime.permits import Alone, Permits


async def settle() -> None:
    """Let every task that can run do so."""
    for _ in range(5):
        await asyncio.sleep(0)


async def test_urgent_takers_go_first() -> None:
    """Waiting calls are served before waiting shows, each in order."""
    permits, served = Permits(1), list[str]()

    async def take(name: str, *, urgent: bool) -> None:
        await permits.take(None, urgent=urgent)
        served.append(name)

    assert await permits.take(None, urgent=False)
    tasks = [asyncio.ensure_future(take(n, urgent=n[0] == "c")) for n in ("s1", "s2", "c1", "c2")]
    for _ in tasks:
        await settle()
        permits.give()
    await asyncio.gather(*tasks)
    assert served == ["c1", "c2", "s1", "s2"]


async def test_patience_ends() -> None:
    """A taker whose patience ends has no permit, and leaves none lost."""
    permits = Permits(1)
    assert await permits.take(0, urgent=True)
    assert not await permits.take(0, urgent=False)
    permits.give()
    assert await permits.take(0, urgent=False)


async def test_a_cancelled_taker_gives_its_permit_on() -> None:
    """A permit that was given in the moment of a cancellation is not lost."""
    permits = Permits(0)
    task = asyncio.ensure_future(permits.take(None, urgent=False))
    await settle()
    permits.give()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await permits.take(0, urgent=False)


async def test_a_second_delivery_runs_alone() -> None:
    """It waits for those inside, and those who come later wait for it."""
    alone, told = Alone(), list[str]()
    first, second = asyncio.Event(), asyncio.Event()

    async def together(name: str, gate: asyncio.Event) -> None:
        async with alone.shared():
            told.append(name)
            await gate.wait()

    async def by_itself(gate: asyncio.Event) -> None:
        async with alone.exclusive():
            told.append("alone")
            await gate.wait()

    tasks = [asyncio.ensure_future(together(name, first)) for name in ("a", "b")]
    await settle()
    tasks += [asyncio.ensure_future(by_itself(second)), asyncio.ensure_future(together("c", first))]
    await settle()
    assert told == ["a", "b"]
    first.set()
    await settle()
    assert told == ["a", "b", "alone"]
    second.set()
    await asyncio.gather(*tasks)
    assert told == ["a", "b", "alone", "c"]
