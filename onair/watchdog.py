"""Ends what `onair` left behind, should `onair` itself be killed. Runs as a process of its own, stdlib only.

It reads `+ <pid>` and `- <pid>` lines: leaders of process groups that run, and that have ended. The pipe closes when
`onair` ends, however it ends; what is still listed then is ended, politely and after a moment not. A pipe is chosen over
PR_SET_PDEATHSIG because it works outside Linux too, needs no code between fork and exec, and reaches whole groups.
"""

import contextlib
import os
import signal
import sys
import time

GRACE_S = 3.0
POLL_S = 0.05


def main() -> None:
    """Follow the list until the pipe closes, then end what is on it."""
    running: set[int] = set()
    for line in sys.stdin:
        sign, _, pid = line.partition(" ")
        (running.add if sign == "+" else running.discard)(int(pid))
    end(running)


def end(groups: set[int]) -> None:
    """SIGTERM to each group, SIGKILL to those that are still there after `GRACE_S`."""
    left = {group for group in groups if reach(group, signal.SIGTERM)}
    until = time.monotonic() + GRACE_S
    while left and time.monotonic() < until:
        time.sleep(POLL_S)
        left = {group for group in left if reach(group, 0)}
    for group in left:
        reach(group, signal.SIGKILL)


def reach(group: int, number: int) -> bool:
    """Send the signal to the group; False if there is no such group any more."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)
        return True
    return False


if __name__ == "__main__":
    main()
