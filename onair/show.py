"""A show laid out on its own clock: what is heard when, from a session's entries in their order. Pure."""

import re
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from onair.latency import MEMORY, Latency, Steps, breakdown, figures
from services.contract.avatar import Posed
from services.contract.ingest import Decided, LedgerRow, LiveEvent, ShowEnded, TurnDropped, TurnRequested
from services.contract.message import Message
from services.contract.tts import AIR_RATE, SpeechChunk
from services.runtime.timeline import Caption, Closed, Cut, Floor, Lost, Opened, Out, SentenceOver, Sound, Timeline

Line = dict[str, Any]
"""A line of show.jsonl: t_ms, type, and what belongs to it."""
NAMES = {"LiveEvent": "event", "Decided": "decision", "LedgerRow": "ledger"}
_WORD = re.compile(r"(?<!^)(?=[A-Z])")


@dataclass(frozen=True)
class Put:
    """Lay these samples there; all before it that was never laid is silence."""

    at: int
    pcm: bytes


@dataclass(frozen=True)
class Trim:
    """Nothing from there on is heard."""

    at: int


@dataclass
class Spoken:
    """One sentence as it lies on the clock, in samples."""

    turn: str
    index: int
    text: str
    emotion: str
    begin: int
    end: int
    reason: str = ""
    over: bool = False
    latency: Latency | None = None


@dataclass
class Aired:
    """One turn as it lies on the clock, in samples; `begin` is its first sound."""

    turn: str
    begin: int
    end: int
    heard: bool = False
    over: bool = False
    reason: str = ""
    latency: Latency | None = None
    """Of its first sound."""
    sentences: list[Spoken] = field(default_factory=list[Spoken])


class Layout:
    """Feed it a session's entries with the broker's time of each; it says what to lay where, and what to write down.

    A sentence's and a turn's lines come when they have been heard to the end: until then an interrupt may shorten them.
    """

    def __init__(self, origin_ms: int, rate: int = AIR_RATE) -> None:
        self.origin_ms = origin_ms
        self.rate = rate
        self.lost = 0
        self.ended: ShowEnded | None = None
        self.turns: list[Aired] = []
        self.cues: list[Spoken] = []
        self.requests: dict[str, TurnRequested] = {}
        self._floor = Floor(rate, origin_ms)
        self._timeline = Timeline()
        self._open: list[Aired] = []
        self._steps = Steps()
        self.spoken: deque[Spoken] = deque(maxlen=MEMORY)

    def feed(self, ms: int, message: Message, blob: bytes = b"") -> list[Put | Trim | Line]:
        """What follows from this entry, in order."""
        now, epoch, effects = self._at(ms), self._timeline.epoch, list[Put | Trim | Line]()
        self._steps.feed(ms, message)
        outs = self._timeline.feed(message, blob)
        if line := fact(message):
            effects.append({"t_ms": max(0, ms - self.origin_ms), **line})
        if isinstance(message, TurnRequested):
            self.requests[message.turn] = message
        elif isinstance(message, ShowEnded):
            self.ended = message
        if self._timeline.epoch > epoch or (isinstance(message, TurnDropped) and self._last(message.turn)):
            effects.extend(self._cut(ms, now))
        for out in outs:
            effects.extend(self._place(ms, now, out))
        effects.extend(self._heard(now))
        return effects

    def finish(self, ms: int) -> list[Put | Trim | Line]:
        """The lines of what has not been heard to its end by then; the show lasts until all of it has been."""
        self._floor.heard_until = max(self._floor.heard_until, self._at(ms))
        for turn in self._open:
            turn.over = True
        return self._heard(self._floor.heard_until)

    @property
    def length(self) -> int:
        """Samples of the whole show so far."""
        return self._floor.heard_until

    def millis(self, at: int) -> int:
        """A position on the clock in milliseconds."""
        return at * 1_000 // self.rate

    def _at(self, ms: int) -> int:
        return max(0, (ms - self.origin_ms) * self.rate // 1_000)

    def _last(self, turn: str) -> bool:
        """Whether this turn's sound is the last that was laid."""
        return bool(self._open) and self._open[-1].turn == turn

    def _cut(self, ms: int, now: int) -> list[Put | Trim | Line]:
        """What had been laid beyond this moment is not heard."""
        if self._floor.heard_until <= now:
            return []
        self._floor.cut(ms)
        for turn in self._open:
            for part in (turn, *turn.sentences):
                if part.end > now:
                    part.begin, part.end, part.reason = min(part.begin, now), now, part.reason or "interrupted"
            turn.heard = turn.end > turn.begin
        return [Trim(now)]

    def _place(self, ms: int, now: int, out: Out) -> list[Put | Trim | Line]:
        match out:
            case Opened(turn=turn):
                begin = max(now, self._floor.heard_until)
                aired = Aired(turn, begin, begin)
                self.turns.append(aired)
                self._open.append(aired)
            case Sound(turn=turn, pcm=pcm):
                return [self._sound(self._open[-1], ms, pcm)]
            case Lost(turn=turn, index=index, samples=samples):
                self.lost += samples
                return [self._line(now, "lost", turn=turn, index=index, samples=samples)]
            case Caption(turn=turn, index=index, text=text, emotion=emotion):
                begin = max(now, self._floor.heard_until)
                self.spoken.append(Spoken(turn, index, text, emotion, begin, begin))
                self._open[-1].sentences.append(self.spoken[-1])
                return [self._line(begin, "caption", turn=turn, index=index, text=text, emotion=emotion)]
            case SentenceOver(turn=turn, index=index, reason=reason):
                self._sentence_over(self._open[-1], index, reason)
            case Closed():
                self._open[-1].over = True
            case Cut(turn=turn, reason=reason):  # pragma: no branch  there is no other kind of Out
                for aired in self._open:
                    if aired.turn == turn:
                        aired.over, aired.reason = True, reason
        return []

    def _sound(self, turn: Aired, ms: int, pcm: bytes) -> Put:
        count = len(pcm) // 2
        at = self._floor.place(count, ms)
        sentence = turn.sentences[-1]
        if sentence.begin == sentence.end:
            sentence.begin = at
            sentence.latency = self._steps.of(turn.turn, sentence.index, self.origin_ms + self.millis(at))
        if not turn.heard:
            turn.heard, turn.begin, turn.latency = True, at, sentence.latency
        sentence.end = turn.end = at + count
        return Put(at, pcm)

    @staticmethod
    def _sentence_over(turn: Aired, index: int, reason: str) -> None:
        """A sentence without any sound has no caption: it is told all the same."""
        if not turn.sentences or turn.sentences[-1].index != index:
            turn.sentences.append(Spoken(turn.turn, index, "", "", turn.end, turn.end))
        turn.sentences[-1].over, turn.sentences[-1].reason = True, reason

    def _heard(self, now: int) -> list[Put | Trim | Line]:
        """Lines of all that lies wholly before this moment."""
        lines: list[Put | Trim | Line] = []
        for turn in list(self._open):
            while turn.sentences and (turn.over or turn.sentences[0].over) and turn.sentences[0].end <= now:
                lines.append(self._sentence_line(turn.sentences.pop(0)))
            if turn.sentences or not turn.over or turn.end > now:
                break
            self._open.remove(turn)
            lines.append(self._turn_line(turn))
        return lines

    def _sentence_line(self, sentence: Spoken) -> Line:
        if sentence.end > sentence.begin:
            self.cues.append(sentence)
        return self._line(
            sentence.begin,
            "sentence",
            turn=sentence.turn,
            index=sentence.index,
            text=sentence.text,
            reason=sentence.reason,
            from_ms=self.millis(sentence.begin),
            to_ms=self.millis(sentence.end),
            latency_ms=asdict(sentence.latency) if sentence.latency else None,
        )

    def _turn_line(self, turn: Aired) -> Line:
        request = self.requests.get(turn.turn)
        return self._line(
            turn.end,
            "turn_closed",
            turn=turn.turn,
            causes=list(request.causes) if request else [],
            reason=turn.reason,
            from_ms=self.millis(turn.begin),
            to_ms=self.millis(turn.end),
            from_sample=turn.begin,
            to_sample=turn.end,
        )

    def _line(self, at: int, kind: str, **more: object) -> Line:
        return {"t_ms": self.millis(at), "type": kind, **more}

    def forget(self) -> None:
        """Let go of what has been told: for who shows a show without end and sums nothing up."""
        self.turns, self.cues = list(self._open), []
        for turn in list(self.requests)[:-MEMORY]:
            del self.requests[turn]

    def first_words(self) -> list[int]:
        """For each turn that was heard: milliseconds from the event that is answered to the first sound."""
        pairs = [(turn, self.requests[turn.turn]) for turn in self.turns if turn.heard and turn.turn in self.requests]
        return [self.origin_ms + self.millis(turn.begin) - request.requested_ms for turn, request in pairs]


def fact(message: Message) -> Line | None:
    """The line of a message; None for what would only fill the file (sound, poses)."""
    if isinstance(message, SpeechChunk | Posed):
        return None
    name = NAMES.get(message.type) or _WORD.sub("_", message.type).lower()
    fields = message.model_dump(mode="json", exclude={"raw"})
    if isinstance(message, LiveEvent):
        fields["event"] = fields.pop("id")
    elif isinstance(message, Decided | LedgerRow):
        fields["event"] = message.event.id if message.event else ""
    return {"type": name, **fields}


def srt(cues: Iterable[Spoken], rate: int = AIR_RATE) -> str:
    """SubRip: one cue for each sentence, in the order of its time."""
    times = ((clock(cue.begin * 1_000 // rate), clock(cue.end * 1_000 // rate), cue.text) for cue in cues)
    blocks = (f"{no}\n{begin} --> {end}\n{' '.join(text.split())}\n" for no, (begin, end, text) in enumerate(times, 1))
    return "\n".join(blocks)


def clock(ms: int) -> str:
    """Milliseconds as SubRip writes them: HH:MM:SS,mmm."""
    seconds, millis = divmod(ms, 1_000)
    return f"{seconds // 3_600:02}:{seconds // 60 % 60:02}:{seconds % 60:02},{millis:03}"


def paid(rows: Mapping[str, LedgerRow]) -> dict[str, int]:
    """received, spoken, withdrawn, failed."""
    states = [row.state for row in rows.values()]
    return {"received": len(states), **{state: states.count(state) for state in ("spoken", "withdrawn", "failed")}}


def kept(counts: Mapping[str, int]) -> bool:
    """Whether everything that was paid for was spoken or taken back."""
    return counts["received"] == counts["spoken"] + counts["withdrawn"]


def summary(layout: Layout, rows: Mapping[str, LedgerRow]) -> dict[str, Any]:
    """What the show was, in figures."""
    words, ended = layout.first_words(), layout.ended
    return {
        "received": ended.received if ended else 0,
        "answered": ended.answered if ended else 0,
        "dropped": dict(ended.dropped) if ended else {},
        "paid": paid(rows),
        "first_word_ms": figures(words),
        "latency_ms": breakdown(turn.latency for turn in layout.turns if turn.heard and turn.latency),
        "duration_ms": layout.millis(layout.length),
        "turns": sum(turn.heard for turn in layout.turns),
        "sentences": len(layout.cues),
        "lost_samples": layout.lost,
        "rate": layout.rate,
    }


def tame(text: str) -> str:
    """The text without anything that would steer a terminal."""
    return "".join(char if char.isprintable() else " " for char in text)
