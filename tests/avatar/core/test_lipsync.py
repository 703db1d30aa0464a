"""How far the mouth is open."""

import math
from itertools import accumulate, pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from services.avatar.core.lipsync import ATTACK, FRAME_SAMPLES, RELEASE, STILL, step, target, targets

OPENING = st.floats(0, 1)
CLOSING = 4
"""Frames in which every mouth closes."""


def tone(level: float, frames: int) -> bytes:
    """A sine of that rms, 0 to 0.7, for so many frames."""
    times = np.arange(frames * FRAME_SAMPLES)
    return (np.sin(times * math.tau / 48) * level * math.sqrt(2) * 32_767).astype("<i2").tobytes()


def test_the_mouth_follows_the_loudness() -> None:
    """Silence closes it, a loud vowel opens it wide, speech between them opens it in proportion to decibels."""
    assert targets(bytes(4 * FRAME_SAMPLES)) == [0, 0]
    assert targets(tone(0.3, 2)) == [1, 1]
    assert all(abs(opening - 0.5) < 0.01 for opening in targets(tone(10 ** (-30 / 20), 3)))
    assert targets(tone(0.001, 1)) == [0]


def test_a_short_last_frame_counts_too() -> None:
    """One sample more is one frame more; nothing at all is none."""
    assert len(targets(bytes(2 * FRAME_SAMPLES + 2))) == 2
    assert targets(b"") == []


@given(st.floats(0, 1, exclude_min=True), st.floats(0, 1, exclude_min=True))
def test_louder_is_never_less_open(one: float, other: float) -> None:
    """The opening grows with the level and stays between 0 and 1."""
    quiet, loud = sorted((one, other))
    assert 0 <= target(quiet) <= target(loud) <= 1


def test_no_level_is_closed() -> None:
    """Digital silence has no decibels."""
    assert target(0) == 0


@given(st.lists(OPENING, max_size=50))
def test_the_mouth_moves_like_a_mouth(wanted: list[float]) -> None:
    """It stays between closed and wide open, opens and closes no faster than it can, and does not tremble."""
    path = list(accumulate(wanted, step, initial=0.0))
    for before, after in pairwise(path):
        assert 0 <= after <= 1
        assert -max(RELEASE, before if after == 0 and before - RELEASE < STILL else 0) <= after - before <= ATTACK
        assert after == 0 or after >= STILL


@given(st.lists(OPENING, max_size=50))
def test_the_mouth_never_freezes_open(wanted: list[float]) -> None:
    """Whatever came before, four frames without sound close it, and it stays closed."""
    path = list(accumulate([*wanted, *[0.0] * (CLOSING + 2)], step, initial=0.0))
    assert path[-3:] == [0, 0, 0]


@given(OPENING)
def test_a_steady_sound_is_reached(wanted: float) -> None:
    """A vowel that lasts opens the mouth as far as it is loud."""
    reached = list(accumulate([wanted] * 3, step, initial=0.0))[-1]
    assert reached == (wanted if wanted >= STILL else 0)
