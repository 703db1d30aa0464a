"""The brokers: work (durable, one) and live (fast, one or several, chosen by the session)."""

import asyncio
import contextlib
import zlib
from collections.abc import Sequence
from typing import Any

import structlog
from faststream.redis import RedisBroker
from faststream.redis.subscriber.usecases import stream_subscriber
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import AuthenticationError, NoPermissionError, RedisError, ResponseError
from redis.exceptions import ConnectionError as RedisConnectionError

from services.contract.failure import Code, Failure
from services.contract.streams import LISTEN, TURNS, WORK_STREAMS
from services.runtime.logs import Throttle
from services.runtime.metrics import BUS_ERRORS
from services.runtime.wire import mend

mend()
log = structlog.get_logger(__name__)
HEAL_S = 0.3
"""Pause before a failed read is tried again."""
BLOCK_MS = 1_000
"""How long a read blocks: well under the socket's time-out of 5 s."""
FLOOR = (7, 0)
"""Oldest Redis whose commands are used."""


def connect(url: str) -> Redis:
    """A client that fails at once and leaves trying again to its caller, who knows what it means."""
    retry = Retry(NoBackoff(), 0)
    return Redis.from_url(url, socket_timeout=5, socket_connect_timeout=2, retry=retry)  # pyright: ignore[reportUnknownMemberType]  redis-py leaves **kwargs untyped


class Bus:
    """Connections of one process to both brokers."""

    def __init__(self, work_url: str, live_urls: Sequence[str]) -> None:
        self.work = connect(work_url)
        self.lives = [connect(url) for url in live_urls]
        self.broker = RedisBroker(work_url, apply_types=False, logger=None)  # pyright: ignore[reportArgumentType]  None silences it

    def live(self, session: str) -> Redis:
        """The live broker that holds this session: the same for every process with the same list."""
        return self.lives[zlib.crc32(session.encode()) % len(self.lives)]

    async def check(self) -> str:
        """'' if both brokers answer and are new enough, otherwise the sentence with the remedy.

        Raises Failure(BAD_CONFIG) where a broker refuses the password.
        """
        for name, redis in (("work", self.work), *(("live", live) for live in self.lives)):
            try:
                info = await redis.info("server")  # pyright: ignore[reportUnknownMemberType]  as in connect
            except (AuthenticationError, NoPermissionError) as error:
                remedy = f"check the password in {name.upper()}_REDIS_URL{'S' if name == 'live' else ''}"
                raise Failure(
                    Code.BAD_CONFIG, f"the {name} broker lets nobody in like this ({error}); {remedy}"
                ) from error
            except Exception as error:  # noqa: BLE001  whatever the reason, it is said
                return f"the {name} broker does not answer ({error}); is it running, is its URL right?"
            version = str(info.get("redis_version", "0.0"))
            if tuple(int(part) for part in version.split(".")[:2]) < FLOOR:
                return f"the {name} broker is Redis {version}; 7.0 or newer is needed"
        return ""

    async def ready(self, patience_s: float = 20) -> None:
        """Wait until both brokers answer; raises Failure(BUS_DOWN) with the reason after `patience_s`, BAD_CONFIG as `check`."""
        deadline = asyncio.get_running_loop().time() + patience_s
        while problem := await self.check():
            if asyncio.get_running_loop().time() > deadline:
                raise Failure(Code.BUS_DOWN, problem, retryable=True)
            await asyncio.sleep(0.2)

    async def groups(self, pools: Sequence[str] = ()) -> None:
        """Create every work stream's group at its beginning: what was published before its first reader is kept."""
        plain = [(stream.key(), stream.group) for stream in (TURNS, LISTEN)]
        pooled = [(s.key(pool), s.group) for s in WORK_STREAMS if "<pool>" in s.name for pool in pools]
        for key, group in [*plain, *pooled]:
            await ensure_group(self.work, key, group)

    async def close(self) -> None:
        """Close all connections."""
        for redis in (self.work, *self.lives):
            with contextlib.suppress(RedisError, OSError):
                await redis.aclose()


async def ensure_group(redis: Redis, key: str, group: str) -> None:
    """Create the group at 0 if it is not there."""
    try:
        await redis.xgroup_create(key, group, id="0", mkstream=True)
    except ResponseError as error:
        if "BUSYGROUP" not in str(error):
            raise


def calm(client: Redis) -> None:
    """Keep FastStream's readers of this client alive and quiet whatever the broker answers.

    FastStream stops a reader whose group is gone and re-reads without a pause after any other error reply. Here a lost
    group is made again, and every other error reply becomes a lost connection, which FastStream waits out.
    """
    setattr(stream_subscriber, "CONSUME_ERROR_BACKOFF_SECONDS", HEAL_S)  # noqa: B010  no setting, and no export, for it
    read, claim, throttle = client.xreadgroup, client.xautoclaim, Throttle()

    async def guarded(call: Any, stream: str, group: str, empty: Any, kwargs: Any) -> Any:  # noqa: ANN401
        try:
            return await call(**kwargs)
        except (RedisError, OSError) as error:
            BUS_ERRORS.labels(type(error).__name__).inc()
            if throttle.ready():
                log.warning("reading work failed, trying again", stream=stream, error=str(error))
            if "NOGROUP" in str(error):
                await ensure_group(client, stream, group)
                return empty
            raise RedisConnectionError(str(error)) from error

    async def xreadgroup(**kwargs: Any) -> Any:  # noqa: ANN401
        return await guarded(read, next(iter(kwargs["streams"])), kwargs["groupname"], [], kwargs)

    async def xautoclaim(**kwargs: Any) -> Any:  # noqa: ANN401
        return await guarded(claim, kwargs["name"], kwargs["groupname"], [b"0-0", [], []], kwargs)

    vars(client).update(xreadgroup=xreadgroup, xautoclaim=xautoclaim)
