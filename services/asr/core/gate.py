"""Spares the voice detector what is too quiet to be a voice."""

from collections import deque

from services.asr.core.ports import Detector
from services.runtime.sound import rms

QUIET_RMS = 0.001
"""-60 dBFS: a microphone in a quiet room. Noise that is louder moves the detector's answer by more than nothing."""
LINGER_FRAMES = 62
"""So many quiet frames in a row, two seconds, are still looked at: after them the detector has forgotten what was said."""
WARM_FRAMES = 12
"""So many of the last frames are looked at first when sound comes back: a voice is known by what it rises from."""


class Gate:
    """Answers as the detector would, without asking it about a silence that lasts; it remembers what it heard."""

    def __init__(self, detector: Detector) -> None:
        self._detector = detector
        self._quiet = 0
        self._last: deque[bytes] = deque(maxlen=WARM_FRAMES)

    def probability(self, frame: bytes, *, speaking: bool) -> float:
        """How surely there is a voice in the frame; while somebody speaks the detector is always asked."""
        before, self._quiet = self._quiet, self._quiet + 1 if not speaking and rms(frame) <= QUIET_RMS else 0
        if not self._quiet:
            for spared in list(self._last)[max(0, len(self._last) + LINGER_FRAMES - before) :]:
                self._detector.probability(spared)
        self._last.append(frame)
        return 0.0 if self._quiet > LINGER_FRAMES else self._detector.probability(frame)
