"""A recorded room: one frame per line, given again at the recording's pace.

A line is `{"t_ms": 1200, "platform": "bilibili", "frame": "<the frame's own text>"}`; the file may be gzipped.
"""

import asyncio
import gzip
import zlib
from collections.abc import Callable, Iterator
from io import BufferedIOBase
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from services.contract.failure import Code, Failure
from services.ingest.core.ports import Emit, Frame
from services.runtime import clock

LINE_MAX = 2_097_152
"""Bytes of a line."""
FRAMES_MAX = 200_000
"""Lines of a recording."""
SIZE_MAX = 134_217_728
"""Bytes of a recording, unpacked."""
DAY_MS = 86_400_000
PAUSE_S = 30.0
"""Between two laps: what was paid for in one is said before the next begins, else the queue would grow with each."""


class Line(BaseModel):
    """One line of a recording."""

    model_config = ConfigDict(frozen=True, extra="ignore", strict=True)
    t_ms: int = Field(ge=0, le=DAY_MS)
    """Milliseconds since the recording began."""
    platform: Literal["bilibili", "douyin"]
    frame: str


def _rows(file: BufferedIOBase, path: Path) -> Iterator[tuple[int, bytes]]:
    size = no = 0
    while row := file.readline(LINE_MAX + 1):
        size, no = size + len(row), no + 1
        if len(row) > LINE_MAX or size > SIZE_MAX or no > FRAMES_MAX:
            remedy = f"a recording has at most {FRAMES_MAX} lines of {LINE_MAX} bytes and {SIZE_MAX} bytes in all"
            raise Failure(Code.BAD_INPUT, f"{path}, line {no}: the recording is too large; {remedy}. Cut it shorter.")
        yield no, row


def _line(path: Path, no: int, row: bytes) -> Line:
    try:
        return Line.model_validate_json(row)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "line"
        form = '{"t_ms": 0, "platform": "bilibili", "frame": "…"}'
        sentence = f"{path}, line {no}: {where}: {first['msg']}. A line looks like {form}."
        raise Failure(Code.BAD_INPUT, sentence) from error


def load(path: Path) -> list[Line]:
    """The lines of the recording at `path`, gzipped if its name ends so.

    Raises:
        Failure: NOT_FOUND where there is no such file, BAD_INPUT where it is no recording; the sentence names the line.

    """
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            lines = [_line(path, no, row) for no, row in _rows(file, path) if row.strip()]
    except FileNotFoundError as error:
        sentence = f"There is no recording at {path}. Correct the room's `replay` in onair.yaml."
        raise Failure(Code.NOT_FOUND, sentence) from error
    except (OSError, EOFError, zlib.error) as error:
        raise Failure(Code.BAD_INPUT, f"{path} cannot be read ({error}). Record it again.") from error
    if not lines:
        raise Failure(Code.BAD_INPUT, f"{path} has no frames. Record it again.")
    return lines


class Replay:
    """Gives a recording's frames when they are due.

    `now_ms` gives Unix milliseconds and is read once per lap; `speed` 2 plays twice as fast. Each lap's frames bear its
    number, which begins at `lap`: ids of two laps differ, and so do those of two shows that begin at different laps.
    """

    def __init__(
        self,
        path: Path,
        *,
        speed: float = 1.0,
        once: bool = True,
        lap: int = 0,
        now_ms: Callable[[], int] = clock.now_ms,
    ) -> None:
        if not speed > 0:
            raise Failure(Code.BAD_CONFIG, f"The replay's speed is {speed}; it must be above 0, as 1 or 2.5.")
        self.name = "replay"
        self._path = path
        self._now_ms = now_ms
        self._speed = speed
        self._once = once
        self._lap = lap

    async def run(self, emit: Emit) -> None:
        """Emit the recording once, or lap after lap; raises `Failure` as `load` does, before the first frame."""
        lines = await asyncio.to_thread(load, self._path)
        lap = self._lap
        while True:
            await self._play(lines, lap, emit)
            if self._once:
                return
            lap += 1
            await asyncio.sleep(PAUSE_S)

    async def _play(self, lines: list[Line], lap: int, emit: Emit) -> None:
        loop = asyncio.get_running_loop()
        start, start_ms = loop.time(), self._now_ms()
        for line in lines:
            after_ms = line.t_ms / self._speed
            # Also where nothing is left to wait for: a long burst must not hold the loop.
            await asyncio.sleep(max(0.0, start + after_ms / 1_000 - loop.time()))
            at_ms = start_ms + round(after_ms)
            await emit(Frame(at_ms=at_ms, platform=line.platform, body=line.frame, lap=lap, recorded=True))
