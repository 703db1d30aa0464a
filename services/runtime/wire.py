"""A mend of redis-py on Python 3.11: a task that is cancelled while it sends a command is really cancelled.

redis-py sends under `asyncio.wait_for`, which before Python 3.12 drops a cancellation that arrives in the moment the send
is done. A reader that loops over its stream then goes on for ever, and so does whoever waits for its end.
"""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from typing import Any

from redis.asyncio.connection import AbstractConnection
from redis.exceptions import TimeoutError as RedisTimeoutError

Send = Callable[..., Awaitable[None]]


def cancellable(send: Send) -> Send:
    """The same send under `asyncio.timeout`, which keeps cancellations; `wait_for` is not reached without a limit."""

    async def send_packed_command(self: Any, command: Any, check_health: bool = True) -> None:  # noqa: ANN401, FBT001, FBT002  redis-py's signature
        limit, self.socket_timeout = self.socket_timeout, None
        try:
            async with asyncio.timeout(limit):
                await send(self, command, check_health)
        except TimeoutError:
            await self.disconnect(nowait=True)
            raise RedisTimeoutError("Timeout writing to socket") from None
        finally:
            self.socket_timeout = limit

    return send_packed_command


def mend() -> None:
    """Use it for every connection of this process, FastStream's too; once, and only where it is needed."""
    send: Send = AbstractConnection.send_packed_command
    if sys.version_info < (3, 12) and send.__module__ != __name__:
        setattr(AbstractConnection, "send_packed_command", cancellable(send))  # noqa: B010  it is no plain assignment
