"""The reader's order: folds a session's entries into what is heard, the same for every reader.

A session's stream is at-least-once and interleaved: workers speak several sentences at once, a killed worker's sentence
is begun again, a paused one wakes up and goes on writing. The order of the entries decides, so all readers agree:

* a turn is heard only after `TurnAired`; turns in the order of `no`; sentences in the order of `index`;
* a sentence belongs to the attempt that started last; it is over at the first end or skip, for good;
* no sample is heard twice: what lies before the position reached is cut off; a gap is told as `Lost`;
* nothing of an epoch below the highest seen is heard, and nothing of a dropped turn.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from services.contract.gateway import Interrupted
from services.contract.ingest import TurnAired, TurnDropped, TurnRequested
from services.contract.llm import AnswerEnded, SentenceReady
from services.contract.message import Message
from services.contract.tts import SentenceSkipped, SpeechChunk, SpeechEnded, SpeechStarted

MEMORY = 64
"""Turns a reader remembers: aired ones end in order, so only prepared ones can pile up."""


@dataclass(frozen=True)
class Opened:
    """The turn has the floor from here on."""

    turn: str


@dataclass(frozen=True)
class Caption:
    """The sentence begins; its first sound follows."""

    turn: str
    index: int
    text: str
    emotion: str


@dataclass(frozen=True)
class Sound:
    """Samples to be played next: s16le mono at `AIR_RATE`."""

    turn: str
    index: int
    offset: int
    """Position of the first sample in the sentence."""
    pcm: bytes


@dataclass(frozen=True)
class Lost:
    """Samples that the session no longer has."""

    turn: str
    index: int
    samples: int


@dataclass(frozen=True)
class SentenceOver:
    """Nothing more of this sentence; `reason` is empty if it was spoken to its end."""

    turn: str
    index: int
    reason: str
    samples: int


@dataclass(frozen=True)
class Closed:
    """The turn was heard to its end."""

    turn: str


@dataclass(frozen=True)
class Cut:
    """Stop at once: the turn on the floor was interrupted or dropped."""

    turn: str
    reason: str


Out = Opened | Caption | Sound | Lost | SentenceOver | Closed | Cut


@dataclass
class _Sentence:
    """What is known of one sentence, and what of it waits for its turn to be heard."""

    text: str = ""
    emotion: str = ""
    attempt: int = 0
    reached: int = 0
    over: bool = False
    reason: str = ""
    waiting: list[Sound | Lost] = field(default_factory=list["Sound | Lost"])
    captioned: bool = False


@dataclass
class _Turn:
    """What is known of one turn."""

    turn: str
    no: int = 0
    epoch: int = 0
    aired: bool = False
    opened: bool = False
    count: int | None = None
    at: int = 0
    sentences: dict[int, _Sentence] = field(default_factory=dict[int, _Sentence])

    def sentence(self, index: int) -> _Sentence:
        return self.sentences.setdefault(index, _Sentence())


class Timeline:
    """Feed it a session's entries in their order; it says what is heard."""

    def __init__(self) -> None:
        self.epoch = 0
        self._turns: dict[str, _Turn] = {}
        self._gone: dict[str, None] = {}
        self._closed_no = 0

    def feed(self, message: Message, blob: bytes = b"") -> list[Out]:
        """What is heard because of this entry, in order. Entries of other kinds say nothing."""
        cut = self._note(message, blob)
        return [*cut, *self._advance()]

    def _note(self, message: Message, blob: bytes) -> list[Out]:
        """Take the entry in; the turns that it cuts."""
        match message:
            case Interrupted(epoch=epoch):
                return self._raise(epoch)
            case TurnRequested() | SentenceReady() | TurnAired() | SpeechStarted():
                cut = self._raise(message.epoch)
                self._place(message)
                return cut
            case TurnDropped(turn=turn, reason=reason):
                return self._end(turn, reason)
            case AnswerEnded(turn=turn, count=count):
                if (known := self._known(turn)) and known.count is None:
                    known.count = count
            case SpeechChunk():
                self._chunk(message, blob)
            case SpeechEnded() | SentenceSkipped():
                self._over(message)
            case _:
                pass
        return []

    def _known(self, turn: str) -> _Turn | None:
        """The turn's state; None if it can never be heard any more."""
        if turn in self._gone:
            return None
        if (known := self._turns.get(turn)) is None:
            if len(self._turns) >= MEMORY and (
                oldest := next((t.turn for t in self._turns.values() if not t.aired), "")
            ):
                self._forget(oldest)
            known = self._turns[turn] = _Turn(turn)
        return known

    def _forget(self, turn: str) -> None:
        self._turns.pop(turn, None)
        self._gone[turn] = None
        if len(self._gone) > MEMORY * 4:
            del self._gone[next(iter(self._gone))]

    def _raise(self, epoch: int) -> list[Out]:
        """A higher epoch is an interrupt, whoever tells of it."""
        if epoch <= self.epoch:
            return []
        self.epoch = epoch
        older = [turn.turn for turn in self._turns.values() if turn.no and turn.epoch < epoch]
        return [out for turn in older for out in self._end(turn, "interrupted")]

    def _end(self, turn: str, reason: str) -> list[Out]:
        """The turn is not heard any further."""
        known = self._turns.get(turn)
        self._forget(turn)
        return [Cut(turn, reason)] if known and known.opened else []

    def _place(self, message: TurnRequested | SentenceReady | TurnAired | SpeechStarted) -> None:
        """Learn a turn's number and epoch; open it, or begin an attempt at a sentence."""
        if (turn := self._known(message.turn)) is None:
            return
        turn.no, turn.epoch = message.no, message.epoch
        if turn.epoch < self.epoch or (turn.no <= self._closed_no and not turn.aired):
            self._forget(turn.turn)
        elif isinstance(message, TurnAired):
            self._air(turn)
        elif isinstance(message, SpeechStarted):
            self._start(turn.sentence(message.index), message)

    def _air(self, turn: _Turn) -> None:
        """Turns of a lower number that were not aired never will be."""
        turn.aired = True
        passed = [other.turn for other in self._turns.values() if 0 < other.no < turn.no and not other.aired]
        for other in passed:
            self._forget(other)

    @staticmethod
    def _start(sentence: _Sentence, message: SpeechStarted) -> None:
        if not sentence.over and message.attempt > sentence.attempt:
            sentence.attempt = message.attempt
            sentence.text, sentence.emotion = message.text, message.emotion

    def _chunk(self, message: SpeechChunk, blob: bytes) -> None:
        turn = self._known(message.turn)
        if turn is None or (sentence := turn.sentence(message.index)).over or message.attempt != sentence.attempt:
            return
        if (ahead := message.sample_offset - sentence.reached) > 0:
            sentence.waiting.append(Lost(message.turn, message.index, ahead))
            sentence.reached += ahead
        fresh = blob[2 * (sentence.reached - message.sample_offset) :]
        if fresh:
            sentence.waiting.append(Sound(message.turn, message.index, sentence.reached, fresh))
            sentence.reached += len(fresh) // 2

    def _over(self, message: SpeechEnded | SentenceSkipped) -> None:
        if (turn := self._known(message.turn)) is None or (sentence := turn.sentence(message.index)).over:
            return
        if isinstance(message, SentenceSkipped):
            sentence.over, sentence.reason = True, message.reason
        elif message.attempt == sentence.attempt:
            sentence.over = True
            if (missing := message.samples - sentence.reached) > 0:
                sentence.waiting.append(Lost(message.turn, message.index, missing))
                sentence.reached = message.samples

    def _advance(self) -> list[Out]:
        """Say everything that can be heard by now."""
        outs: list[Out] = []
        while turn := min((t for t in self._turns.values() if t.aired), key=lambda t: t.no, default=None):
            outs.extend(self._play(turn))
            if turn.count is None or turn.at < turn.count:
                break
            outs.append(Closed(turn.turn))
            self._closed_no = max(self._closed_no, turn.no)
            self._forget(turn.turn)
        return outs

    @staticmethod
    def _play(turn: _Turn) -> Iterator[Out]:
        """Sound of the turn on the floor, sentence by sentence."""
        if not turn.opened:
            turn.opened = True
            yield Opened(turn.turn)
        while turn.count is None or turn.at < turn.count:
            if (sentence := turn.sentences.get(turn.at)) is None:
                return
            if sentence.waiting and not sentence.captioned:
                sentence.captioned = True
                yield Caption(turn.turn, turn.at, sentence.text, sentence.emotion)
            yield from sentence.waiting
            sentence.waiting.clear()
            if not sentence.over:
                return
            yield SentenceOver(turn.turn, turn.at, sentence.reason, sentence.reached)
            turn.at += 1


@dataclass
class Floor:
    """The show's clock: where on it each sound lies, by the lengths of what was aired and the times of its entries.

    Times are in samples at `rate` since `origin_ms`. A sound begins when its entry was written or when the one before
    it has been heard, whichever is later: nobody waits for a listener.
    """

    rate: int
    origin_ms: int
    heard_until: int = 0

    def place(self, samples: int, at_ms: int) -> int:
        """Where a sound of that many samples, written at `at_ms`, begins; takes the floor until its end."""
        begin = max(self.heard_until, (at_ms - self.origin_ms) * self.rate // 1_000)
        self.heard_until = begin + samples
        return begin

    def cut(self, at_ms: int) -> None:
        """What had not been heard at `at_ms` is not heard any more."""
        self.heard_until = min(self.heard_until, max(0, (at_ms - self.origin_ms) * self.rate // 1_000))

    def free_at_ms(self) -> int:
        """Unix milliseconds at which all that was placed has been heard."""
        return self.origin_ms + -(-self.heard_until * 1_000 // self.rate)
