"""Who may go on: permits of a shared engine, urgent takers first; and the rule that a second delivery runs alone."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager


class Permits:
    """A bounded number of permits; waiting urgent takers are served before the others, each in order."""

    def __init__(self, free: int) -> None:
        self._free = free
        self._queues: dict[bool, deque[asyncio.Future[None]]] = {True: deque(), False: deque()}

    async def take(self, patience_s: float | None, *, urgent: bool) -> bool:
        """Take one; False if none was free for `patience_s` (None: wait as long as it takes)."""
        if self._free:
            self._free -= 1
            return True
        turn = asyncio.get_running_loop().create_future()
        self._queues[urgent].append(turn)
        try:
            async with asyncio.timeout(patience_s):
                await turn
        except TimeoutError:
            return self._taken_late(turn)
        except asyncio.CancelledError:
            if self._taken_late(turn):
                self.give()
            raise
        return True

    @staticmethod
    def _taken_late(turn: asyncio.Future[None]) -> bool:
        """Whether the permit came in the same moment as the end of the wait."""
        return turn.done() and not turn.cancelled()

    def give(self) -> None:
        """Give one back."""
        for urgent in (True, False):
            while self._queues[urgent]:
                turn = self._queues[urgent].popleft()
                if not turn.done():
                    turn.set_result(None)
                    return
        self._free += 1


class Alone:
    """Many may be inside together, or one alone; the one that waits holds newcomers back."""

    def __init__(self) -> None:
        self._inside = 0
        self._one = asyncio.Lock()
        self._changed = asyncio.Condition()

    @asynccontextmanager
    async def shared(self) -> AsyncGenerator[None]:
        """Inside together with others."""
        async with self._one:
            self._inside += 1
        try:
            yield
        finally:
            await self._leave()

    @asynccontextmanager
    async def exclusive(self) -> AsyncGenerator[None]:
        """Inside alone."""
        async with self._one:
            async with self._changed:
                await self._changed.wait_for(lambda: self._inside == 0)
            yield

    async def _leave(self) -> None:
        async with self._changed:
            self._inside -= 1
            self._changed.notify_all()
