"""Whatever was recorded becomes s16le mono at 16 kHz, in frames."""

from collections.abc import Callable, Iterator

from services.runtime.sound import BadSoundError, read_wav, to_mono

HEARD_RATE = 16_000
"""Samples a second of all that is listened to."""
FRAME_SAMPLES = 512
"""Silero's frame."""
FRAME_MS = FRAME_SAMPLES * 1_000 // HEARD_RATE
FRAME_BYTES = FRAME_SAMPLES * 2
LONGEST_S = 120
"""A clip is one utterance; what is longer is refused before work goes into it."""

Resample = Callable[[bytes, int, int], bytes]
"""s16le mono, its rate, the wanted rate → s16le mono at the wanted rate."""


def heard(clip: bytes, resample: Resample) -> bytes:
    """The clip, a WAV file of any rate, width and number of channels, as s16le mono at `HEARD_RATE`.

    Raises `BadSoundError` with the reason.
    """
    wav = read_wav(clip)
    mono = to_mono(wav.pcm, wav.channels)
    if len(mono) > LONGEST_S * wav.rate * 2:
        raise BadSoundError(f"the clip is longer than {LONGEST_S} seconds; send one utterance at a time")
    return mono if wav.rate == HEARD_RATE else resample(mono, wav.rate, HEARD_RATE)


def frames(pcm: bytes) -> Iterator[bytes]:
    """All of `pcm` in frames of `FRAME_BYTES`; the last one is filled up with silence."""
    for at in range(0, len(pcm), FRAME_BYTES):
        yield pcm[at : at + FRAME_BYTES].ljust(FRAME_BYTES, b"\0")
