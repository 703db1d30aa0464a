"""Who wants a conversation, and who is in it: a conversation is joined while anybody listens, and by one process at a time.

A gateway with listeners holds an interest in the conversation, which ends by itself when the gateway does not renew it. So
the last listener's end ends the call in any case, and a killed gateway holds none open.
"""

import asyncio
import secrets
from dataclasses import dataclass
from typing import cast

from redis.asyncio import Redis

from services.contract import streams
from services.contract.message import Message
from services.runtime import envelope, scripts
from services.runtime.attend import Attend

MOST_ORDERS = 256
"""So many orders lie in `joins`; while nobody takes any, more would only pile up."""

CLOCK = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
"""

# KEYS wanted, attend, joined, joins; ARGV who, ms, encoded order, most orders; whether somebody attends, and the call
WANT = (
    CLOCK
    + """
redis.call('ZADD', KEYS[1], now + ARGV[2], ARGV[1])
redis.call('PEXPIRE', KEYS[1], ARGV[2])
local attended = redis.call('EXISTS', KEYS[2])
if attended == 0 and redis.call('XLEN', KEYS[4]) < tonumber(ARGV[4]) then
  redis.call('XADD', KEYS[4], '*', '__data__', ARGV[3])
end
return {attended, redis.call('GET', KEYS[3]) or ''}
"""
)

# KEYS attend, wanted, joined; ARGV me, ms, '1' once it is joined; how many want it, -1 if another has the lease
HOLD = (
    CLOCK
    + """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return -1 end
redis.call('PEXPIRE', KEYS[1], ARGV[2])
if ARGV[3] == '1' then redis.call('SET', KEYS[3], ARGV[1], 'PX', ARGV[2]) end
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', now)
return redis.call('ZCARD', KEYS[2])
"""
)

# KEYS attend, joined; ARGV me
RELEASE = """
if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1], KEYS[2]) end
return 0
"""


@dataclass(frozen=True)
class Held:
    """How a conversation stood when the interest in it was renewed."""

    attended: bool
    """A process has taken it: it joins, or has joined."""
    call: str
    """Names the stay of whoever is in it; '' while nobody is."""


class Interest:
    """One gateway's interest in one conversation. Raises redis errors as they are."""

    def __init__(self, redis: Redis, session: str) -> None:
        self._redis = redis
        self._scripts = scripts.Scripts(redis)
        self._session = session
        self._me = f"gateway-{secrets.token_hex(8)}"

    async def hold(self, order: Message) -> Held:
        """Want it for `LEASE_MS`, and give that order where nobody has taken it."""
        session = self._session
        keys = [key.of(session) for key in (streams.WANTED, streams.ATTEND, streams.JOINED)]
        args = [self._me, streams.LEASE_MS, envelope.encode(order), MOST_ORDERS]
        attended, call = await self._scripts.run(WANT, [*keys, streams.JOINS.key()], args)
        return Held(bool(attended), cast("bytes", call).decode())

    async def drop(self) -> None:
        """Want it no more."""
        await self._redis.zrem(streams.WANTED.of(self._session), self._me)


class Stay(Attend):
    """One process's claim on one conversation, which also tells that it is joined and notices when nobody wants it."""

    def __init__(self, redis: Redis, session: str, worker: str) -> None:
        super().__init__(redis, session, worker)
        self._keys = [key.of(session) for key in (streams.ATTEND, streams.WANTED, streams.JOINED)]
        self.joined = False
        self.unwanted = asyncio.Event()
        """Nobody wants it any more."""

    async def renew(self) -> bool:
        """Whether it is still ours: it is for `LEASE_MS` more."""
        args = [self.me, streams.LEASE_MS, "1" if self.joined else ""]
        wanted = int(await self._scripts.run(HOLD, self._keys, args))
        if not wanted:
            self.unwanted.set()
        return wanted >= 0

    async def release(self) -> None:
        """Give it back, if it is ours."""
        attend, _, joined = self._keys
        await self._scripts.run(RELEASE, [attend, joined], [self.me])
