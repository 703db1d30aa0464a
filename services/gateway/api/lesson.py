"""`/chat`: a lesson; a WebSocket on which the user speaks in whole recordings and is told rows."""

import asyncio
from contextlib import suppress
from typing import Any, cast

import structlog
from fastapi import APIRouter, Request, Response, WebSocket, WebSocketDisconnect

from services.contract.failure import Code, Failure
from services.gateway.api.guard import visit
from services.gateway.api.http import end, plain, take
from services.gateway.api.teacher import Teacher
from services.gateway.core import english, english_turn
from services.gateway.core.access import Rules, only_for
from services.gateway.core.caps import Slots
from services.gateway.core.english import CHAT, SILENCE, Row
from services.runtime.clock import now_ms

log = structlog.get_logger(__name__)
AGAIN = 1013
LEFT = (TimeoutError, WebSocketDisconnect, RuntimeError)
"""What sending to a client who is not there raises."""
NO_SOCKET = "this is a WebSocket: open it as ws://…/chat?user_id=1&session_id=0"


class GoneError(Exception):
    """The client has left, or takes nothing for too long."""


class Lesson:
    """One client."""

    def __init__(self, socket: WebSocket, teacher: Teacher, user: int, session: int) -> None:
        self._socket = socket
        self._teacher = teacher
        self._user = user
        self._session = session
        self._told = socket.query_params.get("v") == "2"
        self._turn: asyncio.Task[None] | None = None

    async def serve(self) -> None:
        """Until the client leaves, or takes nothing for too long. What is not answered by then is ended."""
        try:
            while (message := await self._next()) is not None:
                if self._turn:
                    await self._ignore()
                else:
                    self._turn = asyncio.create_task(self._answer(message.get("bytes")))
        except GoneError as error:
            log.info("a student is gone", user=self._user, reason=str(error))
            with suppress(*LEFT):
                await asyncio.wait_for(self._socket.close(AGAIN), self._teacher.caps.goodbye_ms / 1_000)
        finally:
            if self._turn:
                await end(self._turn)

    async def _next(self) -> dict[str, Any] | None:
        """The client's next message; None where he has left. Raises GoneError where a turn found that out."""
        coming = asyncio.ensure_future(self._socket.receive())
        try:
            while not coming.done():
                await asyncio.wait([coming, *([self._turn] if self._turn else [])], return_when=asyncio.FIRST_COMPLETED)
                if self._turn and self._turn.done():
                    turn, self._turn = self._turn, None
                    turn.result()
            message = cast("dict[str, Any]", coming.result())
        finally:
            await end(coming)
        return None if message["type"] == "websocket.disconnect" else message

    async def _answer(self, body: object) -> None:
        """One utterance, to its second row; a failure is a row too."""
        teacher = self._teacher
        try:
            wav = await teacher.recording(body)
            self._session = await teacher.rows.claim(self._user, self._session, now_ms())
            await teacher.lesson(self._user, self._session, wav, self._tell)
        except Failure as failure:
            await self._fail(failure)
        except GoneError:
            raise
        except Exception as error:
            log.exception("a lesson broke", user=self._user, session=self._session)
            await self._fail(Failure(Code.INTERNAL, f"{type(error).__name__}: {error}"))

    async def _fail(self, failure: Failure) -> None:
        """The row that says so; where nothing can be written down, one without an id."""
        log.info("a turn failed", user=self._user, session=self._session, code=failure.code, reason=failure.sentence)
        try:
            self._session = await self._teacher.rows.claim(self._user, self._session, now_ms())
            row = await self._teacher.failed(self._session, failure.sentence)
        except Failure:
            row = Row(self._session, 0, english_turn.failed(failure.sentence), now_ms(), SILENCE)
        await self._tell(row)

    async def _ignore(self) -> None:
        if self._told:
            await self._send(english.notice("busy", english.BUSY))

    async def _tell(self, row: Row) -> None:
        await self._send(f"{english.dated(row)}\n")

    async def _send(self, text: str) -> None:
        """Raises GoneError."""
        try:
            async with asyncio.timeout(self._teacher.caps.send_ms / 1_000):
                await self._socket.send_text(text)
        except LEFT as error:
            raise GoneError(str(error) or "it takes nothing") from error


def lessons(routes: APIRouter, teacher: Teacher, rules: Rules) -> None:
    """Add the route. What is wrong with the query is told as over HTTP, before there is a WebSocket."""
    slots = Slots(teacher.caps.lessons)

    async def chat(socket: WebSocket) -> None:
        """One lesson."""
        try:
            user, session = english.user_of(socket.query_params), english.any_session_of(socket.query_params)
            only_for(user, visit(socket.scope), rules)
            await teacher.may(user, session)
            take(slots, "lessons")
        except Failure as failure:
            await socket.send_denial_response(plain(failure))
            return
        try:
            await socket.accept()
            await Lesson(socket, teacher, user, session).serve()
        finally:
            slots.give()

    async def no_socket(request: Request) -> Response:
        del request
        return plain(Failure(Code.BAD_INPUT, NO_SOCKET))

    routes.add_api_websocket_route(CHAT, chat)
    routes.add_api_route(CHAT, no_socket, methods=["GET"], include_in_schema=False)
