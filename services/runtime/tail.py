"""A stream of the live broker: what is added to it, what it holds."""

from collections.abc import Sequence
from typing import Any, cast

from redis.asyncio import Redis

from services.contract.message import Message
from services.runtime.clock import now_ms

RawEntry = tuple[bytes, dict[bytes, bytes]]


async def append(redis: Redis, key: str, message: Message, blob: bytes, *, kept_ms: int, idle_s: int) -> str:
    """Add an entry; its id. Older ones are trimmed after `kept_ms`, the whole stream is gone after `idle_s` without a new one."""
    return (await extend(redis, key, [(message, blob)], kept_ms=kept_ms, idle_s=idle_s))[0]


async def extend(
    redis: Redis, key: str, entries: Sequence[tuple[Message, bytes]], *, kept_ms: int, idle_s: int
) -> list[str]:
    """As `append`, several in one round trip, in this order."""
    pipe = redis.pipeline(transaction=False)
    for message, blob in entries:
        fields: dict[bytes | str, bytes | str] = {"t": message.type, "j": message.to_json()}
        if blob:
            fields["b"] = blob
        pipe.xadd(key, cast("Any", fields), minid=f"{now_ms() - kept_ms}-0", approximate=True)
    pipe.expire(key, idle_s)
    *written, _ = await pipe.execute()
    return [cast("bytes", id_).decode() for id_ in written]


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
