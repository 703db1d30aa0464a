"""Brokers that ask for a password, which stands in a file and in no argument; they may be killed, and told another one."""

import asyncio
import contextlib
import json
from pathlib import Path
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import RedisError

from onair.brokers import HOST, LIVE, WORK, binary, free_port
from services.runtime.bus import connect
from tests.chaos.brokers import die_with_parent
from tests.security.canaries import Canary

PATIENCE_S = 20


class Locked:
    """One broker; it answers at the same address after each start."""

    def __init__(self, name: str, folder: Path, canary: Canary) -> None:
        self.port = free_port(0)
        self.canary = canary
        self.url = f"redis://:{canary.quoted}@{HOST}:{self.port}/0"
        self._settings = WORK if name == "work" else LIVE
        self._folder = folder / name
        self._process: asyncio.subprocess.Process | None = None

    async def start(self, password: str = "") -> None:
        """Start it, with another password if one is given, and wait until it answers."""
        self._folder.mkdir(exist_ok=True)
        own = password or self.canary.value
        file = self._folder / "broker.conf"
        file.write_text(f"requirepass {json.dumps(own)}\n", encoding="utf-8")
        place = ("--bind", HOST, "--port", str(self.port), "--dir", str(self._folder), "--logfile", str(self.log))
        self._process = await asyncio.create_subprocess_exec(
            str(binary()),
            str(file),
            *place,
            *self._settings,
            stdout=asyncio.subprocess.DEVNULL,
            preexec_fn=die_with_parent,
        )
        redis = Redis(host=HOST, port=self.port, password=own)
        try:
            async with asyncio.timeout(PATIENCE_S):
                while not await _answers(redis):
                    await asyncio.sleep(0.02)
        finally:
            await redis.aclose()

    @property
    def log(self) -> Path:
        """What it writes."""
        return self._folder / "log"

    async def kill(self) -> None:
        """SIGKILL; it is gone when this returns."""
        if self._process:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
            await self._process.wait()

    async def dump(self) -> list[tuple[str, bytes]]:
        """Every key, once with its own name and once with each part of what it holds."""
        redis: Any = connect(self.url)
        try:
            keys = [key async for key in redis.scan_iter(count=1_000)]
            return [(key.decode(), part) for key in keys for part in (key, *await _parts(redis, key))]
        finally:
            await redis.aclose()


async def _answers(redis: Redis) -> bool:
    try:
        return bool(await redis.ping())  # pyright: ignore[reportUnknownMemberType, reportGeneralTypeIssues]  redis-py leaves it open
    except (RedisError, OSError):
        return False


async def _parts(redis: Any, key: bytes) -> list[bytes]:
    """Of a value of any type."""
    match (await redis.type(key)).decode():
        case "string":
            found = [await redis.get(key)]
        case "hash":
            found = [part for pair in (await redis.hgetall(key)).items() for part in pair]
        case "stream":
            found = [part for _, fields in await redis.xrange(key) for pair in fields.items() for part in pair]
        case "zset":
            found = await redis.zrange(key, 0, -1)
        case "set":
            found = list(await redis.smembers(key))
        case _:
            found = await redis.lrange(key, 0, -1)
    return [part for part in found if part]
