"""`POST /api/chat`: a history in, the answer's sentences out as they are spoken."""

import asyncio
import secrets
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any, Literal

import structlog
from fastapi import APIRouter, Request, Response
from starlette.types import Receive, Scope, Send

from services.contract.failure import Code, Failure
from services.contract.ingest import TurnRequested
from services.contract.message import Message
from services.gateway.api.http import ERRORS, body_of, end, left, take, within
from services.gateway.api.replies import END, HEADERS, Replies, cursor_of, resumed, wants_rich
from services.gateway.core import bodies, sse
from services.gateway.core.bodies import History
from services.gateway.core.caps import Caps, Slots
from services.gateway.core.chat import Chat, Done, Piece
from services.gateway.core.ports import Desk
from services.runtime.clock import now_ms
from services.runtime.metrics import FIRST_SOUND_SECONDS
from services.runtime.sound import write_wav

log = structlog.get_logger(__name__)
UNSPOKEN = (
    "the answer has nothing between ASCII quotes, so nothing of it was spoken: let the persona's prompt ask for "
    'quotes around what is spoken, as in: She smiles. "Hello!"'
)
BODY: dict[str, Any] = {
    "required": True,
    "content": {
        "application/json": {
            "schema": {
                "type": "object",
                "properties": {
                    "msg": {
                        "type": "array",
                        "minItems": 1,
                        "items": {
                            "type": "object",
                            "properties": {
                                "role": {"type": "string", "enum": list(bodies.ROLES)},
                                "content": {"type": "string"},
                            },
                            "required": ["role", "content"],
                        },
                    }
                },
                "required": ["msg"],
            }
        }
    },
}


STREAM: dict[str, Any] = {"content": {"text/event-stream": {"schema": {"type": "string"}}}}


def router(desk: Desk, caps: Caps, persona: str) -> APIRouter:
    """The route; `persona` is who answers."""
    routes = APIRouter(tags=["voice chat"])
    slots = Slots(caps.streams)

    async def chat(request: Request) -> Response:
        """Answer a history: one event for each spoken sentence, then one with the whole answer.

        With `?v=2`, or `Accept: text/event-stream; profile=onair`: named events with ids, sound while it is made; after a
        cut, the same request with `Last-Event-ID` goes on where it was and asks nothing anew.
        """
        rich = wants_rich(request)
        if rich and (cursor := cursor_of(request)):
            return await resumed(desk, caps, slots, cursor)
        body = await body_of(request, caps.chat_bytes, caps.body_ms)
        turn = requested(bodies.history(body, caps), persona, now_ms(), caps.patience_ms, "all" if rich else "quoted")
        take(slots, "answers")
        try:
            await desk.ask(turn)
        except BaseException:
            slots.give()
            raise
        log.debug("asked", session=turn.session, turn=turn.turn, ask=turn.ask)
        return Replies(desk, caps, slots, turn.session) if rich else Answer(desk, caps, slots, turn)

    routes.add_api_route(
        "/api/chat",
        chat,
        methods=["POST"],
        response_model=None,
        responses={**ERRORS, 200: STREAM},
        openapi_extra={"requestBody": BODY},
    )
    _resume(routes, desk, caps, slots)
    return routes


def _resume(routes: APIRouter, desk: Desk, caps: Caps, slots: Slots) -> None:
    """The route by which a cut stream goes on."""

    async def again(request: Request) -> Response:
        """Go on with an answer of `?v=2` behind the event that `Last-Event-ID` names; for programs that cannot POST."""
        if (cursor := cursor_of(request)) is None:
            raise Failure(Code.BAD_INPUT, "send Last-Event-ID (or ?last_event_id=): the id of the last event you have")
        return await resumed(desk, caps, slots, cursor)

    routes.add_api_route("/api/chat", again, methods=["GET"], response_model=None, responses={**ERRORS, 200: STREAM})


def requested(
    history: History, persona: str, at_ms: int, patience_ms: int, spoken: Literal["all", "quoted"] = "quoted"
) -> TurnRequested:
    """The only turn of a session of its own."""
    name = secrets.token_hex(8)
    return TurnRequested(
        turn=f"chat-{name}-1",
        no=1,
        session=f"chat-{name}",
        epoch=0,
        kind="chat",
        ask=history.ask,
        persona=persona,
        spoken=spoken,
        messages=history.messages,
        requested_ms=at_ms,
        deadline_ms=at_ms + patience_ms,
        trace=name,
    )


class Answer(Response):
    """Streams one turn's answer. A caller who leaves ends the turn, down to the engines, at once."""

    def __init__(self, desk: Desk, caps: Caps, slots: Slots, turn: TurnRequested) -> None:
        super().__init__()
        self._desk = desk
        self._caps = caps
        self._slots = slots
        self._turn = turn
        self._chat = Chat(turn.turn, turn.epoch)
        self._waiting_for_sound = True

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002  ASGI's signature
        """Serve it; the slot is given back when it is over."""
        talk, gone = asyncio.ensure_future(self._talk(send)), asyncio.ensure_future(left(receive))
        try:
            await asyncio.wait([talk, gone], return_when=asyncio.FIRST_COMPLETED)
            if not self._chat.over:
                await self._interrupt("failure" if talk.done() else "disconnect")
        except asyncio.CancelledError:
            await end(talk)
            await self._cut_short(talk, send)
            raise
        finally:
            await end(talk, gone)
            self._slots.give()
        if not talk.cancelled() and (error := talk.exception()):
            _explain(error)

    async def _talk(self, send: Send) -> None:
        """From the first line to the last."""
        await self._send(send, {"type": "http.response.start", "status": 200, "headers": HEADERS})
        entries = self._desk.follow(self._turn.session)
        async with aclosing(entries):
            while not self._chat.over and (entry := await self._next(entries)):
                log.debug("heard", session=self._turn.session, message=entry[0].type, bytes=len(entry[1]))
                await self._say(send, self._chat.feed(*entry))
        if not self._chat.over:
            await self._interrupt("deadline")
            await self._say(send, self._chat.end("deadline"))
        await self._send(send, END)

    async def _next(self, entries: AsyncGenerator[tuple[Message, bytes]]) -> tuple[Message, bytes] | None:
        """The session's next entry; None if nothing new came for too long, or the turn's time is up."""
        left_ms = self._turn.requested_ms + self._caps.turn_ms - now_ms()
        try:
            return await within(min(left_ms, self._caps.patience_ms), _entry(entries))
        except TimeoutError:
            return None

    async def _say(self, send: Send, said: list[Piece | Done]) -> None:
        for each in said:
            await self._send(send, {"type": "http.response.body", "body": self._line(each), "more_body": True})

    def _line(self, said: Piece | Done) -> bytes:
        """The line, and what is noted of it."""
        if isinstance(said, Done):
            self._note_end(said)
            return sse.last(said.text)
        if said.pcm and self._waiting_for_sound:
            self._waiting_for_sound = False
            FIRST_SOUND_SECONDS.observe(max(0, now_ms() - self._turn.requested_ms) / 1_000)
        return sse.piece(said.text, write_wav(said.pcm) if said.pcm else b"")

    def _note_end(self, done: Done) -> None:
        turn = self._turn
        took = now_ms() - turn.requested_ms
        log.info("answered", turn=turn.turn, pieces=self._chat.pieces, took_ms=took, ended_by=done.reason or "itself")
        if self._chat.nothing_spoken:
            log.warning("nothing_spoken", turn=turn.turn, persona=turn.persona, remedy=UNSPOKEN)

    async def _send(self, send: Send, event: dict[str, Any]) -> None:
        """Raises TimeoutError if the client takes nothing for too long: then the server closes the connection."""
        async with asyncio.timeout(self._caps.send_ms / 1_000):
            await send(event)

    async def _cut_short(self, talk: asyncio.Future[None], send: Send) -> None:
        """The gateway is going down: the turn ends, and the client gets the last line."""
        if talk.cancelled() and not self._chat.over:
            await self._interrupt("shutdown")
            await self._say(send, self._chat.end("shutdown"))
            await self._send(send, END)

    async def _interrupt(self, by: str) -> None:
        """End the turn; where the broker is gone, the turn's deadline does."""
        try:
            await self._desk.interrupt(self._turn.session, by)
        except Failure as failure:
            log.debug("could not end a turn", turn=self._turn.turn, by=by, reason=failure.sentence)


async def _entry(entries: AsyncGenerator[tuple[Message, bytes]]) -> tuple[Message, bytes]:
    return await anext(entries)


def _explain(error: BaseException) -> None:
    """Raises what is a fault of ours; a client who took nothing for too long is not."""
    if not isinstance(error, TimeoutError):
        raise error
    log.info("cut off a client who takes nothing")
