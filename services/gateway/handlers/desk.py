"""Hands clients' wishes to the bus and follows sessions."""

import secrets
from collections.abc import AsyncGenerator
from contextlib import aclosing

from services.contract import streams
from services.contract.failure import Code, Failure
from services.contract.gateway import CallJoined, ClipHeard
from services.contract.ingest import Lane, LiveEvent, TurnRequested
from services.contract.message import Message
from services.gateway.core.ports import Entry, Made
from services.gateway.handlers.trouble import told
from services.runtime import envelope
from services.runtime.bus import Bus
from services.runtime.sessions import Item, Sessions
from services.runtime.show import Show
from services.runtime.trouble import TROUBLE, tell
from services.runtime.work import Work

WISH = "what a client wants"


class BusDesk:
    """The desk of one gateway."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._work = Work(bus.work)
        self._sessions = Sessions(bus)
        self._show = Show(bus.work)

    async def ask(self, request: TurnRequested) -> None:
        """Have the turn answered, and heard as it is made. The order comes first: a turn on air is always answered.

        The kill switch is asked for last, when the session is there to be found by who throws it: raises Failure BUSY.
        """
        async with told(WISH):
            await self._order(streams.TURNS.key(), request)
            await self._sessions.air(request)
            silenced = await self._bus.work.exists(streams.SILENCE)
        if silenced:
            await self.interrupt(request.session, "silence")
            raise Failure(Code.BUSY, "an operator has silenced the show; try again when it goes on", retryable=True)

    async def listen(self, clip: ClipHeard, wav: bytes) -> None:
        """Have the clip recognised: its bytes lie on live for as long as anybody may want them."""
        async with told(WISH):
            await self._bus.live(clip.session).set(streams.CLIP.of(clip.session), wav, ex=streams.CLIP_KEPT_S)
            await self._order(streams.LISTEN.key(), clip)

    async def follow(self, session: str) -> AsyncGenerator[tuple[Message, bytes]]:
        """Entries of a session from its beginning."""
        items = self._sessions.read(session, "0-0")
        async with aclosing(items):
            async for item in items:
                yield item.message, item.blob

    async def interrupt(self, session: str, by: str) -> None:
        """End all that the session asked for so far."""
        async with told(WISH):
            await self._sessions.interrupt(self._work, session, by)

    async def receive(self, event: LiveEvent, newest: int) -> bool:
        """Hand an event to the room's director, what was paid for into its ledger; then tell the session.

        It is taken as soon as work has it: that the session could not be told is no reason to give it again.
        """
        async with told(WISH):
            paid = event.lane is Lane.PAID
            fresh = await (self._show.receive(event) if paid else self._show.comment(event, newest))
        if fresh:
            try:
                await self._sessions.publish(event.room, event, room=True)
            except TROUBLE as error:
                tell(f"telling an event of {event.room}", error)
        return fresh

    async def unanswered(self, room: str) -> list[LiveEvent]:
        """What was paid for in the room and is not settled."""
        async with told(WISH):
            return [waiting.event for waiting in await self._show.waiting(room)]

    async def kept(self, session: str) -> list[Entry]:
        """What the session holds."""
        async with told(WISH):
            return [entry(item) for item in await self._sessions.range(session)]

    async def coming(self, session: str, after: str) -> AsyncGenerator[Entry]:
        """Entries of the session after that one."""
        items = self._sessions.read(session, after)
        async with aclosing(items):
            async for item in items:
                yield entry(item)

    async def generation(self, session: str) -> str:
        """Made at the first question; live forgets it with all else."""
        key, fresh = streams.GENERATION.of(session), secrets.token_hex(4)
        async with told(WISH):
            known = await self._bus.live(session).set(key, fresh, nx=True, get=True, ex=streams.SESSION_IDLE_S)
        return known.decode() if isinstance(known, bytes) else fresh

    async def join(self, session: str, connection: str) -> None:
        """Say on the session that this connection has it from here on."""
        async with told(WISH):
            await self._sessions.publish(session, CallJoined(connection=connection))

    async def made(self, turn: str) -> Made:
        """What work knows of the turn's answer."""
        async with told(WISH):
            answer = await self._work.answer(turn)
        return Made(answer.sentences, answer.spoken, answer.count, answer.reason)

    async def _order(self, stream: str, message: Message) -> None:
        await self._bus.work.xadd(stream, {"__data__": envelope.encode(message)})


def entry(item: Item) -> Entry:
    """The item as the gateway's core knows it."""
    return Entry(item.id, item.ms, item.message, item.blob)
