"""Who looks at the console: one reading of the brokers a second for all of them, none while nobody looks."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import asdict
from typing import Any

import structlog

from services.contract.failure import Failure
from services.gateway.api.http import end
from services.gateway.core.console.board import Board
from services.gateway.core.ports import Jobs, Panel
from services.runtime.clock import now_ms
from services.runtime.logs import Throttle

log = structlog.get_logger(__name__)
EVERY_S = 1.0
PATIENCE_S = 0.85
"""A broker that has not answered by then is said not to: within two seconds of its last answer."""
Read = Callable[[], Awaitable[Mapping[str, Any]]]


class Audience:
    """Everybody who looks."""

    def __init__(self, panel: Panel, jobs: Jobs | None) -> None:
        self._panel = panel
        self._reads: dict[str, Read] = {"work": panel.work, "live": panel.live}
        if jobs:
            self._reads["jobs"] = lambda: _jobs(jobs)
        self._board = Board()
        self._state: dict[str, dict[str, Any]] = {}
        self._wanted = 0
        self._tasks: list[asyncio.Future[None]] = []
        self._tick = asyncio.Event()
        self._throttle = Throttle()

    @asynccontextmanager
    async def seat(self) -> AsyncGenerator[None]:
        """While somebody sits here, the brokers are read; begins when each was asked once."""
        self._wanted += 1
        try:
            if not self._tasks:
                self._state = {}
                self._tasks = [asyncio.ensure_future(self._follow(name, read)) for name, read in self._reads.items()]
                self._tasks.append(asyncio.ensure_future(self._pulse()))
            while len(self._state) < len(self._reads):
                await self.tick()
            yield
        finally:
            self._wanted -= 1
            if not self._wanted:
                tasks, self._tasks = self._tasks, []
                await end(*tasks)

    async def tick(self) -> None:
        """Returns when there is something to tell: at least once a second."""
        await self._tick.wait()

    def told(self, known: dict[str, int]) -> str:
        """What is newer than `known`, as one JSON object; to who knows nothing also the last minute."""
        more = {} if known else {"minutes": self._panel.minutes()}
        return self._board.since(known, now_ms=now_ms(), **more)

    async def _follow(self, name: str, read: Read) -> None:
        """Read it once a second; what it fails at is told at once, what was known before stays with its age."""
        while True:
            began = asyncio.get_running_loop().time()
            problem = ""
            try:
                async with asyncio.timeout(PATIENCE_S):
                    self._board.put(await read())
            except TimeoutError:
                problem = f"no answer within {PATIENCE_S} s"
            except Failure as failure:
                problem = failure.sentence
            except Exception as error:  # whatever it is, the page says so instead of showing what is old as new
                if self._throttle.ready():
                    log.exception("the console cannot read", part=name)
                problem = f"{type(error).__name__}: {error}"
            self._report(name, problem)
            await asyncio.sleep(max(0.1, began + EVERY_S - asyncio.get_running_loop().time()))

    def _report(self, name: str, problem: str) -> None:
        before = self._state.get(name, {"at_ms": 0, "problem": ""})
        at_ms = before["at_ms"] if problem else now_ms()
        self._state[name] = {"at_ms": at_ms, "problem": problem}
        self._board.put({"brokers": self._state})
        if len(self._state) == len(self._reads) and (problem != before["problem"] or not before["at_ms"]):
            self._ring()

    async def _pulse(self) -> None:
        while True:
            await asyncio.sleep(EVERY_S)
            self._ring()

    def _ring(self) -> None:
        """Wake who waits; who comes later waits for the next time."""
        ring, self._tick = self._tick, asyncio.Event()
        ring.set()


async def _jobs(jobs: Jobs) -> Mapping[str, Any]:
    return {"jobs": asdict(await jobs.snapshot())}
