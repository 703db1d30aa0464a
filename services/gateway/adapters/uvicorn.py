"""The server's connections, bounded: how many, how long a request may take to come, how much and how fast it may be."""

import asyncio
import json
import socket
from functools import partial
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import Frame
from websockets.http11 import Request

from services.contract.failure import Code
from services.gateway.adapters.uvicorn_door import Door, Drain
from services.gateway.core.access import Rules
from services.gateway.core.caps import Caps
from services.gateway.core.english import CHAT
from services.gateway.core.rates import Bucket
from services.runtime.clock import now_ms

POLICY = 1008
SLICE = 4_096
"""A client's bytes are read in parts, so that one of them cannot keep the loop: 600 frames at most."""
CLOSED = {
    503: "Service Unavailable",
    408: "Request Timeout",
    431: "Request Header Fields Too Large",
    400: "Bad Request",
}


class Http(HttpToolsProtocol):
    """A connection until it is a WebSocket: its headers come soon and are not long."""

    def __init__(self, door: Door, **uvicorns: Any) -> None:  # noqa: ANN401  uvicorn's own
        super().__init__(**uvicorns)
        self._door = door
        self._inside = False
        self._due: asyncio.TimerHandle | None = None
        self._head = 0
        self._drain = Drain(door, self.loop, "")

    def connection_made(self, transport: asyncio.Transport) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]  as uvicorn's
        """Count it in, or say that there is no room."""
        super().connection_made(transport)
        transport.set_write_buffer_limits(high=0)
        own = transport.get_extra_info("socket")  # by itself the kernel keeps 4 MiB for one client
        own.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, self._door.caps.kernel_bytes)
        client = self.client[0] if self.client else ""
        self._drain = Drain(self._door, self.loop, client)
        full = self._door.crowd.enter(client, trusted=self._door.trusts(client))
        self._inside = not full
        if full:
            self._end(503, "connections", Code.BUSY, full)
        else:
            self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """Count it out."""
        self._leave()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Headers are at most so long; uvicorn itself has no limit."""
        if self.transport.is_closing():
            return
        self._head += len(data)
        super().data_received(data)
        if self._due and self._head > self._door.caps.head_bytes and not self.transport.is_closing():
            limit = self._door.caps.head_bytes
            self._end(
                431, "large_headers", Code.TOO_LARGE, f"headers are longer than the {limit} bytes that are allowed"
            )

    def on_headers_complete(self) -> None:
        """They came."""
        self._came()
        super().on_headers_complete()

    def on_response_complete(self) -> None:
        """The next ones come soon too."""
        super().on_response_complete()
        if self.cycle.response_complete:
            self._wait()

    def handle_websocket_upgrade(self) -> None:
        """The connection is the WebSocket's from now on; it is counted out there."""
        self._came()
        self._drain.end()
        super().handle_websocket_upgrade()

    def pause_writing(self) -> None:
        """Something waits for the client."""
        super().pause_writing()
        self._drain.begin(self.transport)

    def resume_writing(self) -> None:
        """The client took it all."""
        super().resume_writing()
        self._drain.end()

    def _wait(self) -> None:
        self._came()
        self._head = 0
        self._due = self.loop.call_later(self._door.caps.head_ms / 1_000, self._late)

    def _came(self) -> None:
        if self._due:
            self._due.cancel()
            self._due = None

    def _late(self) -> None:
        self._due = None
        seconds = self._door.caps.head_ms / 1_000
        if not self.transport.is_closing():
            self._end(408, "slow_headers", Code.EXPIRED, f"the request did not come within {seconds:g} s")

    def _leave(self) -> None:
        self._came()
        self._drain.end()
        if self._inside:
            self._inside = False
            self._door.crowd.leave(self.client[0] if self.client else "")

    def _end(self, status: int, reason: str, code: Code, sentence: str) -> None:
        """Say why, and close."""
        self._came()
        self._door.cut(reason, sentence, self.client[0] if self.client else "")
        body = json.dumps({"code": code.value, "detail": sentence}).encode()
        head = (
            f"HTTP/1.1 {status} {CLOSED[status]}\r\ncontent-type: application/json\r\n"
            f"content-length: {len(body)}\r\nconnection: close\r\n\r\n"
        )
        self.transport.write(head.encode() + body)
        self.transport.close()


class Socket(WebSocketsSansIOProtocol):
    """A WebSocket: its messages come whole and soon, and not too many of them."""

    def __init__(self, door: Door, **uvicorns: Any) -> None:  # noqa: ANN401  uvicorn's own
        super().__init__(**uvicorns)
        caps = door.caps
        self._door = door
        self.close_timeout = caps.goodbye_ms / 1_000
        self._bytes = Bucket(caps.uplink_burst_bytes, caps.uplink_bytes_a_second)
        self._frames = Bucket(caps.uplink_burst_frames, caps.uplink_frames_a_second)
        self._whole_ms = caps.message_ms
        self._many = False
        self._due: asyncio.TimerHandle | None = None
        self._drain = Drain(door, self.loop, "")

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """It was counted in as an HTTP connection."""
        super().connection_made(transport)
        self._drain = Drain(self._door, self.loop, self.client[0] if self.client else "")

    def connection_lost(self, exc: Exception | None) -> None:
        """Count it out."""
        self._whole()
        self._drain.end()
        self._door.crowd.leave(self.client[0] if self.client else "")
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """What the client says, in parts."""
        if not self.handshake_initiated:
            super().data_received(data)
            if not self.handshake_initiated:
                self._refuse()
            return
        for at in range(0, len(data), SLICE):
            part = data[at : at + SLICE]
            if self.close_sent or self.transport.is_closing():
                super().data_received(part)
                continue
            self._due = self._due or self.loop.call_later(self._whole_ms / 1_000, self._late)
            fits = self._bytes.take(len(part), now_ms())
            super().data_received(part)
            if not fits or self._many:
                self._end("too_much", "you send more than is allowed: slow down, then connect again")

    def handle_connect(self, event: Request) -> None:
        """A lesson's messages are whole recordings."""
        if event.path.partition("?")[0] == CHAT:
            caps = self._door.caps
            self.conn.max_message_size = caps.utterance_bytes
            self._bytes = Bucket(2 * caps.utterance_bytes, caps.utterance_bytes_a_second)
            self._whole_ms = caps.utterance_ms
        super().handle_connect(event)

    def handle_cont(self, event: Frame) -> None:
        """A part of a message."""
        self._frame(whole=event.fin)
        super().handle_cont(event)

    def handle_text(self, event: Frame) -> None:
        """A text message, or its first part."""
        self._frame(whole=event.fin)
        super().handle_text(event)

    def handle_bytes(self, event: Frame) -> None:
        """A binary message, or its first part."""
        self._frame(whole=event.fin)
        super().handle_bytes(event)

    def handle_ping(self) -> None:
        """It was answered already."""
        self._frame(whole=not self.frames)
        super().handle_ping()

    def handle_pong(self, event: Frame) -> None:
        """The client lives."""
        self._frame(whole=not self.frames)
        super().handle_pong(event)

    def pause_writing(self) -> None:
        """Something waits for the client."""
        super().pause_writing()
        self._drain.begin(self.transport)

    def resume_writing(self) -> None:
        """The client took it all."""
        super().resume_writing()
        self._drain.end()

    def _refuse(self) -> None:
        """The library answers nothing to a handshake that it cannot read."""
        self._door.cut("bad_handshake", "the handshake cannot be read", self.client[0] if self.client else "")
        self.transport.write(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
        self.transport.close()

    def _frame(self, *, whole: bool) -> None:
        """Count it; one that ends a message ends the wait for the rest of it."""
        if whole:
            self._whole()
        if not self._frames.take(1, now_ms()):
            self._many = True

    def _whole(self) -> None:
        if self._due:
            self._due.cancel()
            self._due = None

    def _late(self) -> None:
        self._due = None
        self._end("unfinished", "the rest of a message did not come in time")

    def _end(self, reason: str, sentence: str) -> None:
        if self.close_sent or self.transport.is_closing():
            return
        self._door.cut(reason, sentence, self.client[0] if self.client else "")
        self.conn.fail(POLICY, sentence)
        self.handle_parser_exception()


def protocols(caps: Caps, rules: Rules) -> dict[str, Any]:
    """What uvicorn's configuration takes: the protocols of one server."""
    door = Door(caps, rules)
    return {"http": partial(Http, door), "ws": partial(Socket, door)}
