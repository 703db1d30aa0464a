"""How far the turns on the floor have come: the sound made so far, and whether all of it is made."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from services.contract.llm import AnswerEnded
from services.contract.message import Message
from services.contract.tts import AIR_RATE, SentenceSkipped, SpeechChunk, SpeechEnded


@dataclass(frozen=True)
class Sounded:
    """So much more sound of the turn was made."""

    turn: str
    audio_ms: int


@dataclass(frozen=True)
class Finished:
    """Every sentence of the turn is terminal."""

    turn: str
    spoken: bool
    """At least one of them has sound."""
    samples: int


@dataclass
class _Turn:
    reached: dict[int, int] = field(default_factory=dict[int, int])
    over: set[int] = field(default_factory=set[int])
    count: int | None = None
    told_ms: int = 0

    @property
    def samples(self) -> int:
        return sum(self.reached.values())

    @property
    def finished(self) -> bool:
        return self.count is not None and len(self.over & set(range(self.count))) == self.count


class Progress:
    """Folds a room's session, prepared turns too: what the director wants to know of it."""

    def __init__(self) -> None:
        self._turns: dict[str, _Turn] = {}

    def keep(self, turns: Iterable[str]) -> None:
        """Follow these turns and forget all others."""
        self._turns = {turn: self._turns.get(turn, _Turn()) for turn in turns}

    def samples(self, turn: str) -> int:
        """Samples of sound made for the turn so far; 0 if it is not followed."""
        return self._turns[turn].samples if turn in self._turns else 0

    def feed(self, message: Message, size: int = 0) -> list[Sounded | Finished]:
        """What this entry changes; `size` is the length of its sound in bytes."""
        match message:
            case SpeechChunk(turn=turn, index=index, sample_offset=offset) if turn in self._turns:
                return self._sound(turn, index, offset + size // 2)
            case SpeechEnded(turn=turn, index=index) | SentenceSkipped(turn=turn, index=index) if turn in self._turns:
                return self._end(turn, index)
            case AnswerEnded(turn=turn, count=count) if turn in self._turns:
                known = self._turns[turn]
                if known.count is None:
                    known.count = count
                    return self._finished(turn)
            case _:
                pass
        return []

    def _sound(self, turn: str, index: int, upto: int) -> list[Sounded | Finished]:
        known = self._turns[turn]
        if upto <= known.reached.get(index, 0):
            return []
        known.reached[index] = upto
        fresh = known.samples * 1_000 // AIR_RATE - known.told_ms
        known.told_ms += fresh
        return [Sounded(turn, fresh)] if fresh else []

    def _end(self, turn: str, index: int) -> list[Sounded | Finished]:
        known = self._turns[turn]
        if index in known.over:
            return []
        known.over.add(index)
        return self._finished(turn)

    def _finished(self, turn: str) -> list[Sounded | Finished]:
        known = self._turns[turn]
        return [Finished(turn, spoken=known.samples > 0, samples=known.samples)] if known.finished else []
