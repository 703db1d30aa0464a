"""Attending a call: frames from a microphone become what was said, and when.

What is heard depends on the sound alone, not on who listens: time is counted in samples of the call, frames of the
detector lie at its multiples of 512, and after each utterance everything begins anew. So a listener that takes a call
over where the last utterance ended finds the same utterances beginning at the same samples.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from services.asr.core.endpoint import PREROLL_MS, START_FRAMES, Endpointer
from services.asr.core.endpoint import Began as BeganFrame
from services.asr.core.gate import LINGER_FRAMES, Gate
from services.asr.core.patience import PAUSE_MS, PAUSES, RESUMED_MS, Rule, wait_ms
from services.asr.core.pcm import FRAME_BYTES, FRAME_MS, FRAME_SAMPLES, HEARD_RATE
from services.asr.core.ports import Detector
from services.runtime.sound import rms

LONGEST_FRAMES = 30_000 // FRAME_MS
"""An utterance that is longer is cut, unless it is silent just then and may end by itself."""
CUT_FRAMES = 10_000 // FRAME_MS
"""The cut lies at the quietest place of the last ten seconds."""
PARTIAL_FRAMES = -(-300 // FRAME_MS)
LONGEST_GAP = 2 * HEARD_RATE
"""A gap is heard as silence for so many samples, more than ends any utterance; the rest of it is passed over."""
HUSH_FRAMES = -(-250 // FRAME_MS)
"""A silence that is so long is more likely the end than not; a shorter one is as often within a sentence, and ends none."""
STALL_MS = 250
"""What is later than this has stopped coming; clients send each 100 ms or more often, and networks are not even."""
LEAP = 10 * HEARD_RATE
"""Sound that is so far before what came last was counted anew: nobody repeats that much."""
_PREROLL_FRAMES = -(-PREROLL_MS // FRAME_MS) + START_FRAMES


@dataclass(frozen=True)
class Began:
    """Somebody began to speak."""

    start_sample: int
    """Where the utterance begins: its name."""
    at_sample: int
    """Where the voice begins."""


@dataclass(frozen=True)
class Partial:
    """More of an utterance that goes on: a recogniser that tells words while they are spoken may hear it."""

    start_sample: int
    pcm: bytes
    """What came since the partial before."""


@dataclass(frozen=True)
class Hush:
    """The voice has been silent for a while, so that this may be the whole utterance."""

    start_sample: int
    pcm: bytes


@dataclass(frozen=True)
class Utterance:
    """What somebody said, to its end."""

    start_sample: int
    until_sample: int
    pcm: bytes
    ended_ms: int
    """The time of the frame from the microphone that its last voiced sample came with."""
    hushed: bool = False
    """The last `Hush` was its end: nothing but silence came after it."""


Event = Began | Partial | Hush | Utterance


class Attendance:
    """One listener to one call. Feed it what comes from the microphone, in the order in which it came."""

    def __init__(self, start_sample: int, detector: Callable[[], Detector], rule: Rule) -> None:
        """`start_sample`: what is before it was heard by others."""
        self._make = detector
        self._rule = rule
        self._pauses: deque[int] = deque(maxlen=PAUSES)
        self._last = 0
        """Where the sound that came last began."""
        self._ended: tuple[int, int] | None = None
        """Frame at which the utterance before ended, and its closing silence in frames."""
        self._words = ""
        self._go_to(start_sample)

    @property
    def position(self) -> int:
        """What is before this sample was heard."""
        return (self._base + self._heard) * FRAME_SAMPLES + len(self._rest) // 2

    @property
    def patience_ms(self) -> int | None:
        """After so long without sound `stalled` is due; None while nobody speaks."""
        return max(STALL_MS, self._wait() - self._pointer.silent * FRAME_MS) if self._pointer.speaking else None

    def words(self, start_sample: int, text: str) -> None:
        """The words so far of the utterance that begins there: how they end tells whether more is to come."""
        if self._pointer.speaking and start_sample == self._start * FRAME_SAMPLES:
            self._words = text

    def feed(self, at_sample: int, pcm: bytes, ms: int) -> list[Event]:
        """Sound of any length and its place in the call; `ms`: when it came.

        What was heard before is passed over, what is missing is silence.
        """
        events: list[Event] = []
        if at_sample < self._last - LEAP:
            events += self._close()
            self._go_to(at_sample)
        self._last = at_sample
        gap = at_sample - self.position
        if gap > 0:
            events += self._take(bytes(2 * min(gap, LONGEST_GAP)), ms)
        if gap > LONGEST_GAP:
            self._go_to(at_sample)
        return events + self._take(pcm[max(0, -gap) * 2 :], ms)

    def stalled(self, ms: int) -> list[Event]:
        """Nothing came for so long: that is silence too, though it has no samples."""
        patience = self.patience_ms
        return self._close() if patience is not None and ms >= patience else []

    def _go_to(self, sample: int) -> None:
        """All that comes begins there."""
        self._rest = bytearray(2 * (sample % FRAME_SAMPLES))
        self._begin_at(sample // FRAME_SAMPLES)

    def _begin_at(self, frame: int) -> None:
        self._base = frame
        """The first frame that the endpointer heard."""
        self._heard = 0
        self._pointer, self._gate = Endpointer(), Gate(self._make)
        self._kept: deque[tuple[bytes, int]] = deque(maxlen=_PREROLL_FRAMES)
        """The last frames and when they came, to the newest one; while somebody speaks, all since the beginning."""
        self._start = frame
        self._told = 0
        """Frames of the utterance that partials were made of."""
        self._words = ""

    def _take(self, pcm: bytes, ms: int) -> list[Event]:
        self._rest += pcm
        events: list[Event] = []
        whole = len(self._rest) // FRAME_BYTES * FRAME_BYTES
        frames, self._rest = bytes(self._rest[:whole]), self._rest[whole:]
        for at in range(0, whole, FRAME_BYTES):
            events += self._frame(frames[at : at + FRAME_BYTES], ms)
        return events

    def _frame(self, frame: bytes, ms: int) -> list[Event]:
        """The next frame."""
        pointer = self._pointer
        self._kept.append((frame, ms))
        self._heard += 1
        silent = pointer.silent
        if pointer.speaking:
            pointer.silence_ms = self._wait()
        linger = LINGER_FRAMES if not pointer.speaking else 0 if silent >= HUSH_FRAMES else None
        found = pointer.feed(self._gate.probability(frame, linger=linger))
        if isinstance(found, BeganFrame):
            return self._began(found)
        if found:
            return [self._ended_at(found.end - found.start, silent + 1)]
        if not pointer.speaking:
            return []
        if not pointer.silent and silent * FRAME_MS >= PAUSE_MS:
            self._pauses.append(silent * FRAME_MS)
        long = len(self._kept) >= LONGEST_FRAMES and not pointer.silent
        return self._cut() if long else [*self._partial(), *self._hush()]

    def _began(self, found: BeganFrame) -> list[Event]:
        self._start = self._base + found.frame
        self._kept = deque(list(self._kept)[found.frame - self._heard :])
        voiced = self._base + found.voiced
        if self._ended and (voiced - self._ended[0]) * FRAME_MS <= RESUMED_MS:
            self._pauses.append((voiced - self._ended[0] + self._ended[1]) * FRAME_MS)
        return [Began(self._start * FRAME_SAMPLES, voiced * FRAME_SAMPLES)]

    def _partial(self) -> list[Event]:
        if len(self._kept) - self._told < PARTIAL_FRAMES:
            return []
        pcm = b"".join(frame for frame, _ in list(self._kept)[self._told :])
        self._told = len(self._kept)
        return [Partial(self._start * FRAME_SAMPLES, pcm)]

    def _hush(self) -> list[Event]:
        """Once in each silence."""
        if self._pointer.silent != HUSH_FRAMES:
            return []
        return [Hush(self._start * FRAME_SAMPLES, b"".join(frame for frame, _ in self._kept))]

    def _cut(self) -> list[Event]:
        """The utterance up to the quietest place of its last seconds; the next one begins there."""
        kept = list(self._kept)
        levels = [rms(frame) for frame, _ in kept[-CUT_FRAMES:]]
        around = [sum(levels[at - 1 : at + 2]) for at in range(1, len(levels) - 1)]
        length = len(kept) - CUT_FRAMES + 1 + around.index(min(around))
        cut = self._utterance(length, 0)
        self._kept = deque(kept[length:])
        self._start += length
        self._told, self._words = 0, ""
        self._pointer.split(self._start - self._base)
        at = self._start * FRAME_SAMPLES
        return [cut, Began(at, at)]

    def _close(self) -> list[Event]:
        """Nothing more comes: the utterance that is open, if one is."""
        silent = self._pointer.silent
        segment = self._pointer.close()
        return [self._ended_at(segment.end - segment.start, silent)] if segment else []

    def _ended_at(self, length: int, silent: int) -> Utterance:
        said = self._utterance(length, silent)
        end = self._base + self._heard
        self._ended = (end, silent)
        self._begin_at(end)
        return said

    def _utterance(self, length: int, silent: int) -> Utterance:
        """The first `length` frames since the beginning, of which the last `silent` ones are silence."""
        kept = list(self._kept)[:length]
        until = (self._start + length) * FRAME_SAMPLES
        pcm = b"".join(frame for frame, _ in kept)
        return Utterance(self._start * FRAME_SAMPLES, until, pcm, kept[length - silent - 1][1], silent >= HUSH_FRAMES)

    def _wait(self) -> int:
        return wait_ms(self._rule, self._pauses, self._words, len(self._kept) * FRAME_MS)
