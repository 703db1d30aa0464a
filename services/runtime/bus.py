"""The brokers: work (durable, one) and live (fast, one or several, chosen by the session)."""

import asyncio
import contextlib
import zlib
from collections.abc import Sequence
from typing import Any, cast

from faststream.redis import RedisBroker
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import AuthenticationError, NoPermissionError
from redis.maint_notifications import MaintNotificationsConfig

from services.contract.failure import Code, Failure
from services.contract.streams import WORK_STREAMS
from services.runtime.reads import ensure_group
from services.runtime.trouble import HEAL_S, TROUBLE
from services.runtime.wire import mend

mend()
BLOCK_MS = 1_000
"""How long a read blocks: well under the time-out."""
TIMEOUT_S = 2.5
"""A broker that is silent for so long is in trouble. What was sent into a cut line is noticed only then."""
CONNECT_S = 2.0
PROBE_S = 1.5
"""As `TIMEOUT_S`, for the question whether it answers at all."""
FLOOR = (7, 0)
"""Oldest Redis whose commands are used."""
PROBE = "#!lua\nreturn 1"
"""Writes nothing, but is refused where writes are: a script with this first line and no flags counts as a writer."""


def connect(url: str, timeout_s: float = TIMEOUT_S) -> Redis:
    """A client that fails at once and leaves trying again to its caller, who knows what it means; raises Failure(BAD_CONFIG).

    Without maintenance notices, which no broker of ours sends: with them redis-py 8 hands out idle connections that the
    broker has closed, so that each fails once after a restart.
    """
    try:
        return Redis.from_url(  # pyright: ignore[reportUnknownMemberType]  redis-py leaves **kwargs untyped
            url,
            socket_timeout=timeout_s,
            socket_connect_timeout=CONNECT_S,
            retry=Retry(NoBackoff(), 0),
            maint_notifications_config=MaintNotificationsConfig(enabled=False),
        )
    except ValueError:
        remedy = "write redis://:password@host:6379/0 without more behind it"
        raise Failure(
            Code.BAD_CONFIG, f"the address of a broker has an option that Redis does not know; {remedy}"
        ) from None


class Bus:
    """Connections of one process to both brokers."""

    def __init__(self, work_url: str, live_urls: Sequence[str]) -> None:
        self.work = connect(work_url)
        self.lives = [connect(url) for url in live_urls]
        self.broker = RedisBroker(
            work_url,
            apply_types=False,
            logger=None,  # pyright: ignore[reportArgumentType]  None silences it
            socket_timeout=TIMEOUT_S,
            socket_connect_timeout=CONNECT_S,
        )
        self._probes = [("work", connect(work_url, PROBE_S)), *(("live", connect(url, PROBE_S)) for url in live_urls)]
        self._healing = asyncio.Lock()

    def live(self, session: str) -> Redis:
        """The live broker that holds this session: the same for every process with the same list."""
        return self.lives[zlib.crc32(session.encode()) % len(self.lives)]

    async def check(self) -> str:
        """'' if both brokers answer, take writes and are new enough, otherwise the sentence with the remedy.

        Raises Failure(BAD_CONFIG) where a broker refuses the password; where both do, of the work broker.
        """
        probes = (_probe(name, redis) for name, redis in self._probes)
        answers = await asyncio.gather(*probes, return_exceptions=True)
        for answer in answers:
            if isinstance(answer, BaseException):
                raise answer
        return next((str(problem) for problem in answers if problem), "")

    async def healed(self) -> None:
        """Wait until both brokers take writes; however many wait, one of them asks."""
        async with self._healing:
            while True:
                with contextlib.suppress(Failure):
                    if not await self.check():
                        return
                await asyncio.sleep(HEAL_S)

    async def ready(self, patience_s: float = 20) -> None:
        """Wait until both brokers answer; raises Failure(BUS_DOWN) with the reason after `patience_s`, BAD_CONFIG as `check`."""
        deadline = asyncio.get_running_loop().time() + patience_s
        while problem := await self.check():
            if asyncio.get_running_loop().time() > deadline:
                raise Failure(Code.BUS_DOWN, problem, retryable=True)
            await asyncio.sleep(0.2)

    async def groups(self, pools: Sequence[str] = ()) -> None:
        """Create every work stream's group at its beginning: what was published before its first reader is kept."""
        plain = [(s.key(), s.group) for s in WORK_STREAMS if "<pool>" not in s.name]
        pooled = [(s.key(pool), s.group) for s in WORK_STREAMS if "<pool>" in s.name for pool in pools]
        for key, group in [*plain, *pooled]:
            await ensure_group(self.work, key, group)

    async def close(self) -> None:
        """Close all connections."""
        for redis in (self.work, *self.lives, *(probe for _, probe in self._probes)):
            with contextlib.suppress(*TROUBLE):
                await redis.aclose()


async def _probe(name: str, redis: Redis) -> str:
    try:
        info = await redis.info("server")  # pyright: ignore[reportUnknownMemberType]  as in connect
    except (AuthenticationError, NoPermissionError) as error:
        remedy = f"check the password in {name.upper()}_REDIS_URL{'S' if name == 'live' else ''}"
        raise Failure(Code.BAD_CONFIG, f"the {name} broker lets nobody in like this ({error}); {remedy}") from error
    except Exception as error:  # noqa: BLE001  whatever the reason, it is said
        return f"the {name} broker does not answer ({error}); is it running, is its URL right?"
    version = str(info.get("redis_version", "0.0"))
    if tuple(int(part) for part in version.split(".")[:2]) < FLOOR:
        return f"the {name} broker is Redis {version}; 7.0 or newer is needed"
    try:
        await cast("Any", redis).eval(PROBE, 0)
    except Exception as error:  # noqa: BLE001  as above
        return f"the {name} broker takes no writes ({error}); is it a replica, is its memory or its disk full?"
    return ""
