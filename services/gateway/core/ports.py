"""What the gateway needs from outside."""

from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from services.contract.gateway import ClipHeard
from services.contract.ingest import LiveEvent, TurnRequested
from services.contract.message import Message
from services.gateway.core.call_words import Order
from services.gateway.core.english import Row
from services.gateway.core.listen import Stand as Held


@dataclass(frozen=True)
class Entry:
    """One entry of a session."""

    id: str
    ms: int
    """The broker's clock when it was written, Unix milliseconds."""
    message: Message
    blob: bytes = b""


@dataclass(frozen=True)
class Made:
    """What work knows of an answer, whatever live has forgotten."""

    sentences: Mapping[int, str]
    ends: Mapping[int, str]
    """Sentence → `spoken:<samples>` or `skipped:<reason>`, for those that are over."""
    count: int | None = None
    """Of sentences; None: the answer goes on."""
    reason: str = ""
    """Why it ended, as in `AnswerEnded`."""


@dataclass(frozen=True)
class JobSeen:
    """One job, as rq's registries have it. Times are Unix milliseconds, 0: not yet."""

    id: str
    what: str
    """For people: `report demo`, `expire`."""
    state: Literal["queued", "started", "finished", "failed", "scheduled"]
    asked_ms: int = 0
    began_ms: int = 0
    ended_ms: int = 0
    due_ms: int = 0
    """When a scheduled one is next put into the queue."""
    tries: int = 0
    """Times that it was put back because it failed or its worker was lost."""
    reason: str = ""
    """Why it failed: the last line of what was raised, or who was lost."""
    result: str = ""
    """What a finished one said of itself, as JSON."""


@dataclass(frozen=True)
class JobWorker:
    """A process that does jobs."""

    name: str
    state: str
    """rq's word: idle, busy, started, suspended."""
    job: str
    """Id of what it does now; '' for nothing."""
    seen_ms: int
    """Its last sign of life, at most a few seconds old while it lives."""


@dataclass(frozen=True)
class JobsSeen:
    """All that rq knows: how many jobs are in each state, the newest of each, and who does them."""

    counts: Mapping[str, int]
    jobs: tuple[JobSeen, ...]
    """By state, the newest first."""
    workers: tuple[JobWorker, ...]
    crons: int
    """Cron schedulers that live: one, or the scheduled jobs are nobody's."""


class Jobs(Protocol):
    """Slow and scheduled work, done by `services.gateway.jobs`. Raises Failure BUS_DOWN."""

    async def report(self, room: str, language: str, since_ms: int) -> str:
        """Ask for a report of the room's show since then (Unix milliseconds); its id."""
        ...

    async def job(self, id_: str) -> JobSeen | None:
        """What is known of a job; None if it is not known (any more)."""
        ...

    async def snapshot(self, newest: int = 20) -> JobsSeen:
        """How things stand, with at most so many jobs of each state."""
        ...


class Shelf(Protocol):
    """Where finished reports lie."""

    async def read(self, id_: str) -> bytes | None:
        """The report of that id, HTML in UTF-8; None if there is none. An id that is none of ours opens nothing."""
        ...


class Tapes(Protocol):
    """Where the English partner's recordings lie, until `keep.audio` has passed."""

    async def read(self, name: str) -> bytes | None:
        """The WAV of that name; None if there is none (any more). A name that is none of ours opens nothing."""
        ...

    async def keep(self, wav: bytes) -> str:
        """Put it there under a new name; raises Failure INTERNAL where the disk does not take it."""
        ...


class Rows(Protocol):
    """The English partner's conversations. Raises Failure ENGINE_MISSING while the database does not answer."""

    async def claim(self, user: int, session: int, at_ms: int) -> int:
        """The session, which is this user's from now on; 0: a new one. Raises Failure UNAUTHORIZED if it is another's."""
        ...

    async def owner(self, session: int) -> int | None:
        """Whose session that is; None if it is nobody's."""
        ...

    async def sessions(self, user: int, newest: int) -> list[int]:
        """His newest sessions, the oldest of them first."""
        ...

    async def add(self, row: Row) -> Row:
        """Write a row down; the same with its id."""
        ...

    async def rows(self, user: int, session: int, newest: int) -> list[Row]:
        """The newest rows of his session by id; none of a session that is not his."""
        ...

    async def heard_by(self, audio: str) -> int | None:
        """Whose session has the recording of that name; None if none has."""
        ...


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

    async def kept(self, session: str) -> list[Entry]:
        """What the session holds."""
        ...

    def coming(self, session: str, after: str) -> AsyncGenerator[Entry]:
        """Entries of the session after that one, as they come, for ever."""
        ...

    async def generation(self, session: str) -> str:
        """A word for what live holds of the session; another one after it was forgotten."""
        ...

    async def join(self, session: str, connection: str) -> None:
        """Say that this connection has the session from here on."""
        ...

    async def made(self, turn: str) -> Made:
        """What work knows of the turn's answer."""
        ...


class Conversations(Protocol):
    """Conversations of Daily. Raises Failure: BUS_DOWN, and BUSY where too many are listened to."""

    def hear(self, conversation: str) -> AsyncGenerator[Entry | Held]:
        """What happens in it from now on, for ever; it is joined meanwhile, and left when nobody hears it any more."""
        ...


class Tickets(Protocol):
    """What opens a WebSocket once. Raises Failure BUS_DOWN."""

    async def issue(self) -> str:
        """A new one."""
        ...

    async def take(self, ticket: str) -> bool:
        """Whether it is good: once."""
        ...


@dataclass(frozen=True)
class Stand:
    """How a call stands."""

    kept: tuple[Entry, ...]
    """What its session holds, from a moment on at which the new connection was announced there."""
    at_sample: int
    """Where its microphone goes on."""


class Line(Protocol):
    """One call's way to the other services. Raises Failure BUS_DOWN."""

    async def join(self, connection: str) -> Stand:
        """The call is this connection's from now on."""
        ...

    def coming(self, after: str) -> AsyncGenerator[Entry]:
        """Entries of the call's session after that one, as they come, for ever."""
        ...

    async def carry_out(self, order: Order) -> None:
        """Do what the call's machine wants done; raises Failure BUSY while an operator has silenced everything."""
        ...


class Exchange(Protocol):
    """Where calls come in."""

    def line(self, session: str) -> Line:
        """The call of that session."""
        ...


class Panel(Protocol):
    """How things stand on the brokers, in sections that the console shows. Raises Failure BUS_DOWN."""

    async def work(self) -> Mapping[str, Any]:
        """What the work broker knows."""
        ...

    async def live(self) -> Mapping[str, Any]:
        """What the live brokers know."""
        ...

    def minutes(self) -> Mapping[str, Any]:
        """What went through each work stream in the last minute, by the second."""
        ...


class Hands(Protocol):
    """What an operator does to the show. Raises Failure: BUS_DOWN, and NOT_FOUND for what is not there."""

    async def stop(self, session: str) -> int:
        """Nothing of what the session asked for so far is heard any more; its new epoch."""
        ...

    async def silence(self, who: str) -> int:
        """Nothing is spoken any more until `lift`; how many sessions were told."""
        ...

    async def lift(self) -> None:
        """The show goes on."""
        ...

    async def requeue(self, letter: str) -> None:
        """The dead letter is work again."""
        ...

    async def drop(self, letter: str) -> None:
        """The dead letter is forgotten."""
        ...

    async def note(self, who: str, what: str, on: str, how: str) -> None:
        """Remember what an operator did, with what came of it."""
        ...
