"""What the tests of the command line share: plans, process ids, waiting."""

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

from onair.brokers import Urls
from onair.services import Plan

PATIENCE_S = 20.0
NOWHERE = Urls("redis://127.0.0.1:1/0", ("redis://127.0.0.1:1/0",))
CONFIG = """\
personas:
  host: {language: en, voice: plain}
  friend: {language: en, voice: plain}
voices:
  plain: {engines: [{espeak: {}}]}
"""


def plan(data: Path, mode: str = "ready", **scale: int) -> Plan:
    """A plan that starts fake services in that mode."""
    machine = {**os.environ, "FAKE": mode}
    return Plan(config=data / "none.yaml", data=data, machine=machine, scale=scale, package="tests.onair.fake")


def alive(pid: int) -> bool:
    """Whether that process runs; one that has ended and was not yet waited for does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state not in {"Z", "X"}


async def until(holds: Callable[[], bool]) -> None:
    """Wait for something that other processes do; fails after a long while."""
    async with asyncio.timeout(PATIENCE_S):
        while not holds():
            await asyncio.sleep(0.02)
