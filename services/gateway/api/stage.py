"""`/api/rooms/{room}/stage`: the show as it happens, for pages; a WebSocket on which only the server speaks."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing, asynccontextmanager
from typing import Any

import structlog
from fastapi import APIRouter, WebSocket, WebSocketDisconnect

from services.contract.failure import Failure
from services.contract.streams import SESSION_KEPT_MS
from services.gateway.api.events import of_config
from services.gateway.api.http import end, reason
from services.gateway.core.caps import Caps, Slots
from services.gateway.core.ports import Desk
from services.gateway.core.stage import Stage, Told, frame
from services.runtime.clock import now_ms

log = structlog.get_logger(__name__)
UNKNOWN, AGAIN = 4404, 1013
"""Close codes: no such room; try again later."""


class Seat:
    """What waits to be sent to one page, bounded by bytes."""

    def __init__(self, limit: int, first: Sequence[str | bytes] = ()) -> None:
        self._frames: asyncio.Queue[str | bytes] = asyncio.Queue()
        self._waiting = 0
        self._limit = limit + sum(map(len, first))
        self.behind = False
        for said in first:
            self.put(said)

    def put(self, said: str | bytes) -> None:
        """Let it wait; a page that is too far behind gets nothing more."""
        self.behind = self.behind or self._waiting + len(said) > self._limit
        if not self.behind:
            self._waiting += len(said)
            self._frames.put_nowait(said)

    async def next(self, pulse_ms: int) -> str | bytes:
        """What is sent next: a pulse with the server's time where nothing else came."""
        try:
            async with asyncio.timeout(pulse_ms / 1_000):
                said = await self._frames.get()
        except TimeoutError:
            return frame({"type": "pulse", "now_ms": now_ms()})
        self._waiting -= len(said)
        return said


class Watch:
    """One room that somebody watches: reads its session once, for all of them."""

    def __init__(self, desk: Desk, room: str) -> None:
        self.seats: set[Seat] = set()
        self.wanted = 0
        self.stage = Stage(now_ms() - SESSION_KEPT_MS)
        self._desk = desk
        self._room = room
        self._lock = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None

    async def ready(self) -> None:
        """Know how things stand; raises Failure BUS_DOWN."""
        async with self._lock:
            if self._task and not self._task.done():
                return
            self.stage = Stage(now_ms() - SESSION_KEPT_MS)
            for event in await self._desk.unanswered(self._room):
                self.stage.feed(event.at_ms, event)
            entries = await self._desk.kept(self._room)
            for entry in entries:
                self.stage.feed(entry.ms, entry.message, entry.blob)
            self._task = asyncio.create_task(self._read(entries[-1].id if entries else "0-0"))

    async def _read(self, after: str) -> None:
        try:
            async with aclosing(self._desk.coming(self._room, after)) as entries:
                async for entry in entries:
                    self._tell(self.stage.feed(entry.ms, entry.message, entry.blob))
        except Exception:
            log.exception("a room cannot be followed", room=self._room)
            for seat in self.seats:
                seat.behind = True
            raise

    def _tell(self, told: Sequence[Told]) -> None:
        for said in map(frame, told):
            for seat in self.seats:
                seat.put(said)

    async def close(self) -> None:
        """Read no more."""
        if self._task:
            await end(self._task)


class Hall:
    """The rooms that are watched."""

    def __init__(self, desk: Desk, caps: Caps) -> None:
        self._desk = desk
        self._caps = caps
        self._watches: dict[str, Watch] = {}

    @asynccontextmanager
    async def seat(self, room: str) -> AsyncGenerator[Seat]:
        """A seat in that room, with how things stand; raises Failure BUS_DOWN."""
        watch = self._watches.setdefault(room, Watch(self._desk, room))
        seat: Seat | None = None
        watch.wanted += 1
        try:
            await watch.ready()
            seat = Seat(self._caps.stage_bytes, [frame(told) for told in watch.stage.present(now_ms())])
            watch.seats.add(seat)
            yield seat
        finally:
            if seat:
                watch.seats.discard(seat)
            watch.wanted -= 1
            if not watch.wanted:
                del self._watches[room]
                await watch.close()


def router(desk: Desk, caps: Caps, known: Sequence[str]) -> APIRouter:
    """The route of these rooms."""
    routes = APIRouter(tags=["rooms"])
    slots, hall = Slots(caps.viewers), Hall(desk, caps)

    async def stage(socket: WebSocket, room: str) -> None:
        """The page's end of the show: text frames are JSON events, binary frames sound."""
        await socket.accept()
        try:
            of_config(room, known)
        except Failure as failure:
            await _close(socket, UNKNOWN, failure.sentence)
            return
        if not slots.take():
            await _close(socket, AGAIN, f"{slots.size} pages are open already; try again soon")
            return
        try:
            await _show(socket, hall, room, caps)
        finally:
            slots.give()

    routes.add_api_websocket_route("/api/rooms/{room}/stage", stage)
    return routes


async def _show(socket: WebSocket, hall: Hall, room: str, caps: Caps) -> None:
    """Until the page leaves or cannot keep up."""
    try:
        async with hall.seat(room) as seat:
            talk, gone = asyncio.ensure_future(_talk(socket, seat, caps)), asyncio.ensure_future(_left(socket))
            try:
                await asyncio.wait([talk, gone], return_when=asyncio.FIRST_COMPLETED)
            finally:
                await end(talk, gone)
            if not talk.cancelled() and not gone.done():
                talk.result()
            if seat.behind:
                log.info("a page is too slow, it was cut off", room=room)
                await _close(socket, AGAIN, "this page takes the show too slowly; it is joined again")
    except Failure as failure:
        await _close(socket, AGAIN, failure.sentence)


async def _talk(socket: WebSocket, seat: Seat, caps: Caps) -> None:
    """Send what waits, until the page is too far behind or gone."""
    try:
        while not seat.behind:
            said = await seat.next(caps.pulse_ms)
            async with asyncio.timeout(caps.send_ms / 1_000):
                await (socket.send_text(said) if isinstance(said, str) else socket.send_bytes(said))
    except TimeoutError:
        seat.behind = True
    except (WebSocketDisconnect, RuntimeError) as error:
        log.debug("a page left while it was sent something", reason=str(error))


async def _left(socket: WebSocket) -> None:
    """Returns when the page has left; what it sends is not looked at."""
    message: dict[str, Any] = {}
    while message.get("type") != "websocket.disconnect":
        message = dict(await socket.receive())


async def _close(socket: WebSocket, code: int, why: str) -> None:
    await socket.close(code, reason(why))
