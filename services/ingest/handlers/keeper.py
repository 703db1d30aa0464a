"""Keeps what was paid for: on work, or in the spool while work refuses it; what was spooled goes to work in its order."""

import asyncio
from collections import defaultdict
from enum import Enum

import structlog

from services.contract.failure import Failure
from services.contract.ingest import LiveEvent
from services.ingest.core.ports import Spool
from services.ingest.core.requests import has_row
from services.runtime.logs import Throttle
from services.runtime.metrics import EVENTS, SPOOLED
from services.runtime.sessions import Sessions
from services.runtime.show import Show
from services.runtime.trouble import HEAL_S, TROUBLE, tell

log = structlog.get_logger(__name__)
BATCH = 100


class Kept(Enum):
    """Where an event is now."""

    NEW = "new"
    """On work, and it was not known there."""
    KNOWN = "known"
    """Its id came before."""
    SPOOLED = "spooled"
    """In the spool."""
    LOST = "lost"
    """Nowhere: work refuses it and the spool is full."""


class Keeper:
    """One for each process; its spool is its own."""

    def __init__(self, show: Show, sessions: Sessions, spool: Spool) -> None:
        self._show = show
        self._sessions = sessions
        self._spool = spool
        self._locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._throttle = Throttle()
        self._full = ""
        SPOOLED.set_function(lambda: self._spool.count)

    def waits(self, room: str) -> bool:
        """Whether something of the room lies in the spool."""
        return self._spool.waiting(room) > 0

    async def receive(self, event: LiveEvent) -> Kept:
        """Keep the event; returns when it is safe. Events of a room are kept in the order of their coming."""
        async with self._locks[event.room]:
            if not self.waits(event.room):
                try:
                    return Kept.NEW if await self._show.receive(event, row=has_row(event)) else Kept.KNOWN
                except TROUBLE as error:
                    tell("keeping what was paid for", error)
            return await self._put(event)

    async def _put(self, event: LiveEvent) -> Kept:
        try:
            fresh = await self._spool.put(event)
        except Failure as failure:
            EVENTS.labels(event.lane, "lost").inc()
            self._full = failure.sentence
            if self._throttle.ready():
                log.error("what was paid for is lost", id=event.id, reason=failure.sentence)  # noqa: TRY400  the sentence says it all
            return Kept.LOST
        self._full = ""
        return Kept.SPOOLED if fresh else Kept.KNOWN

    async def replay(self) -> None:
        """Hand over what lies in the spool, the oldest first, for ever; work knows what came before."""
        while True:
            try:
                while events := await self._spool.oldest(BATCH):
                    await self._hand_over(events)
            except (*TROUBLE, Failure) as error:
                tell("handing over what was spooled", error)
            await asyncio.sleep(HEAL_S)

    async def _hand_over(self, events: list[tuple[int, LiveEvent]]) -> None:
        for number, event in events:
            fresh = await self._show.receive(event, row=has_row(event))
            await self._spool.done(number)
            if fresh:
                try:
                    await self._sessions.publish(event.room, event.model_copy(update={"raw": ""}), room=True)
                except TROUBLE as error:
                    tell(f"telling an event of {event.room}", error)
        log.info("handed over what was spooled", events=len(events), left=self._spool.count)

    async def warning(self) -> str:
        """'' or what people should know of the spool."""
        if self._full:
            return f"paid events are being lost: {self._full}"
        if count := self._spool.count:
            return f"{count} paid events wait in {self._spool.name} until the work broker takes writes"
        return ""
