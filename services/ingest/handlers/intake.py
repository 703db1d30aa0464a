"""Runs the sources of a room: what was paid for is kept first, all else goes to whoever directs the room."""

import asyncio
from collections import deque
from collections.abc import Sequence

import structlog

from services.contract.failure import Failed, Failure
from services.contract.ingest import Decided, Lane, LiveEvent, SourceEnded
from services.contract.message import Message
from services.ingest.core.events import parse
from services.ingest.core.ports import Frame, Source
from services.ingest.core.requests import Cast
from services.ingest.core.tally import Tally
from services.ingest.handlers.keeper import Keeper, Kept
from services.ingest.handlers.room import Room
from services.runtime.metrics import EVENTS, REJECTED
from services.runtime.sessions import Sessions
from services.runtime.trouble import HEAL_S, TROUBLE, tell

log = structlog.get_logger(__name__)


class Intake:
    """The sources of one room, which go on while a broker is in trouble and nobody directs."""

    def __init__(self, cast: Cast, keeper: Keeper, sessions: Sessions, sources: Sequence[Source]) -> None:
        self.tally = Tally()
        self._cast = cast
        self._keeper = keeper
        self._sessions = sessions
        self._sources = sources
        self._playing = len(sources)
        self._room: Room | None = None
        self._missed: deque[LiveEvent] = deque()

    async def run(self) -> None:
        """Until all sources have ended."""
        async with asyncio.TaskGroup() as group:
            for source in self._sources:
                group.create_task(self._play(source))

    def fed(self) -> bool:
        """Whether something may still come: a room without sources never ends."""
        return not self._sources or self._playing > 0 or self._keeper.waits(self._cast.room)

    async def direct(self, room: Room) -> None:
        """From now on this one directs; it gets what came meanwhile."""
        while self._missed:
            if not await room.take(self._missed[0]):
                return
            self._missed.popleft()
        self._room = room

    def alone(self) -> None:
        """Nobody directs now."""
        self._room = None

    async def _play(self, source: Source) -> None:
        """Take in what a source gives; one that fails is told and ends, the others go on."""
        counts = {"frames": 0, "bad": 0}

        async def emit(frame: Frame) -> None:
            counts["frames"] += 1
            counts["bad"] += await self._take_in(frame)

        try:
            await source.run(emit)
        except Failure as failure:
            log.error("a source failed", source=source.name, code=failure.code, reason=failure.sentence)  # noqa: TRY400
            await self._insist(Failed(code=failure.code, sentence=failure.sentence, retryable=failure.retryable))
        await self._insist(SourceEnded(source=source.name, events=counts["frames"], rejected=counts["bad"]))
        self._playing -= 1

    async def _take_in(self, frame: Frame) -> int:
        """One frame: its events, or the count of a bad one."""
        parsed = parse(frame, self._cast.room)
        if parsed.rejected:
            REJECTED.labels(frame.platform, parsed.rejected.partition(":")[0]).inc()
            log.debug("frame gave no events", platform=frame.platform, reason=parsed.rejected)
        for event in parsed.events:
            log.debug("event", id=event.id, kind=event.kind, text=event.text)
            await (self._keep(event) if event.lane is Lane.PAID else self._pass_on(event))
        return int(parsed.bad)

    async def _keep(self, event: LiveEvent) -> None:
        """Keep what was paid for before anything else is done with it; the lane's reader goes on from there."""
        match await self._keeper.receive(event):
            case Kept.NEW:
                self.tally.event(event)
                try:
                    await self._say(event.model_copy(update={"raw": ""}))
                except TROUBLE as error:
                    tell(f"telling an event of {event.room}", error)
            case Kept.SPOOLED:
                self.tally.event(event)
            case Kept.KNOWN:
                EVENTS.labels(event.lane, "duplicate").inc()
                self.tally.duplicate()
            case Kept.LOST:
                self.tally.event(event)
                self._lose(event, "lost")

    async def _pass_on(self, event: LiveEvent) -> None:
        """To the director; while there is none the newest few wait for him."""
        bare = event.model_copy(update={"raw": ""})
        self.tally.event(event)
        if self._room is None or not await self._room.take(bare):
            self._missed.append(bare)
            if len(self._missed) > self._cast.policy.chat_lane:
                self._lose(self._missed.popleft(), "outage")

    def _lose(self, event: LiveEvent, reason: str) -> None:
        """Count what nobody will answer."""
        EVENTS.labels(event.lane, f"drop:{reason}").inc()
        self.tally.decided(Decided(choice="drop", reason=reason, event=event))

    async def _insist(self, message: Message) -> None:
        """Tell the session as soon as it can be told."""
        while True:
            try:
                return await self._say(message)
            except TROUBLE as error:
                tell(f"telling the session of {self._cast.room}", error)
                await asyncio.sleep(HEAL_S)

    async def _say(self, message: Message) -> None:
        await self._sessions.publish(self._cast.room, message, room=True)
