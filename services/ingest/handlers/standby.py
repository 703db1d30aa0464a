"""Stands by for the room's lease, and directs the room while holding it."""

import asyncio
import contextlib
import secrets
from collections.abc import Awaitable, Callable, Sequence

import structlog

from services.ingest.core.ports import Source
from services.ingest.core.requests import Cast
from services.ingest.handlers.intake import Intake
from services.ingest.handlers.keeper import Keeper
from services.ingest.handlers.room import RENEW_S, Desk, LeaseLostError, Room
from services.runtime.show import Term
from services.runtime.trouble import HEAL_S, TROUBLE, tell

log = structlog.get_logger(__name__)
Sources = Callable[[], Sequence[Source]]
"""New ones for each time that this process begins to direct."""
Healed = Callable[[], Awaitable[None]]
"""Returns when both brokers take writes."""


class Standby:
    """One room, as this process has to do with it."""

    def __init__(self, cast: Cast, desk: Desk, keeper: Keeper, sources: Sources, healed: Healed) -> None:
        self._cast = cast
        self._desk = desk
        self._keeper = keeper
        self._make_sources = sources
        self._healed = healed
        self._me = f"ingest-{secrets.token_hex(4)}"
        self._term: Term | None = None
        self._intake: Intake | None = None
        self._playing: asyncio.Task[None] | None = None

    async def run(self) -> None:
        """For ever: its sources go on through every trouble, and end when another process directs."""
        try:
            while True:
                pause_s = await self._step()
                await asyncio.sleep(pause_s)
                await self._healed()
        finally:
            await self._stop()
            if self._term:
                with contextlib.suppress(*TROUBLE):  # it runs out by itself
                    await self._desk.show.release(self._term)

    async def _step(self) -> float:
        """Direct as long as it goes; seconds until it is tried again."""
        try:
            known, self._term = self._term, await self._desk.show.lease(self._cast.room, self._me)
            if self._term is None:
                await self._stop()
                return RENEW_S
            if self._term != known:
                log.info("directing", room=self._cast.room, term=self._term.number)
            await self._direct(self._term, self._intake or self._start())
        except* LeaseLostError:
            log.warning("this term is over", room=self._cast.room)
        except* TROUBLE as group:
            tell(f"directing {self._cast.room}", group)
        return HEAL_S

    def _start(self) -> Intake:
        """Run the sources, from now until another directs."""
        self._intake = Intake(self._cast, self._keeper, self._desk.sessions, self._make_sources())
        self._playing = asyncio.create_task(self._intake.run())
        return self._intake

    async def _stop(self) -> None:
        if self._playing:
            self._playing.cancel()
            await asyncio.gather(self._playing, return_exceptions=True)
        self._playing = self._intake = None

    async def _direct(self, term: Term, intake: Intake) -> None:
        room = Room(self._cast, self._desk, term, intake.tally, intake.fed)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(room.run(lambda: intake.direct(room)))
                group.create_task(self._sources_end())
        finally:
            intake.alone()

    async def _sources_end(self) -> None:
        """Returns when they have ended; raises what is a fault of ours in them."""
        if self._playing:
            await asyncio.shield(self._playing)


async def direct(cast: Cast, desk: Desk, keeper: Keeper, sources: Sources, healed: Healed) -> None:
    """Stand by for the room's lease, direct the room while holding it, stand by again; ends only by cancellation."""
    await Standby(cast, desk, keeper, sources, healed).run()
