"""The puppet's mouth as a curve."""

import pytest

from onair.puppet import curve, mouth_in, to_air
from services.contract.failure import Code, Failure
from services.runtime.sound import count, samples, write_wav


def test_the_curve_fits_its_width() -> None:
    """Each character is the widest mouth of its share; a closed mouth is a space, an open one a full block."""
    assert curve([0, 0.5, 1, 0], width=4) == " ▄█ "
    assert curve([0, 1, 0, 0, 0, 0], width=3) == "█  "
    assert len(curve([0.3] * 1_000)) <= 76
    assert curve([]) == ""


def test_the_mouth_is_read_from_the_metrics() -> None:
    """The widest mouth of all puppets counts; without a puppet it is closed."""
    text = '# HELP onair_puppet_mouth x\nonair_puppet_mouth{room="a"} 0.25\nonair_puppet_mouth{room="b"} 1e-05\n'
    assert mouth_in(text) == 0.25
    assert mouth_in("") == 0


def test_sound_is_brought_to_the_rate_of_the_air() -> None:
    """Stereo at another rate becomes mono at 24 kHz of the same length and height."""
    pcm = to_air(write_wav(b"\x10\x27" * 2 * 16_000, rate=16_000, channels=2))
    assert count(pcm) == 24_000
    assert set(samples(pcm).tolist()) == {10_000}


@pytest.mark.parametrize("body", [b"no wav", write_wav(b"")])
def test_what_is_no_sound_is_refused(body: bytes) -> None:
    """A file that is no WAV, or an empty one, is bad audio."""
    with pytest.raises(Failure) as caught:
        to_air(body)
    assert caught.value.code is Code.BAD_AUDIO
