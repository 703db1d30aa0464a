"""Pure helpers for sound as bytes: s16le, WAV in and out, levels, silence, fades."""

import struct
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from services.contract.tts import AIR_RATE

SAMPLE_BYTES: Final = 2
"""Bytes of one s16le sample."""
WAV_LIMIT: Final = 32 * 1024 * 1024
"""Largest WAV that is read, in bytes: nearly six minutes of 48 kHz stereo."""
SILENT_RMS: Final = 0.003
"""-50 dBFS: below any speech that a microphone or an engine gives, above the dither of both."""
WINDOW_MS: Final = 10
"""Levels are taken over windows of this length: shorter than any phoneme."""
FADE_MS: Final = 20

_PCM, _FLOAT, _EXTENSIBLE = 1, 3, 0xFFFE
_MAX_CHANNELS = 8
_RATES = (1_000, 384_000)
_HEADER = struct.Struct("<4sI")
_FORMAT = struct.Struct("<HHIIHH")
_SUBFORMAT_AT = 24
"""Offset of the sub-format in a WAVE_FORMAT_EXTENSIBLE `fmt ` chunk; its first two bytes are a plain format tag."""

Samples = npt.NDArray[np.int16]


class BadSoundError(ValueError):
    """Bytes that are no sound we can read; the sentence says why."""


class Wav(NamedTuple):
    """Decoded sound: `pcm` is s16le with interleaved `channels`, `rate` frames a second."""

    rate: int
    channels: int
    pcm: bytes


class _Format(NamedTuple):
    tag: int
    channels: int
    rate: int
    width: int


def read_wav(body: bytes, limit: int = WAV_LIMIT) -> Wav:
    """Decode a RIFF WAVE file of 8, 16, 24 or 32-bit PCM or 32 or 64-bit float.

    A `data` size of 0, of 0xFFFFFFFF or beyond the end (what streaming writers leave) means "to the end"; an
    incomplete last frame is dropped. Raises `BadSoundError` with the reason for everything else, and beyond `limit` bytes.
    """
    if len(body) > limit:
        raise BadSoundError(f"the sound has {len(body)} bytes; {limit} are allowed")
    if body[:4] != b"RIFF" or body[8:12] != b"WAVE":
        raise BadSoundError("this is no WAV file: it does not begin with RIFF and WAVE")
    layout, at = None, 12
    while at + _HEADER.size <= len(body):
        name, size = _HEADER.unpack_from(body, at)
        at += _HEADER.size
        if name == b"data":
            return _decode(layout, body[at : at + size] if size else body[at:])
        if name == b"fmt ":
            layout = _layout(body[at : at + size])
        at += size + size % 2
    raise BadSoundError("the WAV file has no data chunk")


def _layout(chunk: bytes) -> _Format:
    """What a `fmt ` chunk says, checked."""
    if len(chunk) < _FORMAT.size:
        raise BadSoundError("the WAV file's fmt chunk is too short")
    tag, channels, rate, _, _, bits = _FORMAT.unpack_from(chunk)
    if tag == _EXTENSIBLE and len(chunk) >= _SUBFORMAT_AT + 2:
        (tag,) = struct.unpack_from("<H", chunk, _SUBFORMAT_AT)
    if not 1 <= channels <= _MAX_CHANNELS:
        raise BadSoundError(f"the WAV file has {channels} channels; 1 to {_MAX_CHANNELS} can be read")
    if not _RATES[0] <= rate <= _RATES[1]:
        raise BadSoundError(f"the WAV file's rate is {rate} Hz; {_RATES[0]} to {_RATES[1]} can be read")
    width = (bits + 7) // 8
    if (tag, width) not in {(_PCM, 1), (_PCM, 2), (_PCM, 3), (_PCM, 4), (_FLOAT, 4), (_FLOAT, 8)}:
        raise BadSoundError(f"the WAV file's encoding {tag} with {bits} bits cannot be read; send 16-bit PCM")
    return _Format(tag, channels, rate, width)


def _decode(layout: _Format | None, data: bytes) -> Wav:
    """The samples of a `data` chunk as s16le."""
    if layout is None:
        raise BadSoundError("the WAV file has no fmt chunk before its data")
    frame = layout.channels * layout.width
    whole = data[: len(data) - len(data) % frame]
    return Wav(layout.rate, layout.channels, _to_s16(layout, whole))


def _to_s16(layout: _Format, data: bytes) -> bytes:
    """PCM of any width keeps its two highest bytes; float is clipped to full scale, and what is no number is 0."""
    if layout.tag == _FLOAT:
        wide = np.nan_to_num(np.frombuffer(data, f"<f{layout.width}").astype(np.float64), posinf=1.0, neginf=-1.0)
        return np.rint(np.clip(wide, -1.0, 1.0) * 32_767).astype("<i2").tobytes()
    if layout.width == 1:
        return ((np.frombuffer(data, np.uint8).astype(np.int16) - 128) * 256).astype("<i2").tobytes()
    if layout.width == SAMPLE_BYTES:
        return data
    return np.frombuffer(data, np.uint8).reshape(-1, layout.width)[:, -SAMPLE_BYTES:].tobytes()


def write_wav(pcm: bytes, rate: int = AIR_RATE, channels: int = 1) -> bytes:
    """A complete 16-bit PCM WAV file whose header tells the true sizes."""
    frame = channels * SAMPLE_BYTES
    data = pcm[: len(pcm) - len(pcm) % frame]
    head = _FORMAT.pack(_PCM, channels, rate, rate * frame, frame, SAMPLE_BYTES * 8)
    body = b"WAVE" + _HEADER.pack(b"fmt ", len(head)) + head + _HEADER.pack(b"data", len(data)) + data
    return _HEADER.pack(b"RIFF", len(body)) + body


def samples(pcm: bytes) -> Samples:
    """The samples of s16le bytes; half a sample at the end is left out."""
    return np.frombuffer(pcm[: len(pcm) - len(pcm) % SAMPLE_BYTES], "<i2").astype(np.int16, copy=False)


def count(pcm: bytes) -> int:
    """How many whole samples `pcm` has."""
    return len(pcm) // SAMPLE_BYTES


def millis(pcm: bytes, rate: int = AIR_RATE) -> int:
    """Length of mono `pcm` in milliseconds, rounded down."""
    return count(pcm) * 1_000 // rate


def to_mono(pcm: bytes, channels: int) -> bytes:
    """The mean of interleaved channels."""
    if channels == 1:
        return pcm
    every = samples(pcm)
    frames = every[: len(every) - len(every) % channels].reshape(-1, channels).astype(np.int32)
    return (frames.sum(axis=1) // channels).astype("<i2").tobytes()


def peak(pcm: bytes) -> float:
    """The largest sample as a part of full scale: 0 to 1."""
    return float(np.abs(samples(pcm).astype(np.int32)).max(initial=0)) / 32_768


def rms(pcm: bytes) -> float:
    """Root mean square as a part of full scale: 0 to 1."""
    return _level(samples(pcm))


def _level(values: Samples) -> float:
    return float(np.sqrt(np.mean(np.square(values, dtype=np.float64)))) / 32_768 if len(values) else 0.0


def envelope(pcm: bytes, rate: int = AIR_RATE, window_ms: int = WINDOW_MS) -> list[float]:
    """The rms of each window of mono `pcm`, 0 to 1; the last one may be shorter."""
    values = samples(pcm)
    if not len(values):
        return []
    starts = np.arange(0, len(values), _samples_in(window_ms, rate))
    sums = np.add.reduceat(np.square(values, dtype=np.float64), starts)
    sizes = np.diff(np.append(starts, len(values)))
    return [float(level) for level in np.sqrt(sums / sizes) / 32_768]


def _samples_in(ms: int, rate: int) -> int:
    return max(1, rate * ms // 1_000)


def voiced_at(pcm: bytes, rate: int = AIR_RATE) -> int | None:
    """Where the first window begins that is louder than silence, in samples; None if there is none."""
    for number, level in enumerate(envelope(pcm, rate)):
        if level > SILENT_RMS:
            return number * _samples_in(WINDOW_MS, rate)
    return None


def is_silent(pcm: bytes, rate: int = AIR_RATE) -> bool:
    """Whether no window of mono `pcm` is louder than silence; nothing at all is silent."""
    return voiced_at(pcm, rate) is None


def leading_silence(pcm: bytes, rate: int = AIR_RATE, keep_ms: int = 100) -> int:
    """How many samples to cut off at the start so that at most `keep_ms` of silence remain before the first sound."""
    voiced = voiced_at(pcm, rate)
    return max(0, (count(pcm) if voiced is None else voiced) - _samples_in(keep_ms, rate))


def fade_in(pcm: bytes, rate: int = AIR_RATE, ms: int = FADE_MS) -> bytes:
    """The same mono sound rising from nothing over its first `ms`, so that a join does not click."""
    values = samples(pcm).astype(np.float64)
    length = min(_samples_in(ms, rate), len(values))
    values[:length] *= np.arange(length) / _samples_in(ms, rate)
    return np.rint(values).astype("<i2").tobytes()
