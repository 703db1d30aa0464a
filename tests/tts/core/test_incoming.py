"""Sound as servers send it: raw, WAV of all kinds, and what is none."""

import struct
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.upstream.content import streamed_wav
from services.runtime.sound import BadSoundError, write_wav
from services.tts.core.incoming import HEAD_BYTES, Incoming

TONE = np.rint(np.sin(np.arange(2_400) * 0.1) * 9_000).astype("<i2").tobytes()


def fed(body: bytes, *cuts: int) -> tuple[bytes, int]:
    incoming, found, edges = Incoming(), b"", [0, *sorted(cut % (len(body) + 1) for cut in cuts), len(body)]
    for start, end in pairwise(edges):
        found += incoming.feed(body[start:end])
    return found + incoming.close(), incoming.rate


def wide(width: int, channels: int, tag: int = 1) -> bytes:
    """A WAV file of 100 frames that all hold a quarter of full scale."""
    value = {1: b"\xa0", 2: b"\0\x20", 3: b"\0\0\x20", 4: b"\0\0\0\x20"}[width]
    if tag == 3:
        value = struct.pack("<f", 0.25)
    head = struct.pack("<HHIIHH", tag, channels, 8_000, 8_000 * channels * width, channels * width, width * 8)
    data = value * channels * 100
    body = b"WAVEfmt " + struct.pack("<I", len(head)) + head + b"data" + struct.pack("<I", len(data)) + data
    return b"RIFF" + struct.pack("<I", len(body)) + body


@given(st.lists(st.integers(0, 1 << 16)))
def test_cuts_do_not_matter(cuts: list[int]) -> None:
    """Raw samples, a WAV file and one without a length give the same samples however their bytes come."""
    assert fed(TONE, *cuts) == (TONE, 24_000)
    assert fed(write_wav(TONE, 16_000), *cuts) == (TONE, 16_000)
    assert fed(streamed_wav(TONE, 22_050), *cuts) == (TONE, 22_050)


@pytest.mark.parametrize("size", [0, 0xFFFFFFFF, 0x7FFFFFFF, 0x7FFFFFFF - 36])
def test_a_length_that_is_none(size: int) -> None:
    """What streaming writers leave as the length means: to the end."""
    wav = write_wav(TONE, 24_000)
    assert fed(wav[:40] + struct.pack("<I", size) + wav[44:]) == (TONE, 24_000)


def test_what_follows_the_sound_is_no_sound() -> None:
    """A chunk after the data is left out; one before it is passed over."""
    wav = write_wav(TONE, 24_000)
    extra = b"LIST" + struct.pack("<I", 3) + b"abc\0"
    assert fed(wav + extra) == (TONE, 24_000)
    assert fed(wav[:12] + extra + wav[12:], 20, 50) == (TONE, 24_000)


@pytest.mark.parametrize(("width", "channels", "tag"), [(1, 1, 1), (2, 2, 1), (3, 1, 1), (4, 2, 1), (4, 1, 3)])
def test_widths_and_channels(width: int, channels: int, tag: int) -> None:
    """8 to 32 bits, float, stereo: all become s16le mono, also where a frame is cut."""
    pcm, rate = fed(wide(width, channels, tag), 45, 50, 53)
    values = np.frombuffer(pcm, "<i2")
    assert (len(values), rate) == (100, 8_000)
    assert np.abs(values - 8_192).max() <= 1


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b'{"error": {"message": "out of memory"}}', "it is text: .*out of memory"),
        (b"no", "it is text: no"),
        (b"ID3\x04" + bytes(40), "it is MP3"),
        (b"OggS" + bytes(40), "it is Ogg"),
        (write_wav(TONE, 24_000)[:-100], "the last 100 bytes"),
        (write_wav(TONE, 24_000)[:44], f"the last {len(TONE)} bytes"),
        (write_wav(TONE, 24_000)[:10], "no sound in it"),
        (write_wav(TONE, 24_000)[:30], "no sound in it"),
        (b"RIFF" + bytes(4) + b"WAVE" + b"junk" + struct.pack("<I", 1 << 20) + bytes(HEAD_BYTES), "within the first"),
        (b"RIFF" + bytes(4) + b"WAVEdata" + bytes(60), "no fmt chunk"),
    ],
)
def test_what_is_no_sound(body: bytes, words: str) -> None:
    """Text, compressed sound, a WAV file with a part missing: each is refused with what it is."""
    with pytest.raises(BadSoundError, match=words):
        fed(body)


def test_little_and_nothing() -> None:
    """Nothing is no sound and no error; a few raw samples pass, half of one too."""
    assert fed(b"") == (b"", 24_000)
    assert fed(b"\0\1\0\1\0") == (b"\0\1\0\1\0", 24_000)
    assert fed(write_wav(b"", 24_000)) == (b"", 24_000)


@given(st.binary(max_size=200), st.booleans())
def test_any_bytes(body: bytes, wav: bool) -> None:  # noqa: FBT001  Hypothesis gives it by place
    """Whatever comes is sound or refused."""
    whole = write_wav(TONE, 24_000)[:20] + body if wav else body
    try:
        fed(whole, 17, 33)
    except BadSoundError:
        return
