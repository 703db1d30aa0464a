"""Brings an engine's sound to the rate on air, as a stream, by libsoxr."""

from typing import Any, cast

import numpy as np
import soxr

from services.contract.tts import AIR_RATE


class Resampler:
    """Feed it s16le mono at `rate`; it gives s16le mono at `AIR_RATE`. Half a sample waits for its other half.

    The same sound gives the same samples however it is cut: in between it is float, which libsoxr does not dither.
    """

    def __init__(self, rate: int) -> None:
        self._stream = soxr.ResampleStream(rate, AIR_RATE, 1, dtype="float32") if rate != AIR_RATE else None
        self._odd = b""

    def feed(self, pcm: bytes, *, last: bool = False) -> bytes:
        """The samples that are ready; with `last` all that are left."""
        if self._stream is None:
            return pcm
        whole = self._odd + pcm
        self._odd = whole[len(whole) - len(whole) % 2 :]
        values = np.frombuffer(whole[: len(whole) - len(self._odd)], "<i2").astype(np.float32)
        moved = cast("Any", self._stream).resample_chunk(values, last)
        return np.rint(np.clip(moved, -32_768, 32_767)).astype("<i2").tobytes()
