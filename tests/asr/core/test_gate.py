"""The detector is spared silence that lasts."""

import pytest

from services.asr.core.gate import LINGER_FRAMES, WARM_FRAMES, Gate
from services.asr.core.pcm import FRAME_BYTES

QUIET = bytes(FRAME_BYTES)
LOUD = b"\0\x20\0\xe0" * (FRAME_BYTES // 4)


class Counting:
    """A detector that remembers what it was asked."""

    def __init__(self) -> None:
        self.heard: list[bytes] = []

    def probability(self, frame: bytes) -> float:
        self.heard.append(frame)
        return 0.7


def test_silence_that_lasts_is_not_looked_at() -> None:
    """After two seconds of silence the answer is no, without asking."""
    detector = Counting()
    gate = Gate(lambda: detector)
    answers = [gate.probability(QUIET, linger=LINGER_FRAMES) for _ in range(LINGER_FRAMES + 50)]
    assert answers == [0.7] * LINGER_FRAMES + [0.0] * 50
    assert len(detector.heard) == LINGER_FRAMES


@pytest.mark.parametrize("spared", [1, 3, WARM_FRAMES, 100])
def test_sound_that_comes_back_rises_from_silence(spared: int) -> None:
    """The detector hears the last of what it was spared first, then the sound; no frame twice."""
    detector = Counting()
    gate, quiet = Gate(lambda: detector), [bytes([number]) + QUIET[1:] for number in range(LINGER_FRAMES + spared)]
    for frame in quiet:
        gate.probability(frame, linger=LINGER_FRAMES)
    assert gate.probability(LOUD, linger=LINGER_FRAMES) == 0.7
    assert detector.heard[LINGER_FRAMES:] == [*quiet[-min(spared, WARM_FRAMES) :], LOUD]


def test_short_silence_changes_nothing() -> None:
    """Silence between words is looked at."""
    detector = Counting()
    gate, frames = Gate(lambda: detector), [LOUD, *[QUIET] * LINGER_FRAMES, LOUD]
    for frame in frames:
        gate.probability(frame, linger=LINGER_FRAMES)
    assert detector.heard == frames


def test_while_somebody_speaks_all_is_looked_at() -> None:
    """However quiet it is."""
    detector = Counting()
    gate = Gate(lambda: detector)
    for _ in range(100):
        gate.probability(QUIET, linger=None)
    assert len(detector.heard) == 100


def test_after_a_hush_silence_is_known_at_once() -> None:
    """The first quiet frame is silence without asking; a loud one is looked at, with what was spared before it."""
    detector = Counting()
    gate = Gate(lambda: detector)
    for frame in (LOUD, QUIET):
        gate.probability(frame, linger=None)
    assert [gate.probability(frame, linger=0) for frame in (QUIET, LOUD, QUIET, QUIET)] == [0.0, 0.7, 0.0, 0.0]
    assert detector.heard == [LOUD, QUIET, QUIET, LOUD]
    gate.probability(LOUD, linger=None)
    assert detector.heard == [LOUD, QUIET, QUIET, LOUD, QUIET, QUIET, LOUD]
