"""What conversations at Tavus need from outside."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from services.contract.gateway import ConversationCreated
from services.gateway.core.tavus.wishes import Wish

OVER = frozenset({"ended", "error"})
"""States of a conversation that costs nothing any more."""


@dataclass(frozen=True)
class Conversation:
    """A conversation as Tavus tells of it."""

    id: str
    name: str = ""
    status: str = ""
    """Tavus's word: active, ended, error."""
    url: str = ""
    persona: str = ""
    replica: str = ""
    created_at: str = ""
    """As Tavus writes it: ISO 8601."""


@dataclass(frozen=True)
class Persona:
    """A persona as Tavus tells of it, without its layers: those may hold keys."""

    id: str
    name: str = ""
    replica: str = ""
    created_at: str = ""


@dataclass(frozen=True)
class Ended:
    """What became of conversations that were to be ended."""

    ended: tuple[str, ...] = ()
    """Ids of those that went on until now."""
    over: tuple[str, ...] = ()
    """Ids, or names, of those that had ended by themselves, or never began."""
    failed: tuple[str, ...] = ()
    """For each that goes on: its id and why. It is tried again."""


class Tavus(Protocol):
    """Tavus itself. Raises Failure.

    ENGINE_MISSING: the key or the address is wrong, or it cannot be reached; BUSY: no credits, or the account's limit;
    BAD_INPUT, NOT_FOUND: it refused; ENGINE_SILENT, ENGINE_BROKEN: whether it was done is not known.
    """

    async def create(self, body: Mapping[str, Any]) -> Conversation:
        """A new conversation, which costs from now on. Never asked twice."""
        ...

    async def conversation(self, id_: str) -> Conversation:
        """How it stands."""
        ...

    async def conversations(self, status: str = "") -> list[Conversation]:
        """All of the account, or those in that state."""
        ...

    async def end(self, id_: str) -> None:
        """It ends now."""
        ...

    async def create_persona(self, body: Mapping[str, Any]) -> Persona:
        """A new persona. Never asked twice."""
        ...

    async def personas(self) -> list[Persona]:
        """All that the account may use."""
        ...


class Conversations(Protocol):
    """Conversations that OnAir answers for. Raises Failure: as `Tavus`, and BUS_DOWN."""

    async def create(self, wish: Wish, who: str) -> tuple[ConversationCreated, str]:
        """What was written down before this answer, and Tavus's word for its state."""
        ...

    async def listed(self, status: str) -> list[tuple[Conversation, bool]]:
        """Those of the account, each with whether OnAir created it and has not ended it."""
        ...

    async def end(self, id_: str) -> Ended:
        """End that one, whoever created it."""
        ...

    async def end_all(self) -> Ended:
        """End all that OnAir created."""
        ...
