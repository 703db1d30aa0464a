"""Cancelling a task that talks to the broker."""

import asyncio
from typing import Any

from services.runtime.bus import connect


async def test_a_cancelled_reader_ends(broker_url: str) -> None:
    """However close the cancellation comes to a send, the reader ends: sixty times out of sixty."""
    redis: Any = connect(broker_url)

    async def read() -> None:
        while True:
            for _, entries in await redis.xreadgroup("g", "me", {"s": ">"}, count=1, block=1_000):
                await redis.xack("s", "g", entries[0][0])

    await redis.xgroup_create("s", "g", id="0", mkstream=True)
    for steps in range(60):
        reader = asyncio.ensure_future(read())
        await redis.xadd("s", {"a": "b"})
        for _ in range(steps):
            await asyncio.sleep(0)
        reader.cancel()
        async with asyncio.timeout(5):
            await asyncio.gather(reader, return_exceptions=True)
        assert reader.cancelled()
    await redis.aclose()
