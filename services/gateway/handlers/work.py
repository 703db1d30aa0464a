"""Reads what waits and who works: streams, groups, what is pending, processes, pools."""

from collections.abc import Mapping, Sequence
from typing import Any, cast

from redis.asyncio import Redis

from services.contract import streams
from services.gateway.core.console import crew, flow
from services.runtime import envelope
from services.runtime.clock import now_ms

BATCH = 50
"""Streams that are asked for in one round trip."""
HELD = 200
"""Pending entries that are looked at, of all streams."""
SCANS, STEP = 4, 500
"""Keys of the broker that are looked through in each reading, for streams that the configuration does not name."""
KNOWN = 500
"""Streams that are read."""


class Streams:
    """The work streams of one broker."""

    def __init__(self, redis: Redis, pools: Sequence[str]) -> None:
        self._redis = cast("Any", redis)
        plain = [stream.key() for stream in streams.WORK_STREAMS if "<pool>" not in stream.name]
        self._named = [*plain, *(streams.speak(pool, kind) for pool in pools for kind in ("call", "room"))]
        self._found: dict[str, None] = {}
        self._cursor = 0
        self._meter = flow.Meter()
        self._watch = crew.Watch()

    def minutes(self) -> dict[str, Any]:
        """The last minute of each stream."""
        return self._meter.minutes()

    async def read(self) -> dict[str, Any]:
        """How things stand."""
        await self._look_around()
        seen = await self._seen([*self._named, *(key for key in self._found if key not in self._named)][:KNOWN])
        rows = self._meter.feed(seen, now_ms())
        holds = self._watch.feed(await self._held(rows), now_ms())
        members = await self._members()
        workers = crew.workers(members, holds)
        names = {pool for row in rows if (pool := _pool(row["key"]))}
        living = await self._living(names)
        return {"streams": rows, "workers": workers, "pools": crew.pools(names, living, workers, rows)}

    async def _look_around(self) -> None:
        """Go on looking for streams of other pools, a little at a time."""
        for _ in range(SCANS):
            self._cursor, keys = await self._redis.scan(self._cursor, match=streams.SPEAK_ANY, count=STEP)
            self._found.update((key.decode(), None) for key in keys)
            if not self._cursor:
                return

    async def _seen(self, keys: Sequence[str]) -> list[flow.Seen]:
        """Each stream that exists."""
        seen: list[flow.Seen] = []
        for at in range(0, len(keys), BATCH):
            part = keys[at : at + BATCH]
            pipe = self._redis.pipeline(transaction=False)
            for key in part:
                pipe.xinfo_stream(key)
                pipe.xinfo_groups(key)
            answers = await pipe.execute(raise_on_error=False)
            for key, stream, groups in zip(part, answers[::2], answers[1::2], strict=True):
                if isinstance(stream, Exception):
                    _raise_unless_missing(stream)
                    self._found.pop(key, None)
                elif not isinstance(groups, Exception):
                    seen.append(_stream(key, stream, groups))
        return seen

    async def _held(self, rows: Sequence[Mapping[str, Any]]) -> list[crew.Held]:
        """What is pending, with its message."""
        busy = [row for row in rows if row["pending"]]
        pipe = self._redis.pipeline(transaction=False)
        for row in busy:
            pipe.xpending_range(row["key"], row["group"], "-", "+", HELD)
        found = [
            (row, one) for row, ones in zip(busy, await pipe.execute() if busy else [], strict=True) for one in ones
        ][:HELD]
        for row, one in found:
            pipe.xrange(row["key"], one["message_id"], one["message_id"])
        bodies: list[Any] = await pipe.execute() if found else []
        return [_held(row, one, entries) for (row, one), entries in zip(found, bodies, strict=True)]

    async def _members(self) -> dict[str, tuple[int, bytes | None]]:
        """Every process that was heard of lately, with what it says if it lives."""
        heard = await self._redis.zrange(streams.WORKERS, 0, -1, withscores=True)
        names = [name.decode() for name, _ in heard]
        said: list[Any] = await self._redis.mget([streams.WORKER.of(name) for name in names]) if names else []
        return {name: (int(at), body) for name, (_, at), body in zip(names, heard, said, strict=True)}

    async def _living(self, pools: set[str]) -> dict[str, str]:
        names = sorted(pools)
        said: list[Any] = await self._redis.mget([streams.POOL.of(name) for name in names]) if names else []
        return {name: who.decode() for name, who in zip(names, said, strict=True) if who is not None}


def _raise_unless_missing(error: Exception) -> None:
    """A stream that is not there yet is none; everything else is the broker's trouble."""
    if "no such key" not in str(error):
        raise error


def _stream(key: str, stream: Mapping[str, Any], groups: Sequence[Mapping[str, Any]]) -> flow.Seen:
    first = stream["first-entry"]
    return flow.Seen(
        key=key,
        length=stream["length"],
        added=stream["entries-added"],
        oldest_ms=int(first[0].partition(b"-")[0]) if first else None,
        groups=tuple(
            flow.Group(group["name"].decode(), group["consumers"], group["pending"], group.get("lag"))
            for group in groups
        ),
    )


def _held(
    row: Mapping[str, Any], one: Mapping[str, Any], entries: Sequence[tuple[bytes, dict[bytes, bytes]]]
) -> crew.Held:
    body = envelope.body(entries[0][1].get(b"__data__", b"")) if entries and entries[0][1] else b""
    id_, consumer = one["message_id"].decode(), one["consumer"].decode()
    return crew.Held(row["key"], row["group"], id_, consumer, one["times_delivered"], body)


def _pool(key: str) -> str:
    """The pool of a stream's key, '' for a stream without one."""
    return key.split(":")[1] if key.count(":") > 1 else ""
