"""`/ws`: a listener of one conversation at a time, a room's or Daily's; a WebSocket of text frames, Daily's app-messages."""

import asyncio
from contextlib import aclosing, suppress
from typing import Any, cast

import structlog
from fastapi import APIRouter, WebSocket, WebSocketDisconnect

from services.contract.failure import Code, Failure
from services.gateway.api.http import end
from services.gateway.core import listen
from services.gateway.core.caps import Caps, Slots
from services.gateway.core.listen import Notice
from services.gateway.core.ports import Conversations, Desk

log = structlog.get_logger(__name__)
NORMAL, AGAIN = 1000, 1013
NOT_AN_ID = "a conversation's id is 1 to 64 letters, digits, - or _"


class Listener:
    """One client. It hears what happens from the moment on at which it joined."""

    def __init__(
        self, socket: WebSocket, desk: Desk, conversations: Conversations, rooms: frozenset[str], caps: Caps
    ) -> None:
        self._socket = socket
        self._desk = desk
        self._conversations = conversations
        self._rooms = rooms
        self._caps = caps
        self._told = socket.query_params.get("v") == "2"
        self._conversation = ""
        self._hearing: asyncio.Task[None] | None = None

    async def serve(self) -> None:
        """Until the client leaves, or takes nothing for too long."""
        try:
            while (text := await self._text()) is not None:
                match listen.wish(text):
                    case listen.Wanted(conversation=conversation):
                        await self._join(conversation)
                    case listen.Leave():
                        break
                    case None:
                        pass
            await self._leave()
            await self._socket.close(NORMAL)
        except (TimeoutError, WebSocketDisconnect, RuntimeError) as error:
            log.debug("a listener is gone", reason=str(error))
        finally:
            await self._leave(silent=True)

    async def _text(self) -> str | None:
        """The next text; None where the client has left, or what it hears has ended by a fault."""
        coming = asyncio.ensure_future(self._socket.receive())
        waiting = {coming, self._hearing} if self._hearing else {coming}
        try:
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            if self._hearing and self._hearing.done():
                self._hearing.result()
            message = cast("dict[str, Any]", await coming)
        finally:
            await end(coming)
        if message["type"] == "websocket.disconnect":
            raise WebSocketDisconnect(int(message.get("code") or NORMAL))
        return message.get("text") or ""

    async def _join(self, conversation: str) -> None:
        """Leave the one before first."""
        await self._leave()
        if not conversation:
            await self._tell(Notice("error", "", NOT_AN_ID, Code.BAD_INPUT))
            return
        self._conversation = conversation
        if conversation not in self._rooms:
            self._hearing = asyncio.create_task(self._hear_elsewhere(conversation))
            return
        try:
            entries = await self._desk.kept(conversation)
        except Failure as failure:
            await self._tell(Notice("error", conversation, failure.sentence, failure.code))
            return
        await self._tell(Notice("joined", conversation))
        utterances = listen.Utterances(conversation)
        for entry in entries:
            utterances.feed(entry.message, entry.blob)
        self._hearing = asyncio.create_task(self._hear(utterances, entries[-1].id if entries else "0-0"))

    async def _hear(self, utterances: listen.Utterances, after: str) -> None:
        """A room, for ever."""
        async with aclosing(self._desk.coming(self._conversation, after)) as entries:
            async for entry in entries:
                for text in utterances.feed(entry.message, entry.blob):
                    await self._send(text)

    async def _hear_elsewhere(self, name: str) -> None:
        """A conversation of Daily, until it is over."""
        conversation = listen.Conversation(name, self._rooms)
        try:
            async with aclosing(self._conversations.hear(name)) as news:
                async for each in news:
                    if isinstance(each, listen.Stand):
                        await self._tell(*conversation.stands(each))
                    else:
                        await self._tell(*conversation.feed(each.message, each.blob))
                    if conversation.over:
                        break
        except Failure as failure:
            await self._tell(Notice("error", name, failure.sentence, failure.code))
        self._conversation = ""

    async def _leave(self, *, silent: bool = False) -> None:
        """Hear nothing more of the present conversation."""
        hearing, self._hearing = self._hearing, None
        if hearing:
            await end(hearing)
            if not silent and self._conversation:
                await self._tell(Notice("left", self._conversation))

    async def _tell(self, *told: str | Notice) -> None:
        for each in told:
            if isinstance(each, str):
                await self._send(each)
            elif self._told:
                with suppress(WebSocketDisconnect):
                    await self._send(each.text)

    async def _send(self, text: str) -> None:
        """Raises TimeoutError if the client takes nothing for too long."""
        async with asyncio.timeout(self._caps.send_ms / 1_000):
            await self._socket.send_text(text)


def router(desk: Desk, conversations: Conversations, caps: Caps, rooms: frozenset[str]) -> APIRouter:
    """The route; what is none of these rooms is a conversation of Daily."""
    routes = APIRouter(tags=["listener"])
    slots = Slots(caps.viewers)

    async def ws(socket: WebSocket) -> None:
        """One listener."""
        await socket.accept()
        if not slots.take():
            await socket.close(AGAIN, f"{slots.size} listeners are here already; try again soon")
            return
        try:
            await Listener(socket, desk, conversations, rooms, caps).serve()
        finally:
            slots.give()

    routes.add_api_websocket_route("/ws", ws)
    return routes
