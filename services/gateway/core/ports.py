"""What the gateway needs from outside."""

from collections.abc import AsyncGenerator
from typing import Protocol

from services.contract.gateway import ClipHeard
from services.contract.ingest import TurnRequested
from services.contract.message import Message


class Desk(Protocol):
    """Where clients' wishes are handed in and what becomes of them is heard. Raises Failure BUS_DOWN."""

    async def ask(self, request: TurnRequested) -> None:
        """Have the turn answered, and heard as it is made."""
        ...

    async def listen(self, clip: ClipHeard, wav: bytes) -> None:
        """Have the clip recognised."""
        ...

    def follow(self, session: str) -> AsyncGenerator[tuple[Message, bytes]]:
        """Entries of a session from its beginning, each with its raw bytes, as they come, for ever."""
        ...

    async def interrupt(self, session: str, by: str) -> None:
        """End all that the session asked for so far."""
        ...
