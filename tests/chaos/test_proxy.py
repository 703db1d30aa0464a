"""The bad wire, between real sockets: an echo server, a broker, a WebSocket."""

import asyncio
import random
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError
from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosedError

from services.runtime.bus import connect as redis_at
from tests.chaos import proxy
from tests.chaos.proxy import CUT, Fault, Proxy, Side

HASTE_S = 0.3
"""Long enough for bytes that are free to come through."""


class Echo:
    """Sends back what it gets, says bye at the end of it, and notes each read."""

    def __init__(self) -> None:
        self.reads: list[bytes] = []
        self.ends: list[str] = []
        self.ended = asyncio.Event()
        self.reading = asyncio.Event()
        self.reading.set()

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self.reading.wait()
        end = "eof"
        try:
            while data := await reader.read(65_536):
                self.reads.append(data)
                writer.write(data)
                await writer.drain()
            writer.write(b"bye")
        except OSError:
            end = "reset"
        self.ends.append(end)
        self.ended.set()
        writer.close()


Line = tuple[Echo, Proxy, asyncio.StreamReader, asyncio.StreamWriter]


@asynccontextmanager
async def echoing(seed: int = 1, **limits: int) -> AsyncGenerator[tuple[Echo, Proxy]]:
    echo = Echo()
    server = await asyncio.start_server(echo, "127.0.0.1", 0, **limits)
    port = int(server.sockets[0].getsockname()[1])
    async with Proxy(port, seed=seed) as bad:
        yield echo, bad
    server.close()


@asynccontextmanager
async def talking(bad: Proxy) -> AsyncGenerator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", bad.port)
    try:
        yield reader, writer
    finally:
        writer.close()


@pytest.fixture
async def line() -> AsyncIterator[Line]:
    async with echoing() as (echo, bad), talking(bad) as (reader, writer):
        yield echo, bad, reader, writer


async def trip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, data: bytes) -> bytes:
    """There and back."""
    writer.write(data)
    return await reader.readexactly(len(data))


@pytest.mark.parametrize(
    "fault",
    [Fault(), Fault(latency_ms=3, jitter_ms=10), Fault(rate=2_000_000), Fault(slices=700)],
    ids=["clean", "late", "narrow", "sliced"],
)
async def test_bytes_arrive_in_order_and_unchanged(line: Line, fault: Fault) -> None:
    """Whatever the fault of a wire that is up, what was sent is what comes back."""
    _, bad, reader, writer = line
    bad.set(fault, fault)
    data = random.Random(7).randbytes(60_000)
    assert await trip(reader, writer, data) == data
    assert bad.wires[Side.UP].moved == bad.wires[Side.DOWN].moved == len(data)


async def test_latency_is_of_a_direction(line: Line) -> None:
    """60 ms up and 40 ms down make a round trip of 100 ms at least."""
    _, bad, reader, writer = line
    bad.set(Fault(latency_ms=60), Fault(latency_ms=40))
    began = asyncio.get_running_loop().time()
    await trip(reader, writer, b"x")
    assert asyncio.get_running_loop().time() - began >= 0.099


async def test_latency_does_not_add_up(line: Line) -> None:
    """Ten pieces on the way at once take one latency, not ten: the server has all of them before two have passed."""
    echo, bad, reader, writer = line
    bad.set(Fault(latency_ms=500))
    began = asyncio.get_running_loop().time()
    for _ in range(10):
        writer.write(b"x" * 10)
        await asyncio.sleep(0.005)
    await reader.readexactly(100)
    assert len(echo.reads) > 1
    assert asyncio.get_running_loop().time() - began < 2.5


async def test_a_narrow_wire_takes_its_time(line: Line) -> None:
    """40,000 bytes at 200,000 a second need 200 ms, less the last piece."""
    _, bad, reader, writer = line
    bad.set(Fault(rate=200_000))
    began = asyncio.get_running_loop().time()
    await trip(reader, writer, b"x" * 40_000)
    assert asyncio.get_running_loop().time() - began >= 0.17


async def test_slices_are_seen_one_by_one(line: Line) -> None:
    """A line of 100 bytes in slices of at most 9 is read in many parts, of odd sizes."""
    echo, bad, reader, writer = line
    bad.set(Fault(slices=9))
    await trip(reader, writer, b"x" * 100)
    assert len(echo.reads) >= 5
    assert len({len(read) for read in echo.reads}) > 1


def test_the_seed_draws_the_sizes_and_delays() -> None:
    """The same seed makes the same wire, another one another."""

    def drawn(seed: int) -> tuple[list[bytes], list[float]]:
        wire = Proxy(1, seed=seed).wires[Side.UP]
        wire.become(Fault(slices=50, jitter_ms=10))
        return wire.cut_up(bytes(500)), [wire.delay_s() for _ in range(5)]

    assert drawn(1) == drawn(1) != drawn(2)


async def test_a_hole_holds_and_lets_go(line: Line) -> None:
    """Nothing comes through a cut; when it is mended everything does, in order."""
    echo, bad, reader, writer = line
    await trip(reader, writer, b"before")
    bad.set(CUT, CUT)
    writer.write(b"one")
    writer.write(b"two")
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(HASTE_S):
            await reader.read(1)
    assert (echo.reads, bad.held) == ([b"before"], 1)
    bad.set()
    assert await reader.readexactly(6) == b"onetwo"


async def test_a_hole_accepts_and_forwards_nothing() -> None:
    """A connection that is made in a hole is accepted, and reaches the server when it is mended."""
    async with echoing() as (echo, bad):
        bad.set(CUT, CUT)
        async with talking(bad) as (reader, writer):
            writer.write(b"hello")
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(HASTE_S):
                    await reader.read(1)
            assert echo.reads == []
            bad.set()
            assert await reader.readexactly(5) == b"hello"


async def test_one_direction_may_be_cut(line: Line) -> None:
    """With the way down cut the server still hears; its answer waits."""
    echo, bad, reader, writer = line
    bad.set(down=CUT)
    writer.write(b"heard")
    async with asyncio.timeout(5):
        while not echo.reads:
            await asyncio.sleep(0.005)
    bad.set()
    assert await reader.readexactly(5) == b"heard"


async def test_a_reset_reaches_both_ends(line: Line) -> None:
    """RST: the client's read fails and so does the server's; the next connection works."""
    echo, bad, reader, writer = line
    await trip(reader, writer, b"x")
    assert bad.reset() == 1
    with pytest.raises(ConnectionResetError):
        await reader.read(1)
    await asyncio.wait_for(echo.ended.wait(), 5)
    assert echo.ends == ["reset"]
    async with talking(bad) as (again_reader, again_writer):
        assert await trip(again_reader, again_writer, b"again") == b"again"


async def test_half_close_up_leaves_the_way_down(line: Line) -> None:
    """The server sees the end and still answers; what the client sends after it reaches nobody."""
    echo, bad, reader, writer = line
    await trip(reader, writer, b"x")
    assert bad.half_close(Side.UP) == 1
    writer.write(b"too late")
    assert await reader.read() == b"bye"
    assert (echo.reads, echo.ends) == ([b"x"], ["eof"])


async def test_half_close_down_leaves_the_way_up(line: Line) -> None:
    """The client sees the end while the server still hears it."""
    echo, bad, reader, writer = line
    await trip(reader, writer, b"x")
    assert bad.half_close(Side.DOWN) == 1
    assert await reader.read() == b""
    writer.write(b"still here")
    writer.write_eof()
    await asyncio.wait_for(echo.ended.wait(), 5)
    assert b"".join(echo.reads) == b"xstill here"


async def test_the_end_of_a_side_goes_through(line: Line) -> None:
    """A client that says it is done gets what is still to come, and then the end."""
    echo, _, reader, writer = line
    writer.write(b"last")
    writer.write_eof()
    assert await reader.read() == b"lastbye"
    assert echo.ends == ["eof"]


async def test_what_is_on_the_way_is_bounded() -> None:
    """A server that does not read stops the client, after the window and what the kernel holds."""
    async with echoing() as (echo, bad), talking(bad) as (_, writer):
        echo.reading.clear()
        bad.set(CUT)
        writer.write(bytes(64 * 1_024 * 1_024))
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(HASTE_S):
                await writer.drain()
        assert bad.wires[Side.UP].moved == 0
        echo.reading.set()
        writer.transport.abort()


async def test_connections_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """One connection too many is reset; those that are there live on."""
    monkeypatch.setattr(proxy, "CONNECTIONS", 1)
    async with echoing() as (_, bad), talking(bad) as (reader, writer):
        await trip(reader, writer, b"x")
        async with talking(bad) as (refused, _):
            with pytest.raises(ConnectionResetError):
                await refused.read(1)
        assert await trip(reader, writer, b"y") == b"y"
        assert (bad.accepted, bad.refused) == (1, 1)


async def test_nobody_behind_it_is_a_reset() -> None:
    """A proxy whose server is gone resets who comes."""
    server = await asyncio.start_server(Echo(), "127.0.0.1", 0)
    port = int(server.sockets[0].getsockname()[1])
    server.close()
    await server.wait_closed()
    async with Proxy(port, seed=1) as bad, talking(bad) as (reader, _):
        with pytest.raises(ConnectionResetError):
            await reader.read(1)


@asynccontextmanager
async def redis_behind(url: str) -> AsyncGenerator[tuple[Proxy, Any]]:
    async with Proxy(int(url.rpartition(":")[2].partition("/")[0]), seed=3) as bad:
        client = redis_at(f"redis://127.0.0.1:{bad.port}")
        yield bad, client
        await client.aclose()


async def test_a_blocking_read_goes_through(broker_url: str) -> None:
    """XREAD BLOCK through a sliced and late wire gets the entry that comes while it waits."""
    async with redis_behind(broker_url) as (bad, client):
        bad.set(Fault(slices=5, latency_ms=2, jitter_ms=5), Fault(slices=5, latency_ms=2, jitter_ms=5))
        read = asyncio.ensure_future(client.xread({"s": "0-0"}, block=4_000))
        await client.xadd("s", {"text": "你好" * 200})
        found: dict[bytes, bytes] = (await read)[0][1][0][1]
        assert found == {b"text": ("你好" * 200).encode()}


async def test_a_reset_ends_a_blocking_read(broker_url: str) -> None:
    """The reader gets a connection error at once, and the next command a new connection."""
    async with redis_behind(broker_url) as (bad, client):
        await client.ping()
        read = asyncio.ensure_future(client.xread({"s": "0-0"}, block=4_000))
        async with asyncio.timeout(5):
            while not bad.links:
                await asyncio.sleep(0.005)
        await asyncio.sleep(HASTE_S)
        bad.reset()
        with pytest.raises(RedisConnectionError):
            await read
        assert await client.ping()


async def test_a_cut_broker_times_out_and_comes_back(broker_url: str) -> None:
    """In a hole a command fails by its time-out; when it is mended the client works again by itself."""
    async with redis_behind(broker_url) as (bad, client):
        await client.ping()
        bad.set(CUT, CUT)
        client.connection_pool.connection_kwargs["socket_timeout"] = HASTE_S
        with pytest.raises(RedisError):
            async with asyncio.timeout(10):
                await client.ping()
        bad.set()
        assert await client.ping()


@asynccontextmanager
async def sockets() -> AsyncGenerator[Proxy]:
    async def echo(connection: ServerConnection) -> None:
        async for message in connection:
            await connection.send(message)

    async with serve(echo, "127.0.0.1", 0) as server:
        port = int(next(iter(server.sockets)).getsockname()[1])
        async with Proxy(port, seed=5) as bad:
            yield bad


async def test_a_websocket_goes_through() -> None:
    """Frames survive odd slices: text and bytes come back whole."""
    async with sockets() as bad:
        bad.set(Fault(slices=3), Fault(slices=11))
        async with connect(f"ws://127.0.0.1:{bad.port}") as client:
            for message in ("你好", bytes(range(256))):
                await client.send(message)
                assert await client.recv() == message


async def test_a_websocket_that_is_reset_says_so() -> None:
    """A reset is an abnormal end of the connection, not a close."""
    async with sockets() as bad:
        client = await connect(f"ws://127.0.0.1:{bad.port}")
        await client.send("x")
        await client.recv()
        bad.reset()
        with pytest.raises(ConnectionClosedError):
            await client.recv()
        await client.close()
