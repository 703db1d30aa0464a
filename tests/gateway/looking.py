"""Somebody who looks at the console by its stream, and what he has been told so far."""

import asyncio
import json
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing, asynccontextmanager
from typing import Any, cast

from tests.gateway.studio import Gateway

PATIENCE_S = 20


class Looker:
    """Folds the events as the page does."""

    def __init__(self, lines: AsyncGenerator[str]) -> None:
        self._lines = lines
        self.data: dict[str, Any] = {}
        self.ticks = 0

    async def next(self) -> dict[str, Any]:
        """The next event, as it came."""
        async with asyncio.timeout(PATIENCE_S):
            while not (line := await anext(self._lines)).startswith("data: "):
                pass
        event = json.loads(line[6:])
        self.data |= event
        self.ticks += 1
        return event

    async def until(self, holds: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
        """What is known as soon as it holds."""
        async with asyncio.timeout(PATIENCE_S):
            while not holds(self.data):
                await self.next()
        return self.data

    def stream(self, key: str) -> dict[str, Any]:
        """The row of that stream."""
        return next(row for row in self.data["streams"] if row["key"] == key)


@asynccontextmanager
async def looking(gateway: Gateway) -> AsyncGenerator[Looker]:
    """A console that is open."""
    async with gateway.client() as client, client.stream("GET", "/api/console/stream") as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        async with aclosing(cast("AsyncGenerator[str]", answer.aiter_lines())) as lines:
            looker = Looker(lines)
            await looker.next()
            yield looker
