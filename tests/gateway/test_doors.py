"""The server's connections on real sockets: what does not come soon, is too long, too much or too many is closed."""

import asyncio
import contextlib
import json
import os
import socket
import struct
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any, cast

import pytest
from prometheus_client import REGISTRY
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.frames import Opcode

from services.contract import streams
from services.contract.tts import AIR_RATE, SpeechChunk, SpeechEnded, SpeechStarted
from services.gateway.core.access import Rules
from services.gateway.core.caps import Caps
from tests.gateway.studio import Gateway, running
from tests.gateway.test_stage import TONE, hears, speak
from tests.waiting import rest

ROOMS = ("demo",)
PATIENCE_S = 20
TOKEN = Rules(token="correct horse")  # noqa: S106  a test's own
STAGE = "/api/rooms/demo/stage"
UPGRADE = (
    f"GET {STAGE} HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
)


def counted(reason: str) -> float:
    """How many were cut off for that so far."""
    return REGISTRY.get_sample_value("onair_rejected_total", {"source": "connection", "reason": reason}) or 0


@asynccontextmanager
async def raw(gateway: Gateway, said: str = "") -> AsyncGenerator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A plain connection that has said this."""
    plain = socket.socket()
    plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8_192)
    plain.setblocking(False)  # noqa: FBT003  its name is its meaning
    await asyncio.get_running_loop().sock_connect(plain, ("127.0.0.1", gateway.port))
    reader, writer = await asyncio.open_connection(sock=plain)
    try:
        writer.write(said.encode())
        yield reader, writer
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


@asynccontextmanager
async def joined(gateway: Gateway, path: str = STAGE, **how: Any) -> AsyncGenerator[ClientConnection]:
    async with connect(f"ws://127.0.0.1:{gateway.port}{path}", proxy=None, close_timeout=1, **how) as page:
        yield page


async def closed(page: ClientConnection) -> tuple[int, str]:
    """Code and reason with which the server closes."""
    async with asyncio.timeout(PATIENCE_S):
        with contextlib.suppress(ConnectionClosed):
            while True:
                await page.recv()
    assert page.close_code is not None
    return page.close_code, page.close_reason or ""


async def test_a_page_gets_a_ticket_with_the_token_and_opens_one_websocket(broker_url: str, live_url: str) -> None:
    """At any gateway, once; the broker holds nothing that opens anything."""
    async with (
        running(broker_url, live_url, rules=TOKEN, rooms=ROOMS) as gateway,
        running(broker_url, live_url, rules=TOKEN, rooms=ROOMS) as other,
        gateway.client() as client,
    ):
        host = {"host": "onair.example"}
        none = await client.post("/api/tickets", headers=host)
        got = await client.post("/api/tickets", headers={**host, "authorization": "Bearer correct horse"})
        ticket = got.json()["ticket"]
        kept = await cast("Any", gateway.studio.bus.work).keys(streams.TICKET.of("*"))
        left_ms = await gateway.studio.bus.work.pttl(kept[0])
        page = f"http://127.0.0.1:{other.port}"
        async with joined(other, f"{STAGE}?ticket={ticket}", origin=page) as stage:
            present = json.loads(await stage.recv())
        with pytest.raises(InvalidStatus) as replayed:
            async with joined(gateway, f"{STAGE}?ticket={ticket}"):
                pass
    assert (none.status_code, got.status_code, got.headers["cache-control"]) == (401, 200, "no-store")
    assert got.json()["expires_ms"] == 30_000 >= left_ms > 0
    assert present["type"] == "present"
    assert ticket.encode() not in kept[0]
    assert replayed.value.response.status_code == 403
    told = json.loads(replayed.value.response.body)
    assert (told["code"], "POST /api/tickets" in told["detail"]) == ("unauthorized", True)


async def test_a_ticket_cannot_be_taken_while_the_broker_is_gone(live_url: str) -> None:
    """The door stays closed, and says why."""
    async with (
        running("redis://127.0.0.1:1", live_url, rules=TOKEN, rooms=ROOMS) as gateway,
        gateway.client() as client,
    ):
        got = await client.post("/api/tickets")
        with pytest.raises(InvalidStatus) as refused:
            async with joined(gateway, f"{STAGE}?ticket={'a' * 43}"):
                pass
    assert (got.status_code, got.json()["code"]) == (503, "bus_down")
    assert json.loads(refused.value.response.body)["code"] == "bus_down"


@pytest.mark.parametrize("said", ["", "GET /healthz HTTP/1.1\r\nHost: loc", "\r\n\r\n", UPGRADE])
async def test_a_connection_that_does_not_ask_is_closed(said: str, broker_url: str, live_url: str) -> None:
    """Nothing, half a request, empty lines, half a handshake: 408 with the reason."""
    before = counted("slow_headers")
    async with running(broker_url, live_url, Caps(head_ms=200)) as gateway, raw(gateway, said) as (reader, _):
        told = await rest(reader, PATIENCE_S)
    assert told.startswith(b"HTTP/1.1 408 ")
    assert b"did not come within 0.2 s" in told
    assert counted("slow_headers") == before + 1


async def test_the_next_request_has_to_come_too(broker_url: str, live_url: str) -> None:
    """A second half request on the same connection is not waited for either, nor is one behind an answer in the making."""
    whole = "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
    async with running(broker_url, live_url, Caps(head_ms=300)) as gateway:
        async with raw(gateway, whole) as (reader, writer):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"GET /healthz HTTP/1.1\r\nHo")
            late = await rest(reader, PATIENCE_S)
        async with raw(gateway, whole + whole + "GET") as (reader, _):
            pipelined = await rest(reader, PATIENCE_S)
    assert b"HTTP/1.1 408" in late
    assert (pipelined.count(b"HTTP/1.1 200"), pipelined.count(b"HTTP/1.1 408")) == (2, 1)


async def test_an_answer_may_take_longer_than_a_request(broker_url: str, live_url: str) -> None:
    """Who has asked is not hurried: the stage stays open, and a console's stream."""
    async with (
        running(broker_url, live_url, Caps(head_ms=100, pulse_ms=50), rooms=ROOMS) as gateway,
        raw(gateway, "GET /api/console/stream HTTP/1.1\r\nHost: localhost\r\n\r\n") as (reader, _),
        joined(gateway) as page,
    ):
        for _ in range(10):
            await page.recv()
        for _ in range(3):
            await reader.readuntil(b"data: ")


async def test_endless_headers_are_closed(broker_url: str, live_url: str) -> None:
    """After so many bytes, 431; a long body is no header."""
    async with running(broker_url, live_url, Caps(head_bytes=2_000)) as gateway:
        async with raw(gateway, "GET / HTTP/1.1\r\n" + "X-More: more\r\n" * 500) as (reader, _):
            told = await rest(reader, PATIENCE_S)
        async with gateway.client() as client:
            body = await client.post("/api/chat", content=b" " * 100_000)
        line = UPGRADE.replace(STAGE, STAGE + "?" + "x" * 1_000) + "X-Long: " + "x" * 800 + "\r\n\r\n"
        async with raw(gateway, line) as (reader, _):
            fits = await reader.readline()
    assert told.startswith(b"HTTP/1.1 431 ")
    assert body.status_code == 422
    assert fits.startswith(b"HTTP/1.1 101 ")


async def test_a_handshake_that_cannot_be_read_is_closed(broker_url: str, live_url: str) -> None:
    """A header that WebSockets do not allow is no fault of the server's."""
    async with running(broker_url, live_url, rooms=ROOMS) as gateway:
        async with raw(gateway, UPGRADE + "X-Long: " + "x" * 10_000 + "\r\n\r\n") as (reader, _):
            told = await rest(reader, PATIENCE_S)
        async with joined(gateway) as page:
            assert "present" in str(await page.recv())
    assert told.startswith(b"HTTP/1.1 400 ")


async def test_there_are_so_many_connections(broker_url: str, live_url: str) -> None:
    """One too many is told to come again; a WebSocket counts like any other, until it is gone."""
    async with running(broker_url, live_url, Caps(connections=2), rooms=ROOMS) as gateway:
        async with joined(gateway) as page, raw(gateway):
            await page.recv()
            async with raw(gateway) as (reader, _):
                told = await rest(reader, PATIENCE_S)
        async with asyncio.timeout(PATIENCE_S):
            while True:
                with contextlib.suppress(InvalidStatus, ConnectionError):
                    async with joined(gateway) as page:
                        assert "present" in str(await page.recv())
                        break
    assert told.startswith(b"HTTP/1.1 503 ")
    assert b"2 connections are open already" in told


def masked(opcode: int, data: bytes, *, fin: bool = True) -> bytes:
    """One frame of a client."""
    return struct.pack("!BB", fin << 7 | opcode, 0x80 | len(data)) + b"\0\0\0\0" + data


@asynccontextmanager
async def shaken(gateway: Gateway) -> AsyncGenerator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A WebSocket whose bytes the test writes itself."""
    async with raw(gateway, UPGRADE + "\r\n") as (reader, writer):
        assert b" 101 " in await reader.readuntil(b"\r\n\r\n")
        yield reader, writer


@pytest.mark.parametrize(
    "frame",
    [
        masked(Opcode.PING, b"x" * 100),
        masked(Opcode.PONG, b""),
        masked(Opcode.TEXT, b"x"),
        masked(Opcode.BINARY, b""),
    ],
    ids=["pings", "pongs", "one-byte frames", "empty frames"],
)
async def test_a_flood_of_frames_is_closed(frame: bytes, broker_url: str, live_url: str) -> None:
    """With 1008 and the reason; another page notices nothing."""
    before = counted("too_much")
    caps = Caps(uplink_burst_frames=20, uplink_frames_a_second=1, pulse_ms=50)
    async with running(broker_url, live_url, caps, rooms=ROOMS) as gateway, joined(gateway) as page:
        async with shaken(gateway) as (reader, writer):
            writer.write(frame * 300)
            told = await rest(reader, PATIENCE_S)
        assert "present" in str(await page.recv())
        assert "pulse" in str(await page.recv())
    assert struct.pack("!H", 1008) + b"you send more than is allowed" in told
    assert counted("too_much") == before + 1


async def test_fragments_count_too(broker_url: str, live_url: str) -> None:
    """A message of a thousand empty parts."""
    caps = Caps(uplink_burst_frames=20, uplink_frames_a_second=1)
    async with running(broker_url, live_url, caps, rooms=ROOMS) as gateway, shaken(gateway) as (reader, writer):
        writer.write(masked(Opcode.TEXT, b"", fin=False) + masked(Opcode.CONT, b"", fin=False) * 1_000)
        told = await rest(reader, PATIENCE_S)
    assert b"you send more than is allowed" in told


async def test_too_many_bytes_are_closed(broker_url: str, live_url: str) -> None:
    """However few the frames are."""
    caps = Caps(uplink_burst_bytes=5_000, uplink_bytes_a_second=10)
    async with running(broker_url, live_url, caps, rooms=ROOMS) as gateway, joined(gateway) as page:
        for _ in range(10):
            await page.send("x" * 1_000)
        assert (await closed(page))[0] == 1008


@pytest.mark.parametrize(
    "parts",
    [
        [masked(Opcode.TEXT, b"x", fin=False), masked(Opcode.PING, b""), masked(Opcode.CONT, b"", fin=False)],
        [b"\x81", b"\xfe", b"\x03"],
        [masked(Opcode.PING, b"") + b"\x81\x85\0\0\0\0", b"x", b"x"],
    ],
    ids=["endless fragments", "half a header", "byte by byte"],
)
async def test_a_message_has_to_be_whole_soon(parts: list[bytes], broker_url: str, live_url: str) -> None:
    """Pings in between do not make it longer."""
    before = counted("unfinished")
    async with (
        running(broker_url, live_url, Caps(message_ms=300), rooms=ROOMS) as gateway,
        shaken(gateway) as (reader, writer),
    ):
        for part in parts:
            writer.write(part)
            await asyncio.sleep(0.05)
        told = await rest(reader, PATIENCE_S)
    assert b"the rest of a message did not come in time" in told
    assert counted("unfinished") == before + 1


async def test_a_page_that_says_nothing_may_stay(broker_url: str, live_url: str) -> None:
    """And one that says something whole now and then."""
    caps = Caps(message_ms=50, pulse_ms=40)
    async with running(broker_url, live_url, caps, rooms=ROOMS) as gateway, joined(gateway) as page:
        for number in range(20):
            await page.recv()
            if number % 3 == 0:
                await page.send("hello")
                await (await page.ping(os.urandom(4)))


async def sentence(gateway: Gateway, index: int) -> None:
    """One more of the turn that is on air, a second long."""
    place: dict[str, Any] = {"turn": "t", "index": index, "attempt": 1}
    await gateway.studio.tell("demo", SpeechStarted(**place, no=1, epoch=0, text="嗯。"))
    chunk = SpeechChunk(**place, chunk=0, sample_offset=0)
    await gateway.studio.sessions.publish("demo", chunk, TONE)
    await gateway.studio.tell("demo", SpeechEnded(**place, samples=AIR_RATE))


async def test_who_reads_nothing_is_cut_off(broker_url: str, live_url: str) -> None:
    """What waits for it stays bounded, its seat is free again; the other page hears everything."""
    before = counted("slow_reader")
    caps = Caps(stuck_ms=500, stage_bytes=200_000, viewers=2)
    async with running(broker_url, live_url, caps, rooms=ROOMS) as gateway, joined(gateway) as page:
        assert "present" in str(await page.recv())
        async with shaken(gateway) as (_, writer):
            cast("asyncio.Transport", writer.transport).pause_reading()
            number = 0
            await speak(gateway)
            await hears(page, "sound")
            async with asyncio.timeout(PATIENCE_S):
                while counted("slow_reader") == before:
                    number += 1
                    await sentence(gateway, number)
                    await hears(page, "sound")
        async with asyncio.timeout(PATIENCE_S):
            while True:
                async with joined(gateway) as third:
                    if "present" in str(await third.recv()):
                        break


async def test_what_is_refused_is_told_once_a_second(broker_url: str, live_url: str) -> None:
    """A flood at the door does not fill the log; each is counted."""
    rules = replace(TOKEN)
    name, labels = "onair_rejected_total", {"source": "gateway", "reason": "unauthorized"}
    before = REGISTRY.get_sample_value(name, labels) or 0
    async with running(broker_url, live_url, rules=rules) as gateway, gateway.client() as client:
        codes = {(await client.get("/metrics", headers={"host": "evil.example"})).status_code for _ in range(20)}
    assert codes == {401}
    assert REGISTRY.get_sample_value(name, labels) == before + 20
