"""The live call: a WebSocket of binary frames, for the original client and for OnAir's own."""

import asyncio
import re
import secrets
from collections.abc import Mapping, Sequence
from contextlib import aclosing, suppress
from typing import Any, cast

import structlog
from fastapi import APIRouter, WebSocket, WebSocketDisconnect

from services.contract.failure import Code, Failure
from services.gateway.api import outbox
from services.gateway.api.http import end, reason
from services.gateway.api.outbox import CUT_S, Encode, Outbox
from services.gateway.core import call_words as words
from services.gateway.core import frame
from services.gateway.core.access import is_open
from services.gateway.core.call import Call
from services.gateway.core.call_turn import Position
from services.gateway.core.call_words import Chunk, Close, Effect, File, Interrupt, Menu, Order, Purge, Say
from services.gateway.core.caps import Caps, Slots
from services.gateway.core.ports import Exchange, Line
from services.runtime.clock import now_ms

log = structlog.get_logger(__name__)
PATH = "/api/live_voice_call/chat"
UNKNOWN = 4404
ORDERS = 64
"""What may wait for the bus; then the client's next frame waits."""
RETURN_S = 5.0
"""An answer goes on so long for a client that lost its connection."""
TEXT = frame.ProtocolError("unsupported", frame.UNSUPPORTED, "frames are binary, not text")
_SID = re.compile(r"[A-Za-z0-9_-]{1,64}")
_RESUME = re.compile(r"([A-Za-z0-9_-]{1,96}):(\d{1,6}):(\d{1,9})")


class Connection:
    """One client on its call, from the first frame to the last."""

    def __init__(self, socket: WebSocket, line: Line, call: Call, name: str, caps: Caps, encode: Encode) -> None:
        self._socket = socket
        self._line = line
        self._call = call
        self._name = name
        self._caps = caps
        self._encode = encode
        self._outbox = Outbox(caps.call_bytes)
        self._orders: asyncio.Queue[Order] = asyncio.Queue(ORDERS)
        self._changed = asyncio.Event()
        self._code = 0
        self._left = False
        self._taken = asyncio.Event()

    async def serve(self) -> None:
        """Until the client leaves, is sent away, or the gateway ends; raises Failure BUS_DOWN."""
        stand = await self._line.join(self._name)
        await self._do(self._call.joined(stand.kept, stand.at_sample, now_ms()))
        talks = [asyncio.ensure_future(talk) for talk in (self._send(), self._receive())]
        after = stand.kept[-1].id if stand.kept else "0-0"
        works = [asyncio.ensure_future(work) for work in (self._follow(after), self._carry_out(), self._tick())]
        try:
            await asyncio.wait([*talks, *works], return_when=asyncio.FIRST_COMPLETED)
            await end(*talks)
            for done in (task for task in (*talks, *works) if task.done() and not task.cancelled()):
                done.result()
            if self._code not in {words.RESTART, words.TAKEN} and self._call.busy(now_ms()):
                with suppress(asyncio.CancelledError):  # the gateway ends: who comes back goes on elsewhere
                    await self._hang_up(works)
        finally:
            await end(*talks, *works)

    async def _hang_up(self, works: Sequence[asyncio.Future[None]]) -> None:
        """The answer ends, unless the client comes back soon."""
        self._left = True
        self._outbox.put(Purge())
        taken = asyncio.ensure_future(self._taken.wait())
        try:
            await asyncio.wait([taken, *works], timeout=RETURN_S, return_when=asyncio.FIRST_COMPLETED)
        finally:
            await end(taken)
        if not self._taken.is_set():
            await self._line.carry_out(Interrupt("disconnect"))

    async def _do(self, effects: Sequence[Effect]) -> None:
        """Frames wait for the client, orders for the bus."""
        for effect in effects:
            if isinstance(effect, Close) and effect.code == words.TAKEN:
                self._taken.set()
            if isinstance(effect, Say | File | Chunk | Purge | Close) and not self._left:
                self._outbox.put(effect)
        for effect in effects:
            if not isinstance(effect, Say | File | Chunk | Purge | Close):
                await self._orders.put(effect)
        self._changed.set()

    async def _receive(self) -> None:
        """The client's frames, until it leaves."""
        while True:
            message = cast("dict[str, Any]", await self._socket.receive())
            if message["type"] == "websocket.disconnect":
                self._code = self._code or int(message.get("code") or 0)
                return
            said = frame.parse(body) if (body := message.get("bytes")) is not None else TEXT
            match said:
                case frame.Request():
                    await self._do(self._call.event(said, now_ms()))
                case frame.Sound(pcm=pcm):
                    await self._do(self._call.sound(pcm, now_ms()))
                case frame.ProtocolError(code=code, close=close, sentence=sentence):
                    await self._do([words.error(code, sentence), Close(close, sentence)])
                    await asyncio.Event().wait()  # nothing of it is heard any more

    async def _follow(self, after: str) -> None:
        """Hear what the session says."""
        async with aclosing(self._line.coming(after)) as entries:
            async for entry in entries:
                await self._do(self._call.told(entry, now_ms()))
                await self._outbox.room()

    async def _carry_out(self) -> None:
        while True:
            order = await self._orders.get()
            try:
                await self._line.carry_out(order)
            except Failure as failure:
                await self._do(self._call.refused(order, failure, now_ms()))

    async def _tick(self) -> None:
        """Let the machine know when the time has come that it waits for."""
        while True:
            due = self._call.due_ms()
            self._changed.clear()
            try:
                async with asyncio.timeout(max(0, due - now_ms()) / 1_000):
                    await self._changed.wait()
            except TimeoutError:
                await self._do(self._call.tick(now_ms()))

    async def _send(self) -> None:
        """Send what waits; returns when the connection is to be closed, or is."""
        try:
            while True:
                said = await self._outbox.next()
                if isinstance(said, Close):
                    self._code = said.code
                    await self._close(said)
                    return
                body = await outbox.encoded(said, self._encode)
                async with asyncio.timeout(self._caps.send_ms / 1_000):
                    await self._socket.send_bytes(body)
        except TimeoutError:
            log.info("a call's client is too slow, it was cut off", session=self._call.session)
            with suppress(TimeoutError):
                await self._close(Close(words.AGAIN, "this client takes the call too slowly"))
        except (WebSocketDisconnect, RuntimeError) as error:
            log.debug("a client left while it was sent something", reason=str(error))

    async def _close(self, close: Close) -> None:
        async with asyncio.timeout(CUT_S):
            await self._socket.close(close.code, reason(close.reason))


def router(exchange: Exchange, caps: Caps, menu: Menu, encode: Encode, choices: Mapping[str, Any]) -> APIRouter:
    """The route of calls; every WebSocket path that is nobody else's is one, as with the original."""
    routes = APIRouter(tags=["live call"])
    slots = Slots(caps.calls)

    async def call(socket: WebSocket) -> None:
        """One connection of a call."""
        if is_open(socket.url.path):
            await socket.close(UNKNOWN, "nothing is called there")  # the door has asked nobody
            return
        await socket.accept()
        if not slots.take():
            await socket.close(words.AGAIN, f"{slots.size} calls are open already; try again soon")
            return
        try:
            await _serve(socket, exchange, caps, menu, encode)
        finally:
            slots.give()

    async def offered() -> dict[str, Any]:
        """What a client of a call may choose from."""
        return dict(choices)

    routes.add_api_route("/api/call", offered, methods=["GET"])
    routes.add_api_websocket_route(PATH, call)
    routes.add_api_websocket_route("/{path:path}", call)
    return routes


async def _serve(socket: WebSocket, exchange: Exchange, caps: Caps, menu: Menu, encode: Encode) -> None:
    query = socket.query_params
    sid = query.get("sid") or secrets.token_hex(8)
    try:
        session, name = _session(sid), secrets.token_hex(8)
        call = Call(session, name, menu, _resume(query.get("resume")))
        await Connection(socket, exchange.line(session), call, name, caps, encode).serve()
    except Failure as failure:
        told = words.failed(failure)
        code = words.RATE if failure.code is Code.BAD_INPUT else words.AGAIN
        with suppress(WebSocketDisconnect, RuntimeError):
            await socket.send_bytes(frame.response(told.event, told.payload))
            await socket.close(code, reason(failure.sentence))


def _session(sid: str) -> str:
    """The session of that id, which cannot be a room's; raises Failure BAD_INPUT."""
    if not _SID.fullmatch(sid):
        raise Failure(Code.BAD_INPUT, "sid is 1 to 64 letters, digits, - or _")
    return f"call-{sid}"


def _resume(text: str | None) -> Position | None:
    if text is None:
        return None
    found = _RESUME.fullmatch(text)
    return Position(found[1], int(found[2]), int(found[3])) if found else Position("", 0, 0)
