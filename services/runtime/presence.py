"""Presence: a process says on work, once a second, who it is, what it does and whether it can."""

import asyncio
import json
import os
import secrets
import socket
from collections.abc import Mapping

from redis.asyncio import Redis

from services import __version__
from services.contract import streams
from services.runtime.clock import now_ms
from services.runtime.health import Health
from services.runtime.trouble import TROUBLE, tell

BEAT_S = 1.0


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

    async def leave(self) -> None:
        """Say that it is gone."""
        if self._task:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        await self._redis.delete(streams.WORKER.of(self._member))
        await self._redis.zrem(streams.WORKERS, self._member)
