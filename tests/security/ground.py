"""Brokers and gateways as processes, and connections to them that say whatever a stranger likes."""

import asyncio
import contextlib
import json
import os
import socket
import struct
import sys
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from onair.brokers import free_port
from tests import waiting
from tests.conftest import LIVE, WORK, broker

ROOT = Path(__file__).parents[2]
TOKEN = "canary-" + "7d1f40c2b8"
PATIENCE_S = 30.0
STAGE = "/api/rooms/main/stage"
CONFIG = """
personas: {host: {language: zh, voice: plain}}
voices: {plain: {engines: [{scripted: {}}]}}
rooms: {main: {persona: host, sources: [{api: {}}]}}
gateway: {persona: host}
"""


class Place(Protocol):
    """Where a gateway listens."""

    port: int
    own: str


@dataclass
class Gate:
    """One gateway that runs."""

    port: int
    log: Path
    process: asyncio.subprocess.Process
    own: str = "127.0.0.1"

    def origin(self) -> str:
        return f"http://{self.own}:{self.port}"

    def resident(self, what: str = "VmRSS") -> int:
        """Bytes of memory; `VmHWM`: at most, since `forget_peak`."""
        status = Path(f"/proc/{self.process.pid}/status").read_text(encoding="utf-8")
        return 1_024 * int(status.partition(f"{what}:")[2].split()[0])

    def forget_peak(self) -> None:
        """The most memory is counted anew from now on."""
        Path(f"/proc/{self.process.pid}/clear_refs").write_text("5", encoding="utf-8")


@dataclass
class Ground:
    """What runs."""

    folder: Path
    work: str
    live: str
    rule: str = ""
    gates: list[Gate] = field(default_factory=list[Gate])

    @asynccontextmanager
    async def gate(
        self,
        environ: dict[str, str],
        caps: dict[str, int] | None = None,
        watch: Path | None = None,
        *,
        measured: bool = False,
    ) -> AsyncGenerator[Gate]:
        """A gateway, ready.

        `watch`: where it notes each file that it opens; `measured`: it writes down how long it takes to read each frame of a call.
        """
        config = self.folder / "onair.yaml"
        config.write_text(CONFIG, encoding="utf-8")
        port, log = free_port(0), self.folder / f"gateway-{len(self.gates)}.log"
        usual = {
            **os.environ,
            "WORK_REDIS_URL": self.work,
            "LIVE_REDIS_URLS": self.live,
            "ONAIR_CONFIG": str(config),
            "ONAIR_DATA": str(self.folder / "data"),
            "GATEWAY_PORT": str(port),
            "ONAIR_DEBUG": "1",
        }
        told = json.dumps({"rule": self.rule, "caps": caps or {}, "watch": str(watch or ""), "measured": measured})
        with log.open("wb") as out:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "tests.security.gateway", told, cwd=ROOT, env={**usual, **environ}, stderr=out
            )
        gate = Gate(port, log, process)
        self.gates.append(gate)
        try:
            await _ready(gate)
            yield gate
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
            await process.wait()

    def logs(self) -> str:
        """All that the gateways wrote."""
        return "".join(gate.log.read_text(encoding="utf-8", errors="replace") for gate in self.gates)


@asynccontextmanager
async def ground(folder: Path, rule: str) -> AsyncGenerator[Ground]:
    """Two brokers."""
    for name in ("work", "live"):
        (folder / name).mkdir()
    with broker(folder / "work", *WORK) as work, broker(folder / "live", *LIVE) as live:
        yield Ground(folder, work, live, rule)


async def _ready(gate: Gate) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while gate.process.returncode is None:
            with contextlib.suppress(OSError):
                async with wire(gate) as there:
                    there.say(b"GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
                    if b" 200 " in (await there.rest())[:20]:
                        return
            await asyncio.sleep(0.05)
    raise RuntimeError(gate.log.read_text(encoding="utf-8"))


@dataclass
class Wire:
    """A plain connection."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    began: float = field(default_factory=time.monotonic)

    def say(self, data: bytes) -> None:
        """Send it, whether or not anybody listens."""
        with contextlib.suppress(OSError):
            self.writer.write(data)

    async def status(self) -> int:
        """Of the answer that comes; 0 if the connection is closed instead."""
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            async with asyncio.timeout(PATIENCE_S):
                head = await self.reader.readuntil(b"\r\n\r\n")
                return int(head.split(b" ", 2)[1])
        return 0

    async def message(self) -> tuple[int, bytes]:
        """Opcode and payload of the server's next frame; raises TimeoutError, OSError or IncompleteReadError."""
        async with asyncio.timeout(PATIENCE_S):
            first, size = await self.reader.readexactly(2)
            if size in {126, 127}:
                size = int.from_bytes(await self.reader.readexactly(2 if size == 126 else 8), "big")
            return first & 15, await self.reader.readexactly(size)

    async def rest(self, limit_s: float = PATIENCE_S) -> bytes:
        """All that comes until the other side closes; raises TimeoutError if it does not."""
        return await waiting.rest(self.reader, limit_s)


@asynccontextmanager
async def wire(gate: Place, buffer: int = 0) -> AsyncGenerator[Wire]:
    """A connection to the gateway; with so small a receive buffer."""
    plain = socket.socket()
    if buffer:
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
    plain.setblocking(False)  # noqa: FBT003  its name is its meaning
    try:
        await asyncio.get_running_loop().sock_connect(plain, (gate.own, gate.port))
    except OSError:
        plain.close()
        raise
    reader, writer = await asyncio.open_connection(sock=plain)
    try:
        yield Wire(reader, writer)
    finally:
        writer.transport.abort()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


def handshake(path: str, *headers: str, host: str) -> bytes:
    """A WebSocket's, with these headers too."""
    lines = (
        f"GET {path} HTTP/1.1",
        *([f"Host: {host}"] if host else []),
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
        *headers,
    )
    return ("\r\n".join(lines) + "\r\n\r\n").encode("utf-8")


async def knock(gate: Gate, path: str, *headers: str, host: str = "") -> int:
    """The status that a handshake gets; 0 if it is closed without."""
    async with wire(gate) as there:
        there.say(handshake(path, *headers, host=host or f"{gate.own}:{gate.port}"))
        return await there.status()


async def post(gate: Gate, path: str, *headers: str) -> tuple[int, dict[str, Any]]:
    """Status and JSON of a POST without a body."""
    async with wire(gate) as there:
        lines = (f"POST {path} HTTP/1.1", f"Host: {gate.own}:{gate.port}", "Content-Length: 0", "Connection: close")
        there.say(("\r\n".join((*lines, *headers)) + "\r\n\r\n").encode())
        head, _, body = (await there.rest()).partition(b"\r\n\r\n")
        return int(head.split(b" ", 2)[1]), json.loads(body)


def masked(opcode: int, data: bytes, *, fin: bool = True) -> bytes:
    """One frame of a WebSocket's client."""
    first, size = fin << 7 | opcode, len(data)
    if size < 126:
        return struct.pack("!BB", first, 0x80 | size) + b"\0\0\0\0" + data
    if size < 65_536:
        return struct.pack("!BBH", first, 0xFE, size) + b"\0\0\0\0" + data
    return struct.pack("!BBQ", first, 0xFF, size) + b"\0\0\0\0" + data
