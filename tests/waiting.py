"""Waiting for what other processes do."""

import time
from collections.abc import Callable

LOOK_S = 0.05


def until(holds: Callable[[], object], patience_s: float, told: Callable[[], object] = str) -> float:
    """Look again until it holds; the seconds it took. Fails with `told()` after `patience_s`."""
    begun = time.monotonic()
    while not holds():
        assert time.monotonic() - begun < patience_s, told()
        time.sleep(LOOK_S)
    return time.monotonic() - begun
