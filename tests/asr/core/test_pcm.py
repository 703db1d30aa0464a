"""Clips become sound that can be listened to."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.asr.core.pcm import FRAME_BYTES, HEARD_RATE, frames, heard
from services.runtime.sound import BadSoundError, write_wav


def halve(pcm: bytes, rate: int, wanted: int) -> bytes:
    """A resampler that can be recognised."""
    return f"{len(pcm)}:{rate}:{wanted}".encode()


def test_sixteen_kilohertz_is_left_as_it_is() -> None:
    """A clip at the right rate is not resampled."""
    assert heard(write_wav(b"\1\0\2\0", HEARD_RATE), halve) == b"\1\0\2\0"


def test_other_rates_are_resampled() -> None:
    """A stereo clip at another rate is mixed, then resampled."""
    assert heard(write_wav(bytes(400), 48_000, 2), halve) == b"200:48000:16000"


@pytest.mark.parametrize(
    ("clip", "words"), [(b"junk", "no WAV"), (write_wav(bytes(240_002), 1_000), "longer than 120")]
)
def test_refusals(clip: bytes, words: str) -> None:
    """What is no WAV, and what is too long, is refused with the reason."""
    with pytest.raises(BadSoundError, match=words):
        heard(clip, halve)


@given(st.binary(max_size=3 * FRAME_BYTES + 7))
def test_frames(pcm: bytes) -> None:
    """Frames are all of the sound, each whole, the last one filled up with silence."""
    found = list(frames(pcm))
    assert all(len(frame) == FRAME_BYTES for frame in found)
    assert b"".join(found)[: len(pcm)] == pcm
    assert not any(b"".join(found)[len(pcm) :])
    assert (len(found) - 1) * FRAME_BYTES < len(pcm) or not found
