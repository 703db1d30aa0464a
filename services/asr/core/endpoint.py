"""Where an utterance begins and ends, from the probability of a voice in each frame. Time is counted in frames."""

from dataclasses import dataclass

from services.asr.core.pcm import FRAME_MS

VOICED = 0.5
"""A frame at or above this has a voice; Silero's own threshold."""
UNVOICED = 0.35
"""Once somebody speaks, only a frame below this counts as silence, so that a weak syllable does not cut a word."""
START_FRAMES = 3
"""So many voiced frames in a row begin an utterance: a click or a cough has fewer."""
PREROLL_MS = 300
"""Kept before the first voiced frame: soft consonants come before the detector is sure."""
SILENCE_MS = 500
"""Silence that ends an utterance."""


@dataclass(frozen=True)
class Began:
    """Somebody speaks since this frame, pre-roll included."""

    frame: int
    voiced: int
    """The first voiced one."""


@dataclass(frozen=True)
class Segment:
    """One utterance: frames `start` to `end`, `end` not included; pre-roll and closing silence are in it."""

    start: int
    end: int


class Endpointer:
    """Feed it one probability a frame; it says when an utterance begins and when it has ended."""

    def __init__(
        self, *, start_frames: int = START_FRAMES, preroll_ms: int = PREROLL_MS, silence_ms: int = SILENCE_MS
    ) -> None:
        self._start_frames = start_frames
        self._preroll = -(-preroll_ms // FRAME_MS)
        self.silence_ms = silence_ms
        """Silence that ends an utterance; may be changed at any time."""
        self._frame = 0
        self._run = 0
        """Voiced frames in a row before an utterance, silent ones in a row within."""
        self._start: int | None = None
        self._free = 0
        """The first frame that belongs to no utterance yet."""

    @property
    def speaking(self) -> bool:
        """Whether an utterance is open."""
        return self._start is not None

    @property
    def silent(self) -> int:
        """So many frames of silence are at the end of the utterance that is open."""
        return self._run if self.speaking else 0

    def feed(self, probability: float) -> Began | Segment | None:
        """Take the next frame."""
        self._frame += 1
        counts = probability < UNVOICED if self.speaking else probability >= VOICED
        self._run = self._run + 1 if counts else 0
        if self._start is None:
            return self._begin() if self._run >= self._start_frames else None
        return self.close() if self._run >= max(1, -(-self.silence_ms // FRAME_MS)) else None

    def _begin(self) -> Began:
        voiced = self._frame - self._run
        start = max(self._free, voiced - self._preroll)
        self._start, self._run = start, 0
        return Began(start, voiced)

    def split(self, frame: int) -> None:
        """The utterance that is open begins at this frame from now on: what was before is another's."""
        self._start = self._free = frame

    def close(self) -> Segment | None:
        """The sound ends here: the utterance that is open, if one is."""
        start, self._start, self._run = self._start, None, 0
        if start is None:
            return None
        self._free = self._frame
        return Segment(start, self._frame)
