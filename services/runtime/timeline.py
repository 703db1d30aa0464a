"""The reader's order: folds a session's entries into what is heard, the same for every reader.

A session's stream is at-least-once and interleaved: workers speak several sentences at once, a killed worker's sentence
is begun again, a paused one wakes up and goes on writing. The order of the entries decides, so all readers agree:

* a turn is heard only after `TurnAired`; turns in the order of `no`; sentences in the order of `index`;
* a sentence belongs to the highest attempt that began; it is over at the first end or skip, for good;
* no sample is heard twice: what lies before the position reached is cut off; a gap is told as `Lost`;
* nothing of an epoch below the highest seen is heard, and nothing of a dropped turn;
* a reader that lacks entries (it joined late, the broker forgot) waits for them until a turn is aired on a clear floor.
"""

from collections.abc import Iterable, Iterator, Sequence
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
Placed = TurnRequested | SentenceReady | TurnAired | SpeechStarted
Speech = SpeechStarted | SpeechChunk | SpeechEnded | SentenceSkipped


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

    def take(self, message: Speech, blob: bytes) -> None:
        """Sound of the highest attempt that is new; an attempt whose start is gone counts from what is there."""
        if self.over:
            return
        if isinstance(message, SentenceSkipped):
            self.over, self.reason = True, message.reason
            return
        if message.attempt < self.attempt:
            return
        self.attempt = message.attempt
        match message:
            case SpeechStarted():
                self.text, self.emotion = message.text, message.emotion
            case SpeechChunk(turn=turn, index=index, sample_offset=offset):
                self._reach(turn, index, offset)
                if fresh := blob[2 * (self.reached - offset) :]:
                    self.waiting.append(Sound(turn, index, self.reached, fresh))
                    self.reached += len(fresh) // 2
            case _:
                self._reach(message.turn, message.index, message.samples)
                self.over = True

    def _reach(self, turn: str, index: int, position: int) -> None:
        if (gap := position - self.reached) > 0:
            self.waiting.append(Lost(turn, index, gap))
            self.reached = position


def heard(entries: Iterable[tuple[Message, bytes]], turn: str, index: int) -> tuple[int, bool]:
    """Samples of the sentence that readers of these entries have, and whether it is over for them.

    Where a new attempt goes on, and what a repeated one has to commit.
    """
    sentence = _Sentence()
    for message, blob in entries:
        if isinstance(message, Speech) and (message.turn, message.index) == (turn, index):
            sentence.take(message, blob)
    return sentence.reached, sentence.over


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
        self._aired_no = 0

    def feed(self, message: Message, blob: bytes = b"") -> list[Out]:
        """What is heard because of this entry, in order. Entries of other kinds say nothing."""
        cut = self._note(message, blob)
        return [*cut, *self._advance()]

    def _note(self, message: Message, blob: bytes) -> list[Out]:
        """Take the entry in; the turns that it cuts."""
        cut = self._place(message) if isinstance(message, Placed) else []
        match message:
            case Interrupted(epoch=epoch):
                cut = self._raise(epoch)
            case TurnDropped(turn=turn, reason=reason):
                cut = self._end([turn], reason)
            case TurnAired():
                cut += self._air(message)
            case AnswerEnded(turn=turn, count=count):
                if (known := self._known(turn)) and known.count is None:
                    known.count = count
            case SpeechStarted() | SpeechChunk() | SpeechEnded() | SentenceSkipped():
                if known := self._known(message.turn):
                    known.sentence(message.index).take(message, blob)
            case _:
                pass
        return cut

    def _known(self, turn: str) -> _Turn | None:
        """The turn's state; None if it can never be heard any more."""
        if turn in self._gone:
            return None
        if turn not in self._turns:
            if len(self._turns) >= MEMORY and (waiting := [t.turn for t in self._turns.values() if not t.aired]):
                self._forget(waiting[0])
            self._turns[turn] = _Turn(turn)
        return self._turns[turn]

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
        return self._end([t.turn for t in self._turns.values() if t.no and t.epoch < epoch], "interrupted")

    def _end(self, turns: Sequence[str], reason: str) -> list[Out]:
        """These turns are not heard any further."""
        cut: list[Out] = [Cut(turn, reason) for turn in turns if (known := self._turns.get(turn)) and known.opened]
        for turn in turns:
            self._forget(turn)
        return cut

    def _place(self, message: Placed) -> list[Out]:
        """Learn a turn's number and epoch; it is gone if they are behind what is on air."""
        cut = self._raise(message.epoch)
        if turn := self._known(message.turn):
            turn.no, turn.epoch = message.no, message.epoch
            if turn.epoch < self.epoch or (turn.no <= self._aired_no and not turn.aired):
                self._forget(turn.turn)
        return cut

    def _air(self, message: TurnAired) -> list[Out]:
        """Turns of a lower number that were not aired never will be; on a clear floor none of them is heard further."""
        if (turn := self._known(message.turn)) is None:
            return []
        turn.aired = True
        self._aired_no = max(self._aired_no, turn.no)
        lower = [other for other in self._turns.values() if 0 < other.no < turn.no]
        return self._end([other.turn for other in lower if message.clear or not other.aired], "sound_lost")

    def _advance(self) -> list[Out]:
        """Say everything that can be heard by now."""
        outs: list[Out] = []
        while turn := min((t for t in self._turns.values() if t.aired), key=lambda t: t.no, default=None):
            outs.extend(self._play(turn))
            if turn.count is None or turn.at < turn.count:
                break
            outs.append(Closed(turn.turn))
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
