"""Follows a room and poses its puppet on the playback clock."""

import asyncio
from contextlib import aclosing

import structlog

from services.avatar.core.lipsync import FRAME_MS
from services.avatar.core.ports import Puppet
from services.avatar.core.timeline import Stage, worth_telling
from services.contract.avatar import Posed
from services.contract.failure import Failure
from services.contract.streams import SESSION_KEPT_MS
from services.runtime.clock import now_ms
from services.runtime.logs import Throttle
from services.runtime.sessions import Sessions
from services.runtime.trouble import TROUBLE, tell

log = structlog.get_logger(__name__)


class Player:
    """One room and its puppet."""

    def __init__(self, sessions: Sessions, room: str, puppet: Puppet) -> None:
        self._sessions = sessions
        self._room = room
        self._puppet = puppet
        self._stage = Stage(now_ms() - SESSION_KEPT_MS)
        self._news = asyncio.Event()
        self._told: Posed | None = None
        self._throttle = Throttle()

    async def run(self) -> None:
        """Read and move, for ever; raises what either of them raises."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._read())
            group.create_task(self._move())

    async def _read(self) -> None:
        """From the oldest entry that is kept, so that a turn that is under way when we start is known."""
        items = self._sessions.read(self._room, "0-0")
        async with aclosing(items):
            async for item in items:
                self._stage.feed(item.message, item.blob, item.ms)
                self._news.set()

    async def _move(self) -> None:
        """A pose every frame while something moves; asleep while nothing does."""
        while True:
            for pose in self._stage.due(now_ms())[-1:]:
                await self._pose(pose)
            if self._stage.resting:
                self._news.clear()
                await self._news.wait()
            await asyncio.sleep(FRAME_MS / 1_000)

    async def _pose(self, pose: Posed) -> None:
        """Pose the puppet, and tell the room what others want to know. Neither stops the show if it fails."""
        try:
            await self._puppet.pose(pose)
            if worth_telling(self._told, pose):
                await self._sessions.publish(self._room, pose, room=True)
                self._told = pose
        except TROUBLE as error:
            tell(f"telling a pose in {self._room}", error)
        except Failure as failure:
            if self._throttle.ready():
                log.warning("a pose was lost", room=self._room, puppet=self._puppet.name, reason=failure.sentence)
