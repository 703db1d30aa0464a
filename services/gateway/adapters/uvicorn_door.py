"""What all connections of the server share: who is connected, who was cut off, who takes too slowly what is sent to it."""

import asyncio
import socket
import struct

import structlog

from services.gateway.core.access import Rules, is_loopback
from services.gateway.core.caps import Caps
from services.gateway.core.crowd import Crowd
from services.runtime.logs import Throttle
from services.runtime.metrics import REJECTED

log = structlog.get_logger(__name__)
LOOK_S = 1.0
LINGER = struct.pack("ii", 1, 0)
"""On, no seconds: what the kernel still holds for the client is thrown away, and the client is told so."""


class Door:
    """What all connections share."""

    def __init__(self, caps: Caps, rules: Rules) -> None:
        self.caps = caps
        self.crowd = Crowd(caps.connections, caps.connections_each)
        self._rules = rules
        self._throttle = Throttle()

    def trusts(self, client: str) -> bool:
        """Whether the address is shared by many clients: this machine's, or the bridge's of a container."""
        return self._rules.loopback or is_loopback(client)

    def cut(self, reason: str, sentence: str, client: str) -> None:
        """Count somebody who was cut off or not let in; tell it, once a second at most."""
        REJECTED.labels("connection", reason).inc()
        if self._throttle.ready():
            log.info("cut off", code=reason, reason=sentence, client=client, not_told=self._throttle.held_back)


class Drain:
    """Watches one client that does not take what is sent to it; cuts it off when too little goes for too long."""

    def __init__(self, door: Door, loop: asyncio.AbstractEventLoop, client: str) -> None:
        self._door = door
        self._loop = loop
        self._client = client
        self._timer: asyncio.TimerHandle | None = None
        self._waiting = self._since = self._closing = 0.0

    def begin(self, transport: asyncio.Transport) -> None:
        """Something waits."""
        if not self._timer:
            self._waiting, self._since = transport.get_write_buffer_size(), self._loop.time()
            self._timer = self._loop.call_later(LOOK_S, self._look, transport)

    def end(self) -> None:
        """Nothing waits any more."""
        if self._timer:
            self._timer.cancel()
            self._timer = None

    def _look(self, transport: asyncio.Transport) -> None:
        """Uvicorn's own close waits until the client has taken all that it was sent."""
        caps, now, waiting = self._door.caps, self._loop.time(), transport.get_write_buffer_size()
        if transport.is_closing():
            self._closing = self._closing or now
        if waiting <= self._waiting - caps.taken_bytes:
            self._waiting, self._since = waiting, now
        stuck = now - self._since > caps.stuck_ms / 1_000
        if stuck or (self._closing and now - self._closing > caps.goodbye_ms / 1_000):
            self._timer = None
            self._door.cut("slow_reader", "it takes too slowly what is sent to it", self._client)
            transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER)
            transport.abort()
            return
        self._waiting = max(self._waiting, waiting)
        self._timer = self._loop.call_later(LOOK_S, self._look, transport)
