"""Sound as complete MP3 files, by LAME."""

from typing import Any, cast

import lameenc

from services.contract.tts import AIR_RATE

KBIT = 64
"""Transparent for a voice at this rate."""
QUALITY = 5
"""LAME's scale: 0 the slowest, 9 the fastest."""


def encode(pcm: bytes) -> bytes:
    """One complete MP3 of s16le mono at `AIR_RATE`."""
    encoder = cast("Any", lameenc).Encoder()
    encoder.set_bit_rate(KBIT)
    encoder.set_in_sample_rate(AIR_RATE)
    encoder.set_channels(1)
    encoder.set_quality(QUALITY)
    encoder.silence()
    return bytes(encoder.encode(pcm)) + bytes(encoder.flush())
