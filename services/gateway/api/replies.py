"""`POST /api/chat?v=2`: an answer as named events, sound while it is made; a cut stream goes on, at any gateway."""

import asyncio
import secrets
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

import structlog
from fastapi import Request, Response
from starlette.types import Receive, Scope, Send

from services.contract.failure import Code, Failure
from services.contract.gateway import CallJoined
from services.contract.ingest import TurnRequested
from services.gateway.api.http import end, left, take, within
from services.gateway.core import reply, sse
from services.gateway.core.caps import Caps, Slots
from services.gateway.core.ports import Desk, Entry
from services.gateway.core.reply import Cursor, Event, Position, Reply
from services.runtime.clock import now_ms
from services.runtime.metrics import FIRST_SOUND_SECONDS

log = structlog.get_logger(__name__)
HEADERS = (
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache"),
    (b"x-accel-buffering", b"no"),
)
END = {"type": "http.response.body", "body": b"", "more_body": False}
PROFILE = "profile=onair"


def wants_rich(request: Request) -> bool:
    """Whether the client asks for named events."""
    return request.query_params.get("v") == "2" or PROFILE in request.headers.get("accept", "").replace('"', "")


def cursor_of(request: Request) -> Cursor | None:
    """Where the client is; None without one. Raises Failure BAD_INPUT for what is none of ours."""
    text = request.headers.get("last-event-id", "") or request.query_params.get("last_event_id", "")
    cursor = Cursor.parse(text)
    if text and cursor is None:
        raise Failure(Code.BAD_INPUT, "Last-Event-ID is no id of an event of this stream; ask anew without it")
    return cursor


async def resumed(desk: Desk, caps: Caps, slots: Slots, cursor: Cursor) -> Response:
    """The rest of an answer; raises Failure NOT_FOUND where nothing of it is kept any more."""
    if not await desk.kept(cursor.session):
        raise Failure(Code.NOT_FOUND, "this answer is not kept any more; ask anew, without Last-Event-ID")
    take(slots, "answers")
    return Replies(desk, caps, slots, cursor.session, cursor)


class Replies(Response):
    """Streams the answer of a session's only turn. Who leaves has a while to come back, then the turn is ended."""

    def __init__(self, desk: Desk, caps: Caps, slots: Slots, session: str, cursor: Cursor | None = None) -> None:
        super().__init__()
        self._desk = desk
        self._caps = caps
        self._slots = slots
        self._session = session
        self._cursor = cursor
        self._me = secrets.token_hex(8)
        self._generation = ""
        self._reply = Reply(session, f"{session}-1")
        self._read = "0-0"
        self._until_ms = now_ms() + caps.turn_ms
        self._asked_ms = 0
        """When the turn was asked for, until its first sound was sent."""
        self._lost = False
        """Another connection has the session."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002  ASGI's signature
        """Serve it. A gateway that goes down ends nothing: the client goes on at another."""
        talk, gone = asyncio.ensure_future(self._talk(send)), asyncio.ensure_future(left(receive))
        try:
            await asyncio.wait([talk, gone], return_when=asyncio.FIRST_COMPLETED)
        finally:
            await end(talk, gone)
            self._slots.give()
        if not self._reply.over and not self._lost:
            await self._wait_for_return()
        if not talk.cancelled() and (error := talk.exception()) and not isinstance(error, TimeoutError):
            raise error

    async def _talk(self, send: Send) -> None:
        """From the first event to the last."""
        await self._send(send, {"type": "http.response.start", "status": 200, "headers": HEADERS})
        if self._cursor:
            await self._desk.join(self._session, self._me)
        self._generation = await self._desk.generation(self._session)
        for event, entry in await self._catch_up():
            await self._tell(send, event, entry)
        entries = self._desk.coming(self._session, self._read)
        async with aclosing(entries):
            while not self._reply.over and not self._lost:
                if (entry := await self._next(send, entries)) is None:
                    await self._give_up(send)
                else:
                    await self._hear(send, entry)
        await self._send(send, END)

    async def _catch_up(self) -> list[tuple[Event, str]]:
        """What the session holds behind the client's place, each event with its entry."""
        kept = await self._desk.kept(self._session)
        recovered = self._cursor is None or self._cursor.within(self._generation, kept)
        after = self._cursor.at if self._cursor and recovered else Position()
        self._reply = Reply(self._session, f"{self._session}-1", after)
        first = kept[0].id if kept else "0-0"
        told = [(self._reply.begin(recovered=recovered), first)]
        if kept and isinstance(kept[0].message, TurnRequested):
            self._asked_ms = 0 if self._cursor else kept[0].message.requested_ms
        else:
            made = await self._desk.made(f"{self._session}-1")
            for message in reply.forgotten(f"{self._session}-1", made, [entry.message for entry in kept]):
                told += [(event, first) for event in self._reply.feed(message)]
        for entry in kept:
            self._read = entry.id
            had = recovered and self._cursor is not None and self._cursor.has(entry.id)
            events = self._reply.feed(entry.message, entry.blob)
            told += [(event, entry.id) for event in events if not (had and event.name == "error")]
        return told

    async def _next(self, send: Send, entries: AsyncGenerator[Entry]) -> Entry | None:
        """The session's next entry, with beats while there is none; None if the turn's time is up."""
        until_ms = min(self._until_ms, now_ms() + self._caps.patience_ms)
        coming = asyncio.ensure_future(_entry(entries))
        try:
            while (left_ms := until_ms - now_ms()) > 0:
                await asyncio.wait([coming], timeout=min(left_ms, self._caps.pulse_ms) / 1_000)
                if coming.done():
                    return coming.result()
                await self._send(send, {"type": "http.response.body", "body": sse.BEAT, "more_body": True})
            return None
        finally:
            await end(coming)

    async def _hear(self, send: Send, entry: Entry) -> None:
        self._read = entry.id
        if isinstance(entry.message, CallJoined):
            self._lost = entry.message.connection != self._me
        for event in self._reply.feed(entry.message, entry.blob):
            await self._tell(send, event, entry.id)

    async def _tell(self, send: Send, event: Event, entry: str) -> None:
        if event.pcm and self._asked_ms:
            FIRST_SOUND_SECONDS.observe(max(0, now_ms() - self._asked_ms) / 1_000)
            self._asked_ms = 0
        id_ = str(Cursor(self._session, self._generation, entry, event.at))
        body = sse.event(event.name, event.body, id_)
        await self._send(send, {"type": "http.response.body", "body": body, "more_body": True})

    async def _give_up(self, send: Send) -> None:
        """Nothing came for too long."""
        await self._interrupt("deadline")
        await self._tell(send, self._reply.end("deadline"), self._read)

    async def _wait_for_return(self) -> None:
        """The client is gone: if no connection takes the session up in time, the turn is ended."""
        entries = self._desk.coming(self._session, self._read)
        try:
            async with aclosing(entries):
                if await within(self._caps.return_ms, self._taken_up(entries)):
                    return
        except TimeoutError:
            await self._interrupt("disconnect")

    async def _taken_up(self, entries: AsyncGenerator[Entry]) -> bool:
        """Whether another connection took it up, or it ended by itself; never False."""
        async for entry in entries:
            self._reply.feed(entry.message, entry.blob)
            if self._reply.over or (isinstance(entry.message, CallJoined) and entry.message.connection != self._me):
                return True
        return False

    async def _interrupt(self, by: str) -> None:
        """End the turn; where the broker is gone, the turn's deadline does."""
        try:
            await self._desk.interrupt(self._session, by)
        except Failure as failure:
            log.debug("could not end a turn", session=self._session, by=by, reason=failure.sentence)

    async def _send(self, send: Send, event: dict[str, Any]) -> None:
        """Raises TimeoutError if the client takes nothing for too long: then the server closes the connection."""
        async with asyncio.timeout(self._caps.send_ms / 1_000):
            await send(event)


async def _entry(entries: AsyncGenerator[Entry]) -> Entry:
    return await anext(entries)
