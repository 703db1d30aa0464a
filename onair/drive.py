"""Runs a command's work to its end, to Ctrl-C or to SIGTERM, and says with which exit code."""

import asyncio
import contextlib
import signal
import sys
from collections.abc import Coroutine
from typing import Any

from services.contract.failure import Code, Failure

DONE, FAILED, USAGE, INTERRUPTED = 0, 1, 2, 130
_USAGE = {
    Code.BAD_CONFIG, Code.BAD_INPUT, Code.BAD_AUDIO, Code.NOT_FOUND, Code.TOO_LARGE, Code.ENGINE_MISSING, Code.BUSY,
}  # fmt: skip


def tell(text: str) -> None:
    """A line of progress on standard error."""
    print(text, file=sys.stderr, flush=True)


def say(text: str) -> None:
    """A line of the result on standard output, at once."""
    print(text, flush=True)


def tame(text: str) -> str:
    """The text without anything that would steer a terminal."""
    return "".join(char if char.isprintable() else " " for char in text)


def code_of(failure: Failure) -> int:
    """2 if the command was used wrongly or something is not set up, 1 if it failed while running."""
    return USAGE if failure.code in _USAGE else FAILED


def drive(work: Coroutine[Any, Any, int], on_term: int = INTERRUPTED) -> int:
    """The exit code of `work`; 130 after Ctrl-C, `on_term` after SIGTERM or SIGHUP: both cancel it once."""
    return asyncio.run(_driven(work, on_term))


async def _driven(work: Coroutine[Any, Any, int], on_term: int) -> int:
    task, loop, caught = asyncio.ensure_future(work), asyncio.get_running_loop(), list[int]()

    def stop(code: int) -> None:
        if not caught:
            caught.append(code)
            task.cancel()
            with contextlib.suppress(OSError):  # the terminal may be gone: that is what SIGHUP says
                tell("stopping")

    loop.add_signal_handler(signal.SIGINT, stop, INTERRUPTED)
    loop.add_signal_handler(signal.SIGTERM, stop, on_term)
    loop.add_signal_handler(signal.SIGHUP, stop, on_term)
    try:
        return await task
    except asyncio.CancelledError:
        if caught:
            return caught[0]
        raise
