"""A wire that can be made bad: a small TCP proxy that delays, narrows, slices, holds, resets and half-closes.

What TCP promises stays true: bytes arrive in order and unchanged, or the connection ends. A cut holds bytes back, as
retransmission does, and lets them go when it is mended. Seeded: the same seed draws the same delays and sizes.
"""

import asyncio
import contextlib
import random
import socket
import struct
from dataclasses import dataclass, field
from enum import StrEnum
from types import TracebackType
from typing import Self

READ = 4_096
"""Bytes that are read at once."""
WINDOW = 16
"""Pieces of a direction that are on the way at most: who sends more waits, as for a full window."""
CONNECTIONS = 512
"""More are reset at once."""
GAP_S = 0.001
"""Between two slices, so that the receiver sees them one by one."""
_RST = struct.pack("ii", 1, 0)
"""SO_LINGER: closing sends RST."""


class Side(StrEnum):
    """A direction."""

    UP = "up"
    """From the client to the server."""
    DOWN = "down"


@dataclass(frozen=True)
class Fault:
    """What a direction does to its bytes. The default does nothing."""

    latency_ms: float = 0
    jitter_ms: float = 0
    """Up to so much more latency for each piece; order is kept."""
    rate: int = 0
    """Bytes a second; 0: as fast as can be."""
    slices: int = 0
    """Pieces of 1 to so many bytes; 0: as they come."""
    hole: bool = False
    """Nothing goes through; connections are accepted, and what is sent is held."""


CLEAN = Fault()
CUT = Fault(hole=True)


@dataclass
class Wire:
    """One direction of all connections: its fault now, and what it did."""

    random: random.Random
    fault: Fault = CLEAN
    moved: int = 0
    """Bytes that went through."""
    pieces: int = 0
    held: int = 0
    """Times that a piece met the hole."""
    open: asyncio.Event = field(default_factory=asyncio.Event)

    def become(self, fault: Fault) -> None:
        self.fault = fault
        if fault.hole:
            self.open.clear()
        else:
            self.open.set()

    def delay_s(self) -> float:
        """Of the next piece."""
        fault = self.fault
        return (fault.latency_ms + self.random.uniform(0, fault.jitter_ms)) / 1_000

    def cut_up(self, data: bytes) -> list[bytes]:
        """The pieces in which these bytes are written."""
        if not self.fault.slices:
            return [data]
        found: list[bytes] = []
        while data:
            size = self.random.randint(1, self.fault.slices)
            found.append(data[:size])
            data = data[size:]
        return found


@dataclass(eq=False)
class Link:
    """One connection: a client's socket and the server's, and the tasks that carry bytes between them."""

    client: asyncio.StreamWriter
    server: asyncio.StreamWriter | None = None
    closed: set[Side] = field(default_factory=set[Side])
    """Directions that were half-closed: what comes is taken and thrown away."""

    def onward(self, side: Side) -> asyncio.StreamWriter | None:
        return self.server if side is Side.UP else self.client

    def reset(self) -> None:
        """RST to both."""
        for writer in filter(None, (self.client, self.server)):
            found: socket.socket | None = writer.get_extra_info("socket")
            if found is not None:
                with contextlib.suppress(OSError):
                    found.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RST)
            writer.transport.abort()

    def half_close(self, side: Side) -> bool:
        """Tell the receiver of this direction that nothing more comes; the other direction goes on."""
        writer = self.onward(side)
        if writer is None or side in self.closed or not _end_of(writer):
            return False
        self.closed.add(side)
        return True


class Proxy:
    """Listens on a free port of the loopback and carries bytes to `port` of `host`, badly where asked to."""

    def __init__(self, port: int, *, seed: int, host: str = "127.0.0.1") -> None:
        self.target = (host, port)
        self.port = 0
        self.accepted = 0
        self.refused = 0
        self.links: set[Link] = set()
        self.wires = {side: Wire(random.Random(f"{seed}:{side}")) for side in Side}
        self._tasks: set[asyncio.Task[None]] = set()
        self.set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0, limit=READ)
        self.port = int(self._server.sockets[0].getsockname()[1])
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.close()
        self.reset()
        for task in (running := list(self._tasks)):
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    def set(self, up: Fault = CLEAN, down: Fault = CLEAN) -> None:
        """From now on, for running connections too."""
        self.wires[Side.UP].become(up)
        self.wires[Side.DOWN].become(down)

    def reset(self) -> int:
        """RST on every connection, both ends; how many there were."""
        links = list(self.links)
        for link in links:
            link.reset()
        return len(links)

    def half_close(self, side: Side) -> int:
        """End this direction of every connection; how many there were."""
        return sum([link.half_close(side) for link in list(self.links)])

    async def reach(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A connection to the server; raises OSError where there is none."""
        return await asyncio.open_connection(*self.target, limit=READ)

    @property
    def held(self) -> int:
        """Pieces that met a hole."""
        return sum(wire.held for wire in self.wires.values())

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        link = Link(writer)
        if len(self.links) >= CONNECTIONS:
            self.refused += 1
            link.reset()
            return
        self.accepted += 1
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("a connection is served by a task")
        self._tasks.add(task)
        self.links.add(link)
        try:
            await self._serve(link, reader)
        except OSError:
            link.reset()
        except asyncio.CancelledError:
            if self._server.is_serving():  # else the proxy ends, and asyncio has no use for a cancelled handler
                raise
        finally:
            self.links.discard(link)
            self._tasks.discard(task)
            for each in filter(None, (link.client, link.server)):
                each.close()

    async def _serve(self, link: Link, reader: asyncio.StreamReader) -> None:
        """Both directions to their ends; a connection that is made in a hole reaches the server after it."""
        await self.wires[Side.UP].open.wait()
        back, link.server = await self.reach()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._carry(link, Side.UP, reader, link.server))
            group.create_task(self._carry(link, Side.DOWN, back, link.client))

    async def _carry(self, link: Link, side: Side, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One direction of one connection to its end; a connection that breaks is reset on both ends."""
        way: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(WINDOW)
        take = asyncio.ensure_future(self._take(side, reader, way))
        try:
            await self._give(link, side, way, writer)
        except OSError:
            link.reset()
        finally:
            take.cancel()
            await asyncio.gather(take, return_exceptions=True)

    async def _take(self, side: Side, reader: asyncio.StreamReader, way: "asyncio.Queue[tuple[float, bytes]]") -> None:
        """Read, and say when each piece is due; empty bytes are the end, and so is a reset."""
        loop, due, wire = asyncio.get_running_loop(), 0.0, self.wires[side]
        data = b"-"
        while data:
            try:
                data = await reader.read(READ)
            except OSError:
                data = b""
            due = max(due, loop.time() + wire.delay_s())
            await way.put((due, data))

    async def _give(
        self, link: Link, side: Side, way: "asyncio.Queue[tuple[float, bytes]]", writer: asyncio.StreamWriter
    ) -> None:
        """Write each piece when it is due."""
        loop, wire = asyncio.get_running_loop(), self.wires[side]
        while True:
            due, data = await way.get()
            await asyncio.sleep(max(0.0, due - loop.time()))
            if not wire.open.is_set():
                wire.held += 1
                await wire.open.wait()
            if not data:
                _end_of(writer)
                return
            for piece in wire.cut_up(data):
                await self._write(link, side, piece, writer)

    async def _write(self, link: Link, side: Side, piece: bytes, writer: asyncio.StreamWriter) -> None:
        wire = self.wires[side]
        if side in link.closed:
            return
        writer.write(piece)
        await writer.drain()
        wire.moved += len(piece)
        wire.pieces += 1
        if wire.fault.rate:
            await asyncio.sleep(len(piece) / wire.fault.rate)
        elif wire.fault.slices:
            await asyncio.sleep(GAP_S)


def _end_of(writer: asyncio.StreamWriter) -> bool:
    """FIN; False if there is nobody to tell."""
    try:
        writer.write_eof()
    except (OSError, RuntimeError):
        return False
    return True
