"""Spares the voice detector what is too quiet to be a voice."""

from collections import deque
from collections.abc import Callable

from services.asr.core.ports import Detector
from services.runtime.sound import SILENT_RMS, rms

LINGER_FRAMES = 8
"""So many quiet frames in a row are still looked at: the gaps between words are no reason to stop."""
WARM_FRAMES = 4
"""So many of the last frames are looked at first when sound comes back: a detector needs to know from what silence a
voice rises. Silence leaves no other trace in it, which is why it can begin anew."""


class Gate:
    """Answers as the detector would, without asking it about a silence that lasts; it remembers what it heard."""

    def __init__(self, make: Callable[[], Detector]) -> None:
        self._make = make
        self._detector = make()
        self._quiet = 0
        self._last: deque[bytes] = deque(maxlen=WARM_FRAMES)

    def probability(self, frame: bytes, *, speaking: bool) -> float:
        """How surely there is a voice in the frame; while somebody speaks the detector is always asked."""
        before, self._quiet = self._quiet, self._quiet + 1 if not speaking and rms(frame) <= SILENT_RMS else 0
        if not self._quiet and before > LINGER_FRAMES:
            self._detector = self._make()
            for last in self._last:
                self._detector.probability(last)
        self._last.append(frame)
        return 0.0 if self._quiet > LINGER_FRAMES else self._detector.probability(frame)
