"""What the gateway needs from outside."""

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Protocol

from services.contract.gateway import ClipHeard
from services.contract.ingest import LiveEvent, TurnRequested
from services.contract.message import Message


@dataclass(frozen=True)
class Entry:
    """One entry of a room's session."""

    id: str
    ms: int
    """The broker's clock when it was written, Unix milliseconds."""
    message: Message
    blob: bytes = b""


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

    async def receive(self, event: LiveEvent, newest: int) -> bool:
        """Hand an event to the room's director; False if its id came before. Of comments the `newest` are kept."""
        ...

    async def unanswered(self, room: str) -> list[LiveEvent]:
        """What was paid for in the room and is not settled."""
        ...

    async def kept(self, room: str) -> list[Entry]:
        """What the room's session holds."""
        ...

    def coming(self, room: str, after: str) -> AsyncGenerator[Entry]:
        """Entries of the room's session after that one, as they come, for ever."""
        ...
