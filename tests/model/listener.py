"""A reader of the session that does not trust its timeline: each thing heard is held against what was written."""

from array import array
from dataclasses import dataclass, field

from services.contract.gateway import Interrupted
from services.contract.ingest import TurnAired, TurnDropped, TurnRequested
from services.contract.llm import SentenceReady
from services.contract.message import Message
from services.contract.tts import SpeechStarted
from services.runtime.timeline import Caption, Closed, Cut, Lost, Opened, Out, SentenceOver, Sound, Timeline
from tests.model.workers import Plan


@dataclass
class Listener:
    """Folds entries and asserts what must hold of what it hears."""

    plans: dict[str, Plan]
    timeline: Timeline
    whole: bool
    """Read from the beginning, and nothing was lost: then nothing may be missing."""
    after: str = "-"
    epoch: int = 0
    aired: set[str] = field(default_factory=set[str])
    dropped: set[str] = field(default_factory=set[str])
    cleared: int = 0
    turn: str = ""
    last_no: int = 0
    index: int = 0
    position: int = 0
    attempt: int = 0
    captioned: bool = False
    closed: dict[str, int] = field(default_factory=dict[str, int])
    """Turns heard to their end, and the number of their sentences."""
    over: dict[tuple[str, int], tuple[int, str]] = field(default_factory=dict[tuple[str, int], tuple[int, str]])
    sound: list[Sound] = field(default_factory=list[Sound])

    def feed(self, message: Message, blob: bytes) -> None:
        """One entry of the session, in its order."""
        match message:
            case Interrupted(epoch=epoch):
                self.epoch = max(self.epoch, epoch)
            case TurnDropped(turn=turn):
                self.dropped.add(turn)
            case TurnRequested() | SentenceReady() | SpeechStarted() | TurnAired():
                self.epoch = max(self.epoch, message.epoch)
            case _:
                pass
        if isinstance(message, TurnAired):
            self.aired.add(message.turn)
            self.cleared = max(self.cleared, message.no if message.clear else 0)
        for out in self.timeline.feed(message, blob):
            self.hear(out)

    def hear(self, out: Out) -> None:
        """Assert that this may be heard now."""
        match out:
            case Opened(turn=turn):
                self.open(turn)
            case Cut(turn=turn):
                self.cut(turn)
            case Closed(turn=turn):
                assert (turn, self.position) == (self.turn, 0), "closed in the middle"
                self.closed[turn], self.turn = self.index, ""
            case _:
                self.sentence(out)

    def open(self, turn: str) -> None:
        no = self.plans[turn].request.no
        assert not self.turn, f"{turn} begins while {self.turn} has the floor"
        assert turn in self.aired, f"{turn} was not aired"
        assert no > self.last_no, f"{turn} comes too late"
        self.turn, self.last_no, self.index, self.position, self.attempt = turn, no, 0, 0, 0
        self.may_be_heard()

    def cut(self, turn: str) -> None:
        request = self.plans[turn].request
        assert turn == self.turn, "cut without the floor"
        assert turn in self.dropped or request.epoch < self.epoch or request.no < self.cleared, "cut for no reason"
        self.turn, self.position, self.captioned = "", 0, False

    def may_be_heard(self) -> None:
        assert self.plans[self.turn].request.epoch >= self.epoch, f"{self.turn} was interrupted"
        assert self.turn not in self.dropped, f"{self.turn} was dropped"

    def sentence(self, out: Caption | Sound | Lost | SentenceOver | Closed | Cut | Opened) -> None:
        """Sentences in order, each from its first sample to its last."""
        assert isinstance(out, Caption | Sound | Lost | SentenceOver)
        assert (out.turn, out.index) == (self.turn, self.index), "out of order"
        self.may_be_heard()
        match out:
            case Caption():
                assert not self.captioned, "two captions"
                assert not self.whole or out.text == f"{out.turn}.{out.index}"
                self.captioned = True
            case Sound():
                assert self.captioned, "sound without its caption"
                assert out.offset == self.position, "not contiguous"
                self.samples(out)
            case Lost():
                assert not self.whole, "lost, though nothing was"
                self.position += out.samples
            case SentenceOver():
                assert out.samples == self.position, "not its length"
                self.over[out.turn, out.index] = (out.samples, out.reason)
                self.index, self.position, self.attempt, self.captioned = self.index + 1, 0, 0, False

    def samples(self, out: Sound) -> None:
        """Each sample is the one that belongs there, and none is of an attempt that was taken over."""
        for value in array("h", out.pcm):
            no, index, attempt, position = value >> 12, value >> 10 & 3, value >> 7 & 7, value & 127
            assert no == self.plans[out.turn].request.no % 8
            assert (index, position) == (out.index, self.position)
            assert attempt >= self.attempt, "a sample of an attempt that was taken over"
            self.attempt, self.position = attempt, self.position + 1
        self.sound.append(out)
