"""Clients that do not read what they are sent: nothing is kept for them for long."""

import asyncio
import select
import socket
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from websockets.frames import Opcode

from services.gateway.core.caps import Caps
from tests.caller import request
from tests.gateway.studio import running
from tests.gateway.test_doors import counted
from tests.security.ground import handshake, masked

PATIENCE_S = 20
PCM, TYPED = bytes(48_000), request("TextInput", text="hello")


@asynccontextmanager
async def deaf(port: int) -> AsyncGenerator[socket.socket]:
    """A call's client that types something and reads nothing at all."""
    loop, frames = asyncio.get_running_loop(), [request("BotUpdateConfig", audio="stream"), TYPED]
    with socket.socket() as plain:
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        plain.setblocking(False)  # noqa: FBT003  its name is its meaning
        await loop.sock_connect(plain, ("127.0.0.1", port))
        await loop.sock_sendall(plain, handshake("/?sid=deaf", host="localhost"))
        assert b" 101 " in await loop.sock_recv(plain, 400)
        await loop.sock_sendall(plain, b"".join(masked(Opcode.BINARY, frame) for frame in frames))
        yield plain


async def reset(plain: socket.socket) -> None:
    """Returns when the server has thrown the connection away: what it sent is not waited for."""
    poll = select.poll()
    poll.register(plain, 0)
    async with asyncio.timeout(PATIENCE_S):
        while not any(event & select.POLLERR for _, event in poll.poll(0)):
            await asyncio.sleep(0.02)


async def test_a_call_that_is_not_read_is_cut_off(broker_url: str, live_url: str) -> None:
    """The connection is reset, though nothing was taken of what the kernel holds; its place is free again."""
    before = counted("slow_reader")
    async with running(broker_url, live_url, Caps(stuck_ms=500, calls=1)) as gateway:
        async with deaf(gateway.port) as plain:
            turn = await gateway.studio.turn()
            for index in range(40):
                await gateway.studio.speak(turn, index, "Hello.", PCM)
            await reset(plain)
        assert counted("slow_reader") == before + 1


async def test_who_is_sent_away_is_not_waited_for(broker_url: str, live_url: str) -> None:
    """A close waits behind what was sent before: the connection is reset after a moment, however patient the server is."""
    caps = Caps(stuck_ms=10**8, send_ms=300, goodbye_ms=200)
    async with running(broker_url, live_url, caps) as gateway, deaf(gateway.port) as plain:
        turn = await gateway.studio.turn()
        for index in range(40):
            await gateway.studio.speak(turn, index, "Hello.", PCM)
        await reset(plain)
