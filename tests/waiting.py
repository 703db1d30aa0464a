"""Waiting for what other processes do."""

import asyncio
import contextlib
import time
from collections.abc import Callable
from typing import Any, cast

LOOK_S = 0.05


def until(holds: Callable[[], object], patience_s: float, told: Callable[[], object] = str) -> float:
    """Look again until it holds; the seconds it took. Fails with `told()` after `patience_s`."""
    begun = time.monotonic()
    while not holds():
        assert time.monotonic() - begun < patience_s, told()
        time.sleep(LOOK_S)
    return time.monotonic() - begun


async def rest(reader: asyncio.StreamReader, patience_s: float) -> bytes:
    """All that comes until the other side closes the connection, or resets it; raises TimeoutError if it does not.

    asyncio's reader keeps back what came before a reset.
    """
    told = b""
    async with asyncio.timeout(patience_s):
        with contextlib.suppress(OSError):
            while block := await reader.read(1 << 16):
                told += block
    return told + bytes(cast("Any", reader)._buffer)
