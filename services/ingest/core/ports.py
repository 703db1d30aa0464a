"""What ingest needs from a source of frames, from a conversation that it joins, and from where paid events wait for the broker."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from services.contract.ingest import LiveEvent


@dataclass(frozen=True)
class Frame:
    """One raw frame of a platform, as it came."""

    at_ms: int
    """Unix milliseconds of its arrival, 0 or more."""
    platform: str
    """bilibili, douyin."""
    body: str
    """The text as received. A binary frame of a text protocol is given as an empty body, which is rejected."""
    lap: int = 0
    """How often a looping source had reached its end before; above 0 it is part of every id of the frame's events."""
    recorded: bool = False
    """The platform's own times are of the day of the recording: the arrival counts instead."""


Emit = Callable[[Frame], Awaitable[None]]


class Source(Protocol):
    """Gives the frames of a room, one after the other."""

    name: str
    """For people and metrics."""

    async def run(self, emit: Emit) -> None:
        """Emit frames until the source ends by itself, then return; raises `Failure` if it cannot go on."""
        ...


class Spool(Protocol):
    """Paid events on this machine's disk, in the order of their coming, of one process."""

    name: str
    """For people: where it lies."""

    @property
    def count(self) -> int:
        """How many events lie in it."""
        ...

    def waiting(self, room: str) -> int:
        """How many of them are of this room."""
        ...

    async def put(self, event: LiveEvent) -> bool:
        """Keep the event; on disk when this returns. False: it lies there already. Raises Failure where it is full."""
        ...

    async def oldest(self, count: int) -> list[tuple[int, LiveEvent]]:
        """The oldest events with their numbers."""
        ...

    async def done(self, number: int) -> None:
        """The event of that number is kept elsewhere."""
        ...

    async def close(self) -> None:
        """Let the file go."""
        ...


@dataclass(frozen=True)
class AppMessage:
    """One app-message of a conversation, as it came."""

    sender: str
    """Id of the participant; '' where none is named."""
    body: bytes
    """Its JSON text, UTF-8."""


class Stay(Protocol):
    """One stay in a conversation, as a listener who is neither seen nor heard."""

    async def next(self) -> AppMessage | str:
        """The next app-message, in order; a text: the stay is over, and why. Then it is only left."""
        ...

    async def send(self, message: Mapping[str, Any]) -> None:
        """Send an app-message to everybody in it; raises Failure ENGINE_REFUSED where it cannot be sent."""
        ...

    async def leave(self) -> None:
        """Leave and let everything go, within seconds; may be called more than once."""
        ...


class Conversations(Protocol):
    """Where conversations are held."""

    name: str
    """For people and metrics."""

    async def join(self, conversation: str) -> Stay:
        """Join it; raises Failure: ENGINE_MISSING, ENGINE_REFUSED with the reason, ENGINE_SILENT."""
        ...
