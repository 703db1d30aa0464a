"""How far the turns on the floor have come: the sound made so far, and whether all of it is made."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from services.contract.llm import AnswerEnded
from services.contract.message import Message
from services.contract.tts import AIR_RATE, SentenceSkipped, SpeechChunk, SpeechEnded, SpeechStarted

Speech = SpeechStarted | SpeechChunk | SpeechEnded | SentenceSkipped


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
    whole: bool = True
    """None of them was skipped."""


@dataclass
class _Sentence:
    attempt: int = 0
    reached: int = 0
    over: bool = False
    skipped: bool = False

    def take(self, attempt: int, upto: int) -> bool:
        """Whether readers obey this attempt; from it on, lower ones are ignored."""
        if self.over or attempt < self.attempt:
            return False
        self.attempt, self.reached = attempt, max(self.reached, upto)
        return True


@dataclass
class _Turn:
    sentences: dict[int, _Sentence] = field(default_factory=dict[int, _Sentence])
    count: int | None = None
    told_ms: int = 0

    def sentence(self, index: int) -> _Sentence:
        return self.sentences.setdefault(index, _Sentence())

    @property
    def samples(self) -> int:
        return sum(sentence.reached for sentence in self.sentences.values())

    @property
    def finished(self) -> bool:
        return self.count is not None and all(self.sentence(index).over for index in range(self.count))


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
        if not isinstance(message, AnswerEnded | Speech) or (known := self._turns.get(message.turn)) is None:
            return []
        if isinstance(message, AnswerEnded):
            if known.count is not None:
                return []
            known.count = message.count
            return self._finished(message.turn, known)
        return self._sentence(message, known, size)

    def _sentence(self, message: Speech, known: _Turn, size: int) -> list[Sounded | Finished]:
        sentence = known.sentence(message.index)
        match message:
            case SpeechStarted(attempt=attempt):
                sentence.take(attempt, 0)
                return []
            case SpeechChunk(attempt=attempt, sample_offset=offset):
                return self._sounded(message.turn, known) if sentence.take(attempt, offset + size // 2) else []
            case SpeechEnded(attempt=attempt):
                ended = sentence.take(attempt, 0)
            case _:
                ended = not sentence.over
                sentence.skipped |= ended
        sentence.over |= ended
        return self._finished(message.turn, known) if ended else []

    @staticmethod
    def _sounded(turn: str, known: _Turn) -> list[Sounded | Finished]:
        fresh = known.samples * 1_000 // AIR_RATE - known.told_ms
        known.told_ms += fresh
        return [Sounded(turn, fresh)] if fresh else []

    @staticmethod
    def _finished(turn: str, known: _Turn) -> list[Sounded | Finished]:
        if not known.finished:
            return []
        whole = not any(sentence.skipped for sentence in known.sentences.values())
        return [Finished(turn, spoken=known.samples > 0, samples=known.samples, whole=whole)]
