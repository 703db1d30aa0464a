"""The reads of work streams, kept alive and quiet whatever the broker answers.

FastStream stops a reader whose group is gone and re-reads without a pause after any other error reply. Here a lost group
is made again, and every other error reply becomes a lost connection, which FastStream waits out.

A read whose answer was lost with its connection may have delivered an entry all the same: it is pending for a consumer
that knows nothing of it. So after a fault a consumer asks for what it holds before it asks for more. And whoever claims
what others lost waits a little after a fault: the others are alive, and have to find the broker again first.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, cast

from faststream.redis.message import FAKE_CONSUMER, RedisStreamMessage
from faststream.redis.subscriber.usecases import stream_subscriber
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ResponseError

from services.runtime import envelope
from services.runtime.trouble import HEAL_S, TROUBLE, tell

GRACE_S = 1.5
"""After a fault, so long nothing is claimed: more than a beat."""
Call = Callable[..., Awaitable[Any]]
Consumer = tuple[str, str, str]
"""Stream, group, name."""
Entry = tuple[bytes, dict[bytes, bytes]]


async def ensure_group(redis: Redis, key: str, group: str) -> None:
    """Create the group at 0 if it is not there."""
    try:
        await redis.xgroup_create(key, group, id="0", mkstream=True)
    except ResponseError as error:
        if "BUSYGROUP" not in str(error):
            raise


class Reads:
    """The two commands that FastStream reads with; a consumer has one reader, which asks for one entry at a time."""

    def __init__(self, client: Redis, again: set[bytes]) -> None:
        self._again = again
        """Gets the ids that were delivered before; who handles one takes it out."""
        self._client = client
        self._read: Call = client.xreadgroup
        self._claim: Call = client.xautoclaim
        self._broken: dict[Consumer, str] = {}
        """Who had a fault, and from which id on he does not know what he holds."""
        self._quiet_until: dict[Consumer, float] = {}

    def mend(self) -> None:
        """Let the client's own methods go this way."""
        setattr(stream_subscriber, "CONSUME_ERROR_BACKOFF_SECONDS", HEAL_S)  # noqa: B010  no setting, and no export, for it
        vars(self._client).update(xreadgroup=self.xreadgroup, xautoclaim=self.xautoclaim)

    async def xreadgroup(self, **kwargs: Any) -> Any:  # noqa: ANN401  redis-py's answer
        """The next entry: one that is held unknowingly, or a new one."""
        stream = next(iter(kwargs["streams"]))
        who = (stream, kwargs["groupname"], kwargs["consumername"])

        async def read() -> Any:  # noqa: ANN401  as above
            if held := await self._held(who):
                return [[stream.encode(), held]]
            return await self._read(**kwargs)

        return await self._guarded(read, who, [])

    async def xautoclaim(self, **kwargs: Any) -> Any:  # noqa: ANN401  redis-py's answer
        """The next entry that another lost; none for a while after a fault."""
        who = (kwargs["name"], kwargs["groupname"], kwargs["consumername"])
        none: list[Any] = [b"0-0", [], []]

        async def claim() -> Any:  # noqa: ANN401  as above
            if who in self._broken:
                held = await self._held(who)
                self._quiet_until[who] = asyncio.get_running_loop().time() + GRACE_S
                return [b"0-0", held, []]
            if asyncio.get_running_loop().time() < self._quiet_until.get(who, 0):
                return none
            return await self._claim(**kwargs)

        return await self._guarded(claim, who, none)

    async def _held(self, who: Consumer) -> list[Entry]:
        """The next entry that is pending for this consumer, where a read of his may have been lost.

        Looking is no delivery: what was never received is no strike.
        """
        if (after := self._broken.get(who)) is None:
            return []
        stream, group, name = who
        client = cast("Any", self._client)
        for pending in await client.xpending_range(stream, group, after, "+", 1, name):
            id_ = cast("bytes", pending["message_id"])
            self._again.add(id_)
            self._broken[who] = f"({id_.decode()}"
            return await client.xrange(stream, id_, id_) or [(id_, {})]
        del self._broken[who]
        return []

    async def _guarded(self, call: Callable[[], Awaitable[Any]], who: Consumer, none: Any) -> Any:  # noqa: ANN401
        try:
            return await call()
        except TROUBLE as error:
            self._broken[who] = "-"
            tell(f"reading {who[0]}", error)
            if "NOGROUP" not in str(error):
                raise RedisConnectionError(str(error)) from error
        try:
            await ensure_group(self._client, who[0], who[1])
        except TROUBLE as error:
            raise RedisConnectionError(str(error)) from error
        return none


async def parsed(message: dict[str, Any], original: Callable[..., Awaitable[RedisStreamMessage]]) -> RedisStreamMessage:
    """FastStream's message around the entry, whatever its fields are: what cannot be read is for delivery to bury."""
    try:
        found = await original(message)
    except Exception:  # noqa: BLE001  foreign bytes end its parser in many ways
        found = RedisStreamMessage(cast("Any", message), b"", consumer=FAKE_CONSUMER, group=None)
    found.body = envelope.body(cast("dict[bytes, bytes]", message["data"]).get(b"__data__", b""))
    return found


async def whole(message: RedisStreamMessage, _: object) -> RedisStreamMessage:
    """Give the handler the message as it is: its id and bytes are needed, and only `Message` parses them."""
    return message
