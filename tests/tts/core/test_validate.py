"""The judge of engines' sound."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.runtime import sound
from services.tts.core.validate import Bad, Judge, bounds_ms, letters
from tests.tts.core.test_chunks import cut

TEXT = "你好，今天过得怎么样？"


def tone(ms: int, level: float = 0.3) -> bytes:
    return np.rint(np.sin(np.arange(ms * 24) / 9) * level * 32_767).astype("<i2").tobytes()


def quiet(ms: int) -> bytes:
    return bytes(ms * 48)


def run(judge: Judge, parts: list[bytes]) -> bytes:
    return b"".join(judge.feed(part) for part in parts) + judge.close()


def test_good_sound_passes_whole() -> None:
    """Sound of a plausible length is released unchanged."""
    judge = Judge(TEXT)
    assert run(judge, [tone(2_000)]) == tone(2_000)
    assert judge.bad is None


@pytest.mark.parametrize(
    ("data", "bad"),
    [
        (b"", Bad.NO_AUDIO),
        (quiet(1_000), Bad.SILENT),
        (quiet(3_500) + tone(1_000), Bad.SILENT),
        (tone(200), Bad.TOO_SHORT),
        (tone(20_000), Bad.TOO_LONG),
        (quiet(2_000) + tone(20_000), Bad.TOO_LONG),
        (tone(1_000) + b"\1", Bad.ODD_BYTES),
    ],
)
def test_refusals(data: bytes, bad: Bad) -> None:
    """No audio, silence, too little, too much and half a sample are refused by name."""
    judge = Judge(TEXT)
    run(judge, [data])
    assert judge.bad is bad


@pytest.mark.parametrize("data", [quiet(2_900), quiet(3_500) + tone(500), tone(20_000)])
def test_nothing_of_refused_sound_is_released(data: bytes) -> None:
    """Silence, and sound that is refused when it arrives, is never released."""
    assert run(Judge(TEXT), [data]) == b""


def test_nothing_is_released_after_a_refusal() -> None:
    """Once refused, an engine is not listened to any more."""
    judge = Judge("hi")
    assert judge.feed(tone(2_900))
    assert judge.feed(tone(200)) == b""
    assert judge.feed(tone(200)) == b""
    assert judge.bad is Bad.TOO_LONG


def test_leading_silence_is_cut_to_100_ms() -> None:
    """Of the silence before the first sound 100 ms remain."""
    assert run(Judge(TEXT), [quiet(700), tone(1_000)]) == quiet(100) + tone(1_000)


def test_sound_is_released_as_soon_as_a_voice_is_in_it() -> None:
    """Silence is held back until the first voice, which is released with the bytes that brought it."""
    judge = Judge(TEXT)
    assert judge.feed(quiet(300)) == b""
    assert judge.feed(tone(20)) == quiet(100) + tone(20)
    assert judge.feed(b"\1\2") == b"\1\2"


@given(st.integers(0, 3_200), st.integers(0, 40), st.lists(st.integers(0, 9_000), max_size=12), st.booleans())
def test_release_does_not_depend_on_the_cut(lead: int, voiced: int, sizes: list[int], odd: bool) -> None:  # noqa: FBT001  drawn, not passed
    """However the bytes come, the same sound is released, and the verdict is the same."""
    data = quiet(lead) + tone(voiced, 0.01) + quiet(7) + tone(voiced) + b"\1" * odd
    whole, parts = Judge("hm"), Judge("hm")
    assert run(whole, [data]) == run(parts, cut(data, sizes))
    assert whole.bad is parts.bad


@given(st.text(max_size=60))
def test_bounds_leave_room(text: str) -> None:
    """Any text has a plausible length: the longest is beyond the shortest and at least three seconds."""
    shortest, longest = bounds_ms(text)
    assert 0 <= shortest < longest
    assert longest >= 3_000


def test_what_counts() -> None:
    """Characters and letters count, punctuation and emoji do not, and a drawn-out letter counts twice."""
    assert letters("你好, ok! 😀…") == 4
    assert letters("nooooooooooo") == 3
    assert bounds_ms("😀😀😀😀")[1] == 4_800


def test_a_second_of_silence_at_any_level_of_dither() -> None:
    """What GPT-SoVITS answers when it failed, a second of near silence, is refused."""
    hiss = np.random.default_rng(3).integers(-20, 21, 24_000).astype("<i2").tobytes()
    judge = Judge("好")
    assert run(judge, [hiss]) == b""
    assert judge.bad is Bad.SILENT
    assert sound.millis(hiss) == 1_000
