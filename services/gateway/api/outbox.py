"""What waits to be sent to a call's client."""

import asyncio
from collections.abc import Callable

from services.gateway.core import frame
from services.gateway.core.call_words import Chunk, Close, File, Purge, Say

CUT_S = 1.0
"""A client that takes nothing is told goodbye for so long."""
Encode = Callable[[bytes], bytes]
"""From samples at `AIR_RATE` to a complete file."""


class Outbox:
    """What waits to be sent to one client, in order and bounded by bytes."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._waiting: list[Say | File | Chunk | Close] = []
        self._bytes = 0
        self._closing = False
        self._news, self._room = asyncio.Event(), asyncio.Event()
        self._room.set()

    def put(self, said: Say | File | Chunk | Close | Purge) -> None:
        """Let it wait; nothing follows a close, and no sound waits before it."""
        if self._closing:
            return
        if isinstance(said, Purge | Close):
            self._waiting = [each for each in self._waiting if isinstance(each, Say)]
            self._bytes = 0
        if not isinstance(said, Purge):
            self._closing = isinstance(said, Close)
            self._waiting.append(said)
            self._bytes += _size(said)
        self._news.set()
        self._mind()

    async def room(self) -> None:
        """Returns when the client has taken enough."""
        await self._room.wait()

    async def next(self) -> Say | File | Chunk | Close:
        """What is sent next."""
        while not self._waiting:
            self._news.clear()
            await self._news.wait()
        said = self._waiting.pop(0)
        self._bytes -= _size(said)
        self._mind()
        return said

    def _mind(self) -> None:
        (self._room.set if self._bytes < self._limit else self._room.clear)()


def _size(said: Say | File | Chunk | Close) -> int:
    return len(said.pcm) if isinstance(said, File | Chunk) else 0


async def encoded(said: Say | File | Chunk, encode: Encode) -> bytes:
    """The frame."""
    match said:
        case Say(event=event, payload=payload):
            return frame.response(event, payload)
        case Chunk(pcm=pcm):
            return frame.audio(pcm)
        case File(pcm=pcm):
            return frame.audio(await asyncio.to_thread(encode, pcm))
