"""Many clients in a process of its own: pages of the show that wait, calls of which some speak. Sockets without a library.

Orders come as JSON lines on the standard input, and each is answered by a line when it is done: `{"listen": 1000}` and
`{"call": 100, "speak": 10}` when each client has heard something, `{"end": true}` with what was counted.
"""

import asyncio
import json
import os
import struct
import sys
import time
from collections.abc import Sequence
from typing import Any

FRAME = struct.pack(">4sI", bytes.fromhex("11201000"), 3_200) + bytes(3_200)
"""100 ms of a microphone."""
CONFIG = {"event": "BotUpdateConfig", "payload": {"audio": "stream", "interrupt": True}}
SOUND = bytes.fromhex("11b00000")
EVERY_S = 0.1
AT_ONCE = 50
"""Connections that are made at the same time."""
TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10
SHORT, LONG = 126, 127


class Client(asyncio.Protocol):
    """One WebSocket; what it hears in `heard`."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.open = asyncio.Event()
        self.told = asyncio.Event()
        """It has heard something, or is closed."""
        self.closed = False
        self._got = bytearray()
        self._transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask for a WebSocket."""
        self._transport = transport
        key = "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n"
        up = "Host: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        self._transport.write(f"GET {self.path} HTTP/1.1\r\n{up}{key}\r\n".encode())

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  as asyncio has it
        """The server or the test ended it: nobody waits for it."""
        self.closed = True
        self.open.set()
        self.told.set()

    def data_received(self, data: bytes) -> None:
        """The head, then frames, which a server does not mask."""
        self._got += data
        if not self.open.is_set():
            head, end, rest = bytes(self._got).partition(b"\r\n\r\n")
            if not end:
                return
            if b" 101 " not in head.partition(b"\r\n")[0]:
                self._transport.close()
                return
            self._got = bytearray(rest)
            self.open.set()
        while (frame := self._frame()) is not None:
            self._take(*frame)

    def _frame(self) -> tuple[int, bytes] | None:
        if len(self._got) < 2:
            return None
        size, at = self._got[1] & 127, 2
        if size in {SHORT, LONG}:
            at = 4 if size == SHORT else 10
            if len(self._got) < at:
                return None
            size = int.from_bytes(self._got[2:at], "big")
        if len(self._got) < at + size:
            return None
        kind, body = self._got[0] & 15, bytes(self._got[at : at + size])
        del self._got[: at + size]
        return kind, body

    def _take(self, kind: int, body: bytes) -> None:
        if kind == PING:
            self.send(PONG, body)
        elif kind == CLOSE:
            self._transport.close()
        else:
            self.heard(body)
            self.told.set()

    def heard(self, body: bytes) -> None:
        """A message."""

    def send(self, kind: int, body: bytes) -> None:
        """With a mask that changes nothing."""
        size = struct.pack(">B", 128 | len(body)) if len(body) < SHORT else struct.pack(">BH", 128 | SHORT, len(body))
        self._transport.write(bytes([128 | kind]) + size + bytes(4) + body)


class Caller(Client):
    """A call: sound begins with the time of its publication, in ns of this machine's monotonic clock."""

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self.took_ms: list[float] = []
        self.sent = 0

    def heard(self, body: bytes) -> None:
        """Note how long sound was on its way."""
        if body[:4] == SOUND:
            self.took_ms.append((time.monotonic_ns() - int.from_bytes(body[8:16], "big")) / 1e6)

    async def speak(self, after_s: float) -> None:
        """For ever, in real time."""
        due = time.monotonic() + after_s
        while not self.closed:
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            self.send(BINARY, FRAME)
            self.sent += 1
            due += EVERY_S


async def connected(port: int, clients: Sequence[Client]) -> None:
    """All are open, and each has heard something."""
    loop, places = asyncio.get_running_loop(), asyncio.Semaphore(AT_ONCE)

    async def connect(client: Client) -> None:
        async with places:
            await loop.create_connection(lambda: client, "127.0.0.1", port)
            await client.open.wait()

    await asyncio.gather(*map(connect, clients))
    await asyncio.gather(*(client.told.wait() for client in clients))


async def serve(port: int, room: str) -> None:
    """Do what is ordered."""
    listeners, callers, voices = list[Client](), list[Caller](), list[asyncio.Task[None]]()
    while True:
        order = json.loads(await asyncio.to_thread(sys.stdin.readline) or '{"end": true}')
        said: dict[str, Any] = {"done": True}
        if count := order.get("listen"):
            fresh = [Client(f"/api/rooms/{room}/stage") for _ in range(count)]
            await connected(port, fresh)
            listeners += fresh
        elif count := order.get("call"):
            callers = [Caller(f"/api/live_voice_call/chat?sid=crowd{number}") for number in range(count)]
            await connected(port, callers)
            for number, caller in enumerate(callers[: order["speak"]]):
                caller.send(BINARY, struct.pack(">4sI", bytes.fromhex("11101000"), len(asked())) + asked())
                voices.append(asyncio.create_task(caller.speak(number * EVERY_S / order["speak"])))
        else:
            for voice in voices:
                voice.cancel()
            said["closed"] = sum(client.closed for client in (*listeners, *callers))
            said["took_ms"] = [took for caller in callers for took in caller.took_ms]
            said["sent"] = [caller.sent for caller in callers[: len(voices)]]
        os.write(1, f"{json.dumps(said)}\n".encode())
        if "end" in order:
            return


def asked() -> bytes:
    """What a client of OnAir's own says first."""
    return json.dumps(CONFIG).encode()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1]), sys.argv[2]))
