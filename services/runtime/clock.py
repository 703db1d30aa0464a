"""The wall clock: the only place that reads it, so that everything else takes time as an argument."""

import time


def now_ms() -> int:
    """Unix milliseconds."""
    return time.time_ns() // 1_000_000
