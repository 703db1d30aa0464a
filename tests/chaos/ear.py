"""Somebody who listens to a session from its beginning and notes what is heard, when, and in which order."""

import asyncio
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import dataclass, field
from itertools import pairwise

from services.contract.gateway import Interrupted
from services.contract.ingest import TurnAired, TurnRequested
from services.contract.message import Message
from services.contract.tts import SpeechChunk, SpeechEnded, SpeechStarted
from services.runtime.clock import now_ms
from services.runtime.sessions import Item, Sessions
from services.runtime.timeline import Caption, Closed, Cut, Lost, Out, SentenceOver, Sound, Timeline


class Hasty(Timeline):
    """A reader without the rule of order: what comes is played as it comes."""

    def feed(self, message: Message, blob: bytes = b"") -> list[Out]:
        ends: list[Out] = [out for out in super().feed(message, blob) if isinstance(out, Closed | Cut)]
        match message:
            case SpeechStarted(turn=turn, index=index, text=text, emotion=emotion):
                return [Caption(turn, index, text, emotion), *ends]
            case SpeechChunk(turn=turn, index=index, sample_offset=offset):
                return [Sound(turn, index, offset, blob), *ends]
            case _:
                return ends


class Deaf(Timeline):
    """A reader that does not hear of interrupts."""

    def _raise(self, epoch: int) -> list[Out]:
        del epoch
        return []


@dataclass
class Line:
    """One sentence as it was heard."""

    turn: str
    index: int
    text: str = ""
    pcm: bytearray = field(default_factory=bytearray)
    lost: int = 0
    reason: str | None = None
    """None: not over."""
    at_ms: int = 0
    """The broker's clock at its last sound."""

    @property
    def samples(self) -> int:
        return len(self.pcm) // 2


@dataclass
class Ear:
    """Folds a session; whoever waits for something in it asks `until`."""

    session: str
    timeline: Timeline = field(default_factory=Timeline)
    lines: list[Line] = field(default_factory=list[Line])
    """In the order in which they began to be heard."""
    requests: dict[str, TurnRequested] = field(default_factory=dict[str, TurnRequested])
    aired: dict[str, int] = field(default_factory=dict[str, int])
    """Turn → when."""
    closed: dict[str, int] = field(default_factory=dict[str, int])
    cuts: dict[str, int] = field(default_factory=dict[str, int])
    """Turn → when its reader fell silent."""
    interrupts: dict[int, int] = field(default_factory=dict[int, int])
    """Epoch → when."""
    ended: list[tuple[str, int]] = field(default_factory=list[tuple[str, int]])
    """Sentences in the order in which they were made."""
    made_ms: int = 0
    """When the last of them was."""
    sounds: dict[str, int] = field(default_factory=dict[str, int])
    """Turn → when its last sound was written, heard or not."""
    heard_ms: dict[str, int] = field(default_factory=dict[str, int])
    """Turn → our clock when its last sound was heard."""
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    async def listen(self, sessions: Sessions) -> None:
        """Until cancelled."""
        items = sessions.read(self.session, "0-0")
        async with aclosing(items):
            async for item in items:
                self.feed(item)
                self.changed.set()

    async def until(self, holds: Callable[[], bool], patience_s: float) -> bool:
        """Whether it came to hold in time."""
        try:
            async with asyncio.timeout(patience_s):
                while not holds():
                    self.changed.clear()
                    await self.changed.wait()
        except TimeoutError:
            return False
        return True

    def feed(self, item: Item) -> None:
        """One entry."""
        self.note(item.message, item.ms)
        for out in self.timeline.feed(item.message, item.blob):
            match out:
                case Caption(turn=turn, index=index, text=text):
                    self.lines.append(Line(turn, index, text, at_ms=item.ms))
                case Sound() | Lost() | SentenceOver():
                    self.hear(out, item.ms)
                case Closed(turn=turn):
                    self.closed[turn] = item.ms
                case Cut(turn=turn):
                    self.cuts[turn] = item.ms
                case _:
                    pass

    def note(self, message: Message, at_ms: int) -> None:
        match message:
            case TurnRequested():
                self.requests.setdefault(message.turn, message)
            case TurnAired(turn=turn):
                self.aired.setdefault(turn, at_ms)
            case Interrupted(epoch=epoch):
                self.interrupts.setdefault(epoch, at_ms)
            case SpeechEnded(turn=turn, index=index):
                self.ended.append((turn, index))
                self.made_ms = at_ms
            case SpeechChunk(turn=turn):
                self.sounds[turn] = at_ms
            case _:
                pass

    def hear(self, out: Sound | Lost | SentenceOver, at_ms: int) -> None:
        line = self.line(out.turn, out.index)
        match out:
            case Sound(pcm=pcm):
                line.pcm += pcm
                line.at_ms = at_ms
                self.heard_ms[out.turn] = now_ms()
            case Lost(samples=samples):
                line.lost += samples
            case SentenceOver(reason=reason):
                line.reason = reason

    def line(self, turn: str, index: int) -> Line:
        """The sentence that is heard now; one that has no sound is noted without a text."""
        if not self.lines or (self.lines[-1].turn, self.lines[-1].index) != (turn, index):
            self.lines.append(Line(turn, index))
        return self.lines[-1]

    def text(self, turn: str) -> str:
        """What was heard of a turn."""
        return "".join(line.text for line in self.lines if line.turn == turn)

    @property
    def inversions(self) -> int:
        """Sentences that were heard after one that comes behind them."""
        numbers = [(self.requests[line.turn].no, line.index) for line in self.lines if line.turn in self.requests]
        return sum(after <= before for before, after in pairwise(numbers))

    @property
    def overtaken(self) -> int:
        """Sentences that were made after one that comes behind them: what the order of hearing had to mend."""
        found, last = 0, dict[str, int]()
        for turn, index in self.ended:
            found += index < last.get(turn, -1)
            last[turn] = max(index, last.get(turn, -1))
        return found

    def answered(self, event: str) -> list[str]:
        """Turns that were heard to their end with sound, and that answered this event."""
        spoken = {line.turn for line in self.lines if line.samples}
        return [turn for turn in self.closed if turn in spoken and event in self.causes(turn)]

    def causes(self, turn: str) -> tuple[str, ...]:
        return self.requests[turn].causes if turn in self.requests else ()
