"""How far the mouth is open: from the loudness of the sound, frame by frame, never open without sound."""

import math
from typing import Final

from services.contract.tts import AIR_RATE
from services.runtime.sound import envelope

FRAME_MS: Final = 40
"""25 frames a second: a phoneme lasts 50 ms or more, and no puppet shows more."""
FRAME_SAMPLES: Final = AIR_RATE * FRAME_MS // 1_000
CLOSED_DB: Final = -45.0
"""Below this the mouth is closed: breath and the noise of an engine."""
OPEN_DB: Final = -15.0
"""At this it is wide open: the loud vowels of speech that is levelled to about -20 dBFS."""
ATTACK: Final = 0.5
"""A mouth opens at most so far in a frame."""
RELEASE: Final = 0.25
"""It closes at most so far in a frame: from wide open in four."""
STILL: Final = 0.02
"""Less is closed."""


def targets(pcm: bytes) -> list[float]:
    """How far the mouth should be open in each frame of s16le mono at `AIR_RATE`: 0 to 1, the last frame may be short."""
    return [target(level) for level in envelope(pcm, AIR_RATE, FRAME_MS)]


def target(level: float) -> float:
    """The opening for an rms of 0 to 1: linear in decibels between closed and wide open."""
    if level <= 0:
        return 0.0
    return min(1.0, max(0.0, (20 * math.log10(level) - CLOSED_DB) / (OPEN_DB - CLOSED_DB)))


def step(mouth: float, wanted: float) -> float:
    """The opening one frame later. With nothing wanted it is closed after at most four frames."""
    moved = min(wanted, mouth + ATTACK) if wanted > mouth else max(wanted, mouth - RELEASE)
    return moved if moved >= STILL else 0.0
