"""The client of a live call: the original's exact bytes, and OnAir's own."""

import asyncio
import gzip
import json
import struct
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from websockets.asyncio.client import ClientConnection, connect

HEARD_RATE = 16_000
FRAME = HEARD_RATE // 10 * 2
"""100 ms."""
PATIENCE_S = 20
REQUEST, SOUND = bytes.fromhex("11101000"), bytes.fromhex("11201000")


def framed(head: bytes, body: bytes) -> bytes:
    return head + struct.pack(">I", len(body)) + body


def request(event: str, **payload: Any) -> bytes:
    return framed(REQUEST, json.dumps({"event": event, "payload": payload}).encode())


def zipped(event: str, **payload: Any) -> bytes:
    body = json.dumps({"event": event, "payload": payload}).encode()
    return framed(bytes.fromhex("11101100"), gzip.compress(body))


def twice(pcm: bytes) -> bytes:
    """As the original web client frames its microphone."""
    return framed(SOUND, framed(SOUND, pcm))


@dataclass
class Heard:
    """One frame of the server: an event, or sound."""

    event: str
    payload: dict[str, Any] = field(default_factory=dict[str, Any])
    sound: bytes = b""


def heard(data: bytes | str) -> Heard:
    """The frame as the original client reads it, which loses what is not exactly so."""
    assert isinstance(data, bytes), "a text frame: the original client closes"
    kind, size = data[:4], int.from_bytes(data[4:8], "big")
    assert len(data) == 8 + size, "trailing bytes, or too few"
    if kind == bytes.fromhex("11b00000"):
        assert size, "an empty file wedges the player"
        return Heard("audio", sound=data[8:])
    assert kind == bytes.fromhex("11901000")
    told = json.loads(data[8:].decode())
    assert set(told) == {"event", "payload"}
    return Heard(told["event"], told["payload"])


@dataclass
class Caller:
    """One connection."""

    socket: ClientConnection
    got: list[Heard] = field(default_factory=list[Heard])

    async def next(self) -> Heard:
        async with asyncio.timeout(PATIENCE_S):
            said = heard(await self.socket.recv())
        self.got.append(said)
        return said

    async def until(self, event: str) -> list[Heard]:
        """All frames up to the next event of that name."""
        frames = [await self.next()]
        while frames[-1].event != event:
            frames.append(await self.next())
        return frames

    async def send(self, event: str, **payload: Any) -> None:
        await self.socket.send(request(event, **payload))

    async def speak(self, pcm: bytes, every_s: float = 0.1) -> None:
        """As a microphone: 100 ms frames in real time, the last one padded."""
        for at in range(0, len(pcm), FRAME):
            await self.socket.send(twice(pcm[at : at + FRAME].ljust(FRAME, b"\0")))
            await asyncio.sleep(every_s)


@asynccontextmanager
async def calling(port: int, query: str = "", path: str = "/api/live_voice_call/chat") -> AsyncGenerator[Caller]:
    url = f"ws://127.0.0.1:{port}{path}{query}"
    async with connect(url, proxy=None, max_size=None, compression=None) as socket:
        yield Caller(socket)


def names(frames: list[Heard]) -> list[str]:
    return [frame.event for frame in frames]
