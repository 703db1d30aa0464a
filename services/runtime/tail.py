"""Reading a stream of the live broker as it grows: entries as they come, for ever, whatever the broker does."""

import asyncio
from collections.abc import AsyncGenerator
from typing import Any, cast

from redis.asyncio import Redis

from services.runtime.bus import BLOCK_MS
from services.runtime.trouble import HEAL_S, TROUBLE, tell

BATCH = 200
RawEntry = tuple[bytes, dict[bytes, bytes]]


async def follow(redis: Redis, key: str, after: str) -> AsyncGenerator[RawEntry]:
    """Entries after that id, by one blocking read at a time; heals by itself when the broker goes and comes back."""
    broken = False
    while True:
        try:
            if broken and await _went_back(redis, key, after):
                after = "0-0"
            broken = False
            found = cast("Any", await redis.xread({key: after}, count=BATCH, block=BLOCK_MS))
        except TROUBLE as error:
            tell(f"reading {key}", error)
            await asyncio.sleep(HEAL_S)
            broken = True
            continue
        entries: list[RawEntry] = found[0][1] if found else []
        for entry in entries:
            after = entry[0].decode()
            yield entry


async def newest(redis: Redis, key: str) -> RawEntry | None:
    """The last entry, None if there is none."""
    found = cast("list[RawEntry]", await redis.xrevrange(key, count=1))
    return found[0] if found else None


async def beyond(redis: Redis, key: str, after: str) -> list[RawEntry]:
    """What the stream holds after that id; all of it after `-`."""
    first = after if after == "-" else f"({after}"
    return cast("list[RawEntry]", await redis.xrange(key, first))


async def _went_back(redis: Redis, key: str, after: str) -> bool:
    """Whether the broker, which keeps nothing, came back with a clock behind the reader's position."""
    last = await newest(redis, key)
    return last is not None and _order(last[0].decode()) < _order(after)


def _order(id_: str) -> tuple[int, int]:
    ms, _, number = id_.partition("-")
    return int(ms), int(number or 0)
