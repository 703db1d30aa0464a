"""What waits, what is chosen, who has the floor, and the orders of the director."""

from dataclasses import dataclass
from typing import Literal

from pydantic import TypeAdapter

from services.contract.ingest import Decided, Lane, LiveEvent


@dataclass(frozen=True)
class Item:
    """What is answered together: one event, or the gifts of one combo."""

    events: tuple[LiveEvent, ...]
    since_ms: int
    """Unix ms since which it waits: the platform's time, never later than the arrival."""
    last_ms: int
    """Unix ms at which the last of its events arrived."""
    combo: str = ""
    """Gifts of this combo may still join it; empty: it is closed."""
    tries: int = 0
    """Turns that were spent on it and said nothing."""

    @property
    def first(self) -> LiveEvent:
        """The event that it began with."""
        return self.events[0]

    @property
    def lane(self) -> Lane:
        """Where it waits."""
        return self.first.lane

    @property
    def ids(self) -> tuple[str, ...]:
        """Ids of its events."""
        return tuple(event.id for event in self.events)

    @property
    def amount_fen(self) -> int:
        """What was paid for all of it, in 1/100 CNY."""
        return sum(event.amount_fen for event in self.events)

    @property
    def key(self) -> tuple[str, ...]:
        """What makes it one: viewer and combo, or its first id."""
        return (self.first.viewer.id, self.combo) if self.combo else (self.first.id,)


@dataclass(frozen=True)
class Choice:
    """What is answered next, and why."""

    item: Item
    reason: str
    """operator, paid_first, highest_price, oldest_paid, chat_turn, oldest_chat, welcome or idle."""
    deadline_ms: int
    """Unix ms; an answer that has not begun by then is not begun."""

    @property
    def events(self) -> tuple[LiveEvent, ...]:
        """The events that it answers."""
        return self.item.events

    @property
    def lane(self) -> Lane:
        """The lane that it was taken from."""
        return self.item.lane


class Recent:
    """A bounded memory of words: the oldest is forgotten first."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._words: dict[str, None] = {}

    def add(self, word: str) -> bool:
        """Remember it; whether it is new."""
        if word in self._words:
            return False
        self._words[word] = None
        if len(self._words) > self._size:
            del self._words[next(iter(self._words))]
        return True

    def __contains__(self, word: str) -> bool:
        return word in self._words


@dataclass(frozen=True)
class Turn:
    """A turn that was accepted: prepared, or on air."""

    id: str
    no: int
    epoch: int
    choice: Choice
    requested_ms: int
    aired_ms: int = 0
    """Unix ms; 0: prepared."""
    audio_ms: int = 0
    """Length of its sound so far."""
    floor_until_ms: int = 0
    """Unix ms at which the sound so far has been heard; 0: nothing was on air yet."""
    ended: bool = False
    """All its sentences are made."""
    whole: bool = True
    """None of them was skipped."""

    def to_json(self) -> bytes:
        """Its form in the store."""
        return _TURN.dump_json(self)

    @staticmethod
    def from_json(body: bytes | str) -> "Turn":
        """The turn in `body`; raises `ValueError` where it is none."""
        return _TURN.validate_json(body)


_TURN = TypeAdapter(Turn)


@dataclass(frozen=True)
class Request:
    """Ask for a turn. Answered by `Director.requested`, or by `refused`; until then no other is asked for."""

    choice: Choice


@dataclass(frozen=True)
class Air:
    """Readers play this turn from here on."""

    turn: Turn


@dataclass(frozen=True)
class Drop:
    """This turn is not heard, or no further."""

    turn: Turn
    reason: str
    """preempted, withdrawn, stale, interrupted, stopped, silenced, restarted, gave_up, nothing_spoken, or what `failed` was told."""


@dataclass(frozen=True)
class Settle:
    """What became of these paid events, for good."""

    events: tuple[LiveEvent, ...]
    state: Literal["spoken", "failed", "withdrawn"]
    reason: str
    turn: str = ""


@dataclass(frozen=True)
class Decide:
    """A choice for the log."""

    decided: Decided


Order = Request | Air | Drop | Settle | Decide
