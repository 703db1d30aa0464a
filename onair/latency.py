"""Where the time goes between a comment and the sound of its answer, from a session's entries in their order. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import pairwise

from services.contract.ingest import TurnRequested
from services.contract.llm import SentenceReady
from services.contract.message import Message
from services.contract.tts import SpeechChunk

MEMORY = 64
"""Turns whose steps are kept: only prepared ones can pile up."""
STEPS = ("lane", "llm", "tts", "floor")


@dataclass(frozen=True)
class Latency:
    """One sentence's way, in milliseconds; the sum of the four is its age when it is heard."""

    lane: int
    """From the event to the order to answer it."""
    llm: int
    """From that order to the sentence."""
    tts: int
    """From the sentence to its first sound."""
    floor: int
    """From its first sound to the moment at which it is heard: others spoke, or the turn was not aired yet."""

    @property
    def age(self) -> int:
        """From the event to the first sound that is heard."""
        return self.lane + self.llm + self.tts + self.floor


@dataclass
class _Turn:
    event_ms: int
    asked_ms: int
    ready_ms: dict[int, int] = field(default_factory=dict[int, int])
    sound_ms: dict[int, int] = field(default_factory=dict[int, int])


class Steps:
    """Feed it a session's entries with the broker's time of each."""

    def __init__(self) -> None:
        self._turns: dict[str, _Turn] = {}

    def feed(self, ms: int, message: Message) -> None:
        """Note when a turn was asked for, and each of its sentences was ready and first sounded."""
        match message:
            case TurnRequested(turn=turn, requested_ms=event_ms):
                self._turns.setdefault(turn, _Turn(event_ms, ms))
                while len(self._turns) > MEMORY:
                    del self._turns[next(iter(self._turns))]
            case SentenceReady(turn=turn, index=index) if turn in self._turns:
                self._turns[turn].ready_ms.setdefault(index, ms)
            case SpeechChunk(turn=turn, index=index) if turn in self._turns:
                self._turns[turn].sound_ms.setdefault(index, ms)
            case _:
                pass

    def of(self, turn: str, index: int, heard_ms: int) -> Latency | None:
        """The way of a sentence that is heard from `heard_ms` (Unix) on; None if its turn is not known.

        Entries of different writers may pass each other by a little: no step is negative, and what one lacks the
        others have. A step that was not seen takes no time.
        """
        if (found := self._turns.get(turn)) is None:
            return None
        times = [found.event_ms, found.asked_ms]
        times.append(found.ready_ms.get(index, times[-1]))
        times.append(found.sound_ms.get(index, times[-1]))
        times.append(heard_ms)
        for at in range(1, len(times)):
            times[at] = max(times[at - 1], min(times[at], heard_ms))
        lane, llm, tts, floor = (after - before for before, after in pairwise(times))
        return Latency(lane, llm, tts, floor)


def percentile(values: Iterable[int], percent: int) -> int | None:
    """The smallest value that at least `percent` % of them do not exceed (nearest rank); None of nothing."""
    ranked = sorted(values)
    return ranked[-(-len(ranked) * percent // 100) - 1] if ranked else None


def figures(values: Iterable[int]) -> dict[str, int | None]:
    """p50 and p95."""
    ranked = sorted(values)
    return {"p50": percentile(ranked, 50), "p95": percentile(ranked, 95)}


def breakdown(ways: Iterable[Latency]) -> dict[str, dict[str, int | None]]:
    """p50 and p95 of each step."""
    known = list(ways)
    return {step: figures(getattr(way, step) for way in known) for step in STEPS}
