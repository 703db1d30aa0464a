"""What a stream of the live broker holds."""

from typing import cast

from redis.asyncio import Redis

RawEntry = tuple[bytes, dict[bytes, bytes]]


async def newest(redis: Redis, key: str) -> RawEntry | None:
    """The last entry, None if there is none."""
    found = cast("list[RawEntry]", await redis.xrevrange(key, count=1))
    return found[0] if found else None


async def beyond(redis: Redis, key: str, after: str) -> list[RawEntry]:
    """What the stream holds after that id; all of it after `-`."""
    first = after if after == "-" else f"({after}"
    return cast("list[RawEntry]", await redis.xrange(key, first))


def order(id_: str | bytes) -> tuple[int, int]:
    """The id's place among the ids of its stream."""
    text = id_ if isinstance(id_, str) else id_.decode()
    ms, _, number = text.partition("-")
    return int(ms), int(number or 0)
