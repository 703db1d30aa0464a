"""Who attends a session: a lease on the work broker, which its holder renews and which ends by itself when he does not."""

import secrets
from typing import cast

from redis.asyncio import Redis

from services.contract import streams
from services.runtime import scripts


class Attend:
    """One worker's claim on one call or conversation. Raises redis errors as they are."""

    def __init__(self, redis: Redis, session: str, worker: str) -> None:
        self._redis = redis
        self._scripts = scripts.Scripts(redis)
        self._key = streams.ATTEND.of(session)
        self.me = f"{worker}-{secrets.token_hex(4)}"

    async def take(self) -> bool:
        """Whether nobody else has it: it is ours for `LEASE_MS`."""
        return bool(await self._redis.set(self._key, self.me, nx=True, px=streams.LEASE_MS))

    async def renew(self) -> bool:
        """Whether it is still ours: it is for `LEASE_MS` more."""
        return bool(await self._scripts.run(scripts.RENEW, [self._key], [self.me, streams.LEASE_MS]))

    async def ours(self) -> bool:
        """Whether it is still ours; writes nothing."""
        return cast("bytes | None", await self._redis.get(self._key)) == self.me.encode()

    async def release(self) -> None:
        """Give it back, if it is ours."""
        await self._scripts.run(scripts.RELEASE, [self._key], [self.me])
