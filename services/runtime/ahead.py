"""An engine that is asked before it is known for certain that its answer is wanted."""

import asyncio
from collections.abc import AsyncGenerator
from typing import Generic, TypeVar

T = TypeVar("T")


class Ahead(Generic[T]):
    """What the engine makes; the first of it is asked for at once. To be closed in any case: then the engine is left alone."""

    def __init__(self, made: AsyncGenerator[T, None]) -> None:
        self._made = made
        self._first = asyncio.ensure_future(anext(made, None))

    async def all(self) -> AsyncGenerator[T, None]:
        """All of it, in order; raises what the engine raises."""
        one = await self._first
        while one is not None:
            yield one
            one = await anext(self._made, None)

    async def close(self) -> None:
        """Ask for no more; may be called more than once."""
        self._first.cancel()
        await asyncio.gather(self._first, return_exceptions=True)
        await self._made.aclose()
