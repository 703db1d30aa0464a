"""Spares the voice detector what is too quiet to be a voice."""

from collections import deque
from collections.abc import Callable

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

    def __init__(self, make: Callable[[], Detector]) -> None:
        self._make = make
        self._detector: Detector | None = None
        """Made when it is asked first: to load one takes longer than to ask it, and an end would wait for the next one's."""
        self._quiet = 0
        """Quiet frames in a row that the detector was asked about."""
        self._spared = 0
        """Frames since the detector was asked last."""
        self._last: deque[bytes] = deque(maxlen=WARM_FRAMES)

    def probability(self, frame: bytes, *, linger: int | None) -> float:
        """How surely there is a voice in the frame.

        The detector is asked about the first `linger` of quiet frames in a row; None: about every frame.
        """
        quiet = self._quiet + 1 if linger is not None and rms(frame) <= QUIET_RMS else 0
        self._quiet = min(quiet, linger or 0)
        if linger is not None and quiet > linger:
            self._spared += 1
            self._last.append(frame)
            return 0.0
        detector = self._detector = self._detector or self._make()
        for spared in list(self._last)[max(0, len(self._last) - self._spared) :]:
            detector.probability(spared)
        self._spared = 0
        self._last.append(frame)
        return detector.probability(frame)
