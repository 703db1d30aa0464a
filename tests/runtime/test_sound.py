"""Sound as bytes."""

import struct
from contextlib import suppress
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.runtime import sound

PCM = st.lists(st.integers(-32_768, 32_767), max_size=2_000).map(lambda xs: np.array(xs, "<i2").tobytes())


def chunk(name: bytes, data: bytes, size: int | None = None) -> bytes:
    return name + struct.pack("<I", len(data) if size is None else size) + data + b"\0" * (len(data) % 2)


def fmt(tag: int = 1, channels: int = 1, rate: int = 24_000, bits: int = 16, extra: bytes = b"") -> bytes:
    frame = channels * bits // 8
    return chunk(b"fmt ", struct.pack("<HHIIHH", tag, channels, rate, rate * frame, frame, bits) + extra)


def riff(*chunks: bytes) -> bytes:
    return chunk(b"RIFF", b"WAVE" + b"".join(chunks))


def tone(ms: int, level: float = 0.5, rate: int = 24_000) -> bytes:
    times = np.arange(rate * ms // 1_000) / rate
    return np.rint(np.sin(2 * np.pi * 440 * times) * level * 32_767).astype("<i2").tobytes()


def quiet(ms: int, rate: int = 24_000) -> bytes:
    return bytes(rate * ms // 1_000 * 2)


@given(PCM, st.integers(1_000, 384_000), st.integers(1, 8))
def test_round_trip(pcm: bytes, rate: int, channels: int) -> None:
    """What is written as WAV is read back exactly, whole frames of it."""
    whole = pcm[: len(pcm) - len(pcm) % (2 * channels)]
    assert sound.read_wav(sound.write_wav(pcm, rate, channels)) == sound.Wav(rate, channels, whole)


def test_header_tells_true_sizes() -> None:
    """The written header has the sizes of the file and of its data."""
    body = sound.write_wav(tone(100), 24_000)
    assert struct.unpack_from("<I", body, 4)[0] == len(body) - 8
    assert struct.unpack_from("<I", body, 40)[0] == len(tone(100))


@given(st.binary(max_size=400), st.booleans(), st.integers(0, 44))
def test_total_on_arbitrary_bytes(junk: bytes, headed: bool, cut: int) -> None:  # noqa: FBT001  drawn, not passed
    """Arbitrary bytes are either read or refused with BadSoundError; nothing else is raised."""
    body = sound.write_wav(b"\1\2\3\4")[:cut] + junk if headed else junk
    wav = sound.Wav(0, 1, b"")
    with suppress(sound.BadSoundError):
        wav = sound.read_wav(body)
    assert len(wav.pcm) % (2 * wav.channels) == 0


@pytest.mark.parametrize("size", [0, 0xFFFFFFFF, 0x7FFFFFFF, 5_000])
def test_streaming_sizes(size: int) -> None:
    """A data size of 0, of all ones or beyond the end means that the data goes to the end."""
    body = riff(fmt()) + chunk(b"data", tone(50), size)
    assert sound.read_wav(body).pcm == tone(50)


def test_extra_chunks_are_passed_over() -> None:
    """Chunks before and after the data are not sound, also those of odd length."""
    body = riff(
        chunk(b"LIST", b"odd"), fmt(), chunk(b"fact", b"\0\0\0\0"), chunk(b"data", tone(20)), chunk(b"LIST", b"x")
    )
    assert sound.read_wav(body).pcm == tone(20)


def test_half_a_frame_is_dropped() -> None:
    """An incomplete last frame is left out."""
    assert sound.read_wav(riff(fmt(channels=2), chunk(b"data", b"\1\0\2\0\3\0"))).pcm == b"\1\0\2\0"


def test_extensible() -> None:
    """WAVE_FORMAT_EXTENSIBLE is read by its sub-format."""
    extra = struct.pack("<HHIH", 22, 16, 0, 1) + b"\0" * 14
    assert sound.read_wav(riff(fmt(0xFFFE, extra=extra), chunk(b"data", tone(20)))).pcm == tone(20)


@pytest.mark.parametrize(
    ("tag", "bits", "data"),
    [
        (1, 8, bytes([0, 128, 192])),
        (1, 24, b"\x00\x00\x80\x00\x00\x00\x00\x00\x40"),
        (1, 32, struct.pack("<iii", -(2**31), 0, 2**30)),
    ],
)
def test_widths(tag: int, bits: int, data: bytes) -> None:
    """PCM of 8, 24 and 32 bits becomes the same 16-bit samples."""
    body = riff(fmt(tag, bits=bits), chunk(b"data", data))
    assert sound.samples(sound.read_wav(body).pcm).tolist() == [-32_768, 0, 16_384]


@pytest.mark.parametrize(("bits", "letter"), [(32, "f"), (64, "d")])
def test_float_is_clipped(bits: int, letter: str) -> None:
    """Float samples are scaled and clipped; what is no number is silence."""
    data = struct.pack(f"<6{letter}", 0.5, 2.0, -2.0, float("nan"), float("inf"), float("-inf"))
    got = sound.samples(sound.read_wav(riff(fmt(3, bits=bits), chunk(b"data", data))).pcm).tolist()
    assert got == [16_384, 32_767, -32_767, 0, 32_767, -32_767]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "no WAV"),
        (b"ID3\x04" + b"\0" * 40, "no WAV"),
        (riff(fmt()), "no data chunk"),
        (riff(chunk(b"data", b"\1\0")), "no fmt chunk"),
        (riff(chunk(b"fmt ", b"\1\0")), "too short"),
        (riff(fmt(channels=0)), "0 channels"),
        (riff(fmt(channels=9)), "9 channels"),
        (riff(fmt(rate=0)), "rate is 0"),
        (riff(fmt(rate=400_000)), "rate is 400000"),
        (riff(fmt(tag=7, bits=8)), "encoding 7"),
        (riff(fmt(tag=0xFFFE)), "encoding 65534"),
        (riff(fmt(bits=40)), "40 bits"),
    ],
)
def test_garbage_is_refused_with_its_reason(body: bytes, words: str) -> None:
    """What cannot be read is refused with words that say why."""
    with pytest.raises(sound.BadSoundError, match=words):
        sound.read_wav(body)


def test_size_is_bounded() -> None:
    """A file beyond the limit is refused before it is looked at."""
    with pytest.raises(sound.BadSoundError, match="45 bytes; 44 are allowed"):
        sound.read_wav(b"x" * 45, limit=44)


def test_mono() -> None:
    """Channels are averaged without overflow; mono is left as it is."""
    stereo = np.array([32_767, 32_767, -32_768, 32_767, 5], "<i2").tobytes()
    assert sound.samples(sound.to_mono(stereo, 2)).tolist() == [32_767, -1]
    assert sound.to_mono(stereo, 1) == stereo


def test_levels() -> None:
    """Peak and rms of a sine are its amplitude and its amplitude by the root of two; nothing has level 0."""
    assert sound.peak(tone(100)) == pytest.approx(0.5, abs=0.001)
    assert sound.rms(tone(100)) == pytest.approx(0.5 / 2**0.5, abs=0.001)
    assert sound.peak(b"") == sound.rms(b"") == 0.0
    assert sound.peak(np.array([-32_768], "<i2").tobytes()) == 1.0


@given(PCM, st.integers(8_000, 48_000), st.integers(0, 50))
def test_envelope_covers_every_sample(pcm: bytes, rate: int, window_ms: int) -> None:
    """The envelope has one level a window, the last one included, each that window's rms."""
    window = max(1, rate * window_ms // 1_000)
    parts = [pcm[at : at + 2 * window] for at in range(0, len(pcm), 2 * window)]
    assert sound.envelope(pcm, rate, window_ms) == pytest.approx([sound.rms(part) for part in parts], abs=1e-9)


@given(PCM)
def test_helpers_are_total_on_odd_bytes(pcm: bytes) -> None:
    """Half a sample at the end changes nothing."""
    odd = pcm + b"\x7f"
    assert sound.count(odd) == sound.count(pcm) == len(pcm) // 2
    assert sound.envelope(odd) == sound.envelope(pcm)
    assert sound.fade_in(odd) == sound.fade_in(pcm)


def test_silence() -> None:
    """Zeros, a faint hiss and nothing are silent; speech levels are not."""
    hiss = np.random.default_rng(1).integers(-30, 31, 24_000).astype("<i2").tobytes()
    assert sound.is_silent(b"")
    assert sound.is_silent(quiet(1_000))
    assert sound.is_silent(hiss)
    assert not sound.is_silent(quiet(500) + tone(20, 0.05))


@pytest.mark.parametrize(("lead_ms", "trim_ms"), [(0, 0), (100, 0), (110, 10), (500, 400)])
def test_leading_silence(lead_ms: int, trim_ms: int) -> None:
    """Silence beyond 100 ms before the first sound is to be cut."""
    assert sound.leading_silence(quiet(lead_ms) + tone(100)) == trim_ms * 24


def test_leading_silence_of_silence() -> None:
    """Silence alone keeps its last 100 ms."""
    assert sound.leading_silence(quiet(300)) == 200 * 24


def test_fade_in() -> None:
    """The first 20 ms rise from nothing; everything after is unchanged, and a shorter sound ends below full level."""
    flat = np.full(1_000, 10_000, "<i2").tobytes()
    faded = sound.samples(sound.fade_in(flat)).tolist()
    assert faded[0] == 0
    assert all(a <= b for a, b in pairwise(faded))
    assert faded[480:] == [10_000] * 520
    assert max(sound.samples(sound.fade_in(flat[:200])).tolist()) < 10_000 / 4


def test_millis() -> None:
    """Length is told in milliseconds."""
    assert sound.millis(tone(250)) == 250
