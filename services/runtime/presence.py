"""Presence: a process says on work, once a second, who it is, what it does and whether it can."""

import asyncio
import json
import os
import secrets
import socket
from collections.abc import Mapping, Sequence
from typing import Any, cast

from redis.asyncio import Redis

from services import __version__
from services.contract import streams
from services.runtime.clock import now_ms
from services.runtime.health import Health
from services.runtime.trouble import TROUBLE, tell

BEAT_S = 1.0
DRAIN = "drain"
"""The part under which a process that ends reports it."""


class Presence:
    """One process, from its start to the end of its drain; it vanishes by itself `LEASE_MS` after it was killed."""

    def __init__(self, redis: Redis, health: Health, name: str, slots: Mapping[str, int]) -> None:
        self._redis = redis
        self._health = health
        self._member = f"{health.service}:{name or f'{health.service}-{secrets.token_hex(4)}'}"
        self._who = {
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "version": __version__,
            "since_ms": now_ms(),
            "slots": dict(slots),
        }
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Say it from now on."""
        self._task = asyncio.create_task(self._beats())

    async def _beats(self) -> None:
        while True:
            try:
                await self.beat()
            except TROUBLE as error:
                tell("presence", error)
            await asyncio.sleep(BEAT_S)

    async def beat(self) -> None:
        """Say it once."""
        health, now = self._health, now_ms()
        told = {**self._who, "problems": health.problems, "warnings": health.warnings}
        pipe = self._redis.pipeline(transaction=False)
        pipe.set(streams.WORKER.of(self._member), json.dumps(told), px=streams.LEASE_MS)
        pipe.zadd(streams.WORKERS, {self._member: now})
        pipe.zremrangebyscore(streams.WORKERS, "-inf", now - streams.GONE_KEPT_MS)
        await pipe.execute()

    async def alone(self) -> bool:
        """Whether no other process of this service works on.

        It says first how this one is: of several that drain at the same time, at least one finds itself alone.
        """
        await self.beat()
        told = _texts(await cast("Any", self._redis).zrange(streams.WORKERS, 0, -1))
        others = {member for member in told if member.startswith(f"{self._health.service}:")} - {self._member}
        bodies = await self._redis.mget([streams.WORKER.of(member) for member in others]) if others else []
        return all(DRAIN in json.loads(body)["problems"] for body in bodies if body)

    async def leave(self) -> None:
        """Say that it is gone."""
        if self._task:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        await self._redis.delete(streams.WORKER.of(self._member))
        await self._redis.zrem(streams.WORKERS, self._member)


async def lately(redis: Redis, service: str) -> bool:
    """Whether a process of that service lives, or vanished less than `GONE_KEPT_MS` ago and may be started again.

    One that ended as it should is not counted. Raises redis errors as they are.
    """
    told = await cast("Any", redis).zrangebyscore(streams.WORKERS, now_ms() - streams.GONE_KEPT_MS, "+inf")
    return any(member.startswith(f"{service}:") for member in _texts(told))


def _texts(found: Sequence[bytes]) -> list[str]:
    return [each.decode() for each in found]
