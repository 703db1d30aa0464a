"""Changes the rate of a whole clip, by libsoxr."""

from typing import Any, cast

import numpy as np
import soxr

_soxr = cast("Any", soxr)


def resample(pcm: bytes, rate: int, wanted: int) -> bytes:
    """s16le mono at `rate` as s16le mono at `wanted`."""
    moved = _soxr.resample(np.frombuffer(pcm, "<i2").astype(np.float32), rate, wanted)
    return np.rint(np.clip(moved, -32_768, 32_767)).astype("<i2").tobytes()
