"""An operator's hands on the show: stop a session, the kill switch, dead letters; each is written down by `note`."""

import asyncio
import json
from collections.abc import Sequence
from typing import Any, cast

from services.contract import streams
from services.contract.failure import Code, Failure
from services.contract.gateway import Interrupted
from services.gateway.handlers.trouble import told
from services.runtime.bus import Bus
from services.runtime.clock import now_ms
from services.runtime.dead import Dead
from services.runtime.sessions import Sessions
from services.runtime.work import Verdict, Work

OPERATOR, SILENCE = "operator", "silence"
ORDER = "what an operator orders"
STEP = 1_000
GONE = "there is no such dead letter; somebody requeued or dropped it before"
STUCK = "this dead letter cannot go back to where it was: its stream is gone or it has no message; drop it"
TOGETHER = 25
"""Sessions that are told at the same time."""


class BusHands:
    """The hands of one gateway."""

    def __init__(self, bus: Bus, rooms: Sequence[str]) -> None:
        self._bus = bus
        self._rooms = rooms
        self._work = Work(bus.work)
        self._sessions = Sessions(bus)
        self._dead = Dead(bus.work)

    async def stop(self, session: str) -> int:
        """Nothing of what the session asked for so far is heard any more; its new epoch."""
        async with told(ORDER):
            live = self._bus.live(session)
            if session not in self._rooms and not await live.exists(streams.SESSION.of(session)):
                raise Failure(Code.NOT_FOUND, f"there is no session {session!r}; it may have ended by itself")
            return await self._interrupt(session, OPERATOR)

    async def silence(self, who: str) -> int:
        """Nothing is spoken any more until `lift`; how many sessions were told.

        The key comes first: what is asked for from now on is refused by each commit, what was asked for is older than
        the epoch that its session gets now. The rooms are told before all others.
        """
        async with told(ORDER):
            since = json.dumps({"by": who, "at_ms": now_ms()})
            await self._bus.work.set(streams.SILENCE, since, nx=True)
            await self._interrupt_all(self._rooms)
            others = await self._others()
            await self._interrupt_all(others)
            return len(self._rooms) + len(others)

    async def lift(self) -> None:
        """The show goes on."""
        async with told(ORDER):
            await self._bus.work.delete(streams.SILENCE)

    async def requeue(self, letter: str) -> None:
        """The dead letter is work again."""
        async with told(ORDER):
            match await self._dead.requeue(letter):
                case Verdict.OK:
                    return
                case Verdict.GONE:
                    raise Failure(Code.NOT_FOUND, GONE)
                case _:
                    raise Failure(Code.BAD_INPUT, STUCK)

    async def drop(self, letter: str) -> None:
        """The dead letter is forgotten."""
        async with told(ORDER):
            if not await self._dead.drop(letter):
                raise Failure(Code.NOT_FOUND, GONE)

    async def note(self, who: str, what: str, on: str, how: str) -> None:
        """Remember what an operator did, with what came of it."""
        fields: Any = {"who": who, "what": what, "on": on, "how": how}
        async with told(ORDER):
            await self._bus.work.xadd(streams.AUDIT, fields, maxlen=streams.AUDIT_KEPT, approximate=False)

    async def _others(self) -> list[str]:
        """Sessions that are no rooms of ours."""
        names: list[str] = []
        for redis in self._bus.lives:
            keys = cast("Any", redis).scan_iter(match=streams.SESSION.of("*"), count=STEP)
            names += [key.decode().removeprefix(streams.SESSION.of("")) async for key in keys]
        return [name for name in names if name not in self._rooms]

    async def _interrupt_all(self, sessions: Sequence[str]) -> None:
        for at in range(0, len(sessions), TOGETHER):
            part = sessions[at : at + TOGETHER]
            await asyncio.gather(*(self._interrupt(session, SILENCE) for session in part))

    async def _interrupt(self, session: str, by: str) -> int:
        epoch = await self._work.raise_epoch(session)
        await self._sessions.publish(session, Interrupted(epoch=epoch, by=by), room=session in self._rooms)
        return epoch
