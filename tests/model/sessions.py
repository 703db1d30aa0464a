"""The live broker in memory: sessions as `services.runtime.sessions.Sessions` keeps them, without a server."""

import asyncio
from collections.abc import AsyncGenerator
from typing import cast

from services.contract.message import Message
from services.runtime.bus import Bus
from services.runtime.sessions import Item, Sessions


class ModelSessions(Sessions):
    """Same methods. Ids grow across all sessions; `clock` is set by the test, in Unix milliseconds."""

    def __init__(self, clock: int = 1_000) -> None:
        super().__init__(cast("Bus", None))
        self.clock = clock
        self.items: dict[str, list[Item]] = {}
        self._last = (0, 0)
        self._news = asyncio.Condition()

    async def publish(self, session: str, message: Message, blob: bytes = b"", *, room: bool = False) -> str:  # noqa: ARG002  nothing expires here
        """As `Sessions.publish`; nothing is trimmed."""
        ms, number = self._last
        self._last = (ms, number + 1) if self.clock <= ms else (self.clock, 0)
        id_ = f"{self._last[0]}-{self._last[1]}"
        self.items.setdefault(session, []).append(Item(id_, self._last[0], message, blob))
        async with self._news:
            self._news.notify_all()
        return id_

    async def range(self, session: str, after: str = "-") -> list[Item]:
        """As `Sessions.range`."""
        held = self.items.get(session, [])
        first = next((at for at, item in enumerate(held) if _key(item.id) > _key(after)), len(held))
        return held[first:]

    async def last_id(self, session: str) -> str:
        """As `Sessions.last_id`."""
        held = self.items.get(session)
        return held[-1].id if held else "0-0"

    async def read(self, session: str, after: str) -> AsyncGenerator[Item]:
        """As `Sessions.read`: what is there, then what comes, for ever."""
        while True:
            for item in await self.range(session, after):
                after = item.id
                yield item
            async with self._news:
                if not await self.range(session, after):
                    await self._news.wait()

    def lose(self, session: str) -> None:
        """All of the session is gone, as after a restart of a broker that keeps nothing."""
        self.items.pop(session, None)

    def messages(self, session: str) -> list[Message]:
        """What was told so far, without the bytes."""
        return [item.message for item in self.items.get(session, [])]


def _key(id_: str) -> tuple[int, int]:
    """Order of ids; `-` and `` are before all."""
    ms, _, number = id_.partition("-")
    return int(ms or -1), int(number or 0)
