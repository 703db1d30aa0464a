"""Records a show: reads its session from the beginning, writes show.wav, show.srt, show.jsonl and summary.json."""

import asyncio
import json
import struct
from collections.abc import Callable, Mapping
from contextlib import aclosing
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from onair.show import Layout, Line, Put, Trim, fact, srt, summary
from onair.told import told
from services.contract.failure import Code, Failure
from services.contract.ingest import LedgerRow
from services.contract.tts import AIR_RATE
from services.runtime.sessions import Item, Sessions

HEADER = struct.Struct("<4sI4s4sIHHIIHH4sI")
STALL_S = 90.0
"""A show without an entry for so long stands still: the director speaks up far more often."""
MOST = 0xFFFFFFFF
"""RIFF sizes have 32 bits; beyond, players read to the end of the file."""


class WavFile:
    """A WAV of 16-bit mono that is written while it grows; its header tells the sizes when it is closed."""

    def __init__(self, path: Path, rate: int = AIR_RATE) -> None:
        self._rate = rate
        self._file = path.open("wb")
        self._head(0)

    def _head(self, count: int) -> None:
        size = 2 * count
        riff, data = min(size + HEADER.size - 8, MOST), min(size, MOST)
        self._file.seek(0)
        self._file.write(
            HEADER.pack(b"RIFF", riff, b"WAVE", b"fmt ", 16, 1, 1, self._rate, self._rate * 2, 2, 16, b"data", data)
        )

    def put(self, at: int, pcm: bytes) -> None:
        """Lay samples at that position; what was never laid before it is silence."""
        self._file.seek(HEADER.size + 2 * at)
        self._file.write(pcm)

    def trim(self, at: int) -> None:
        """Forget everything from that position on."""
        end = HEADER.size + 2 * at
        if self._file.seek(0, 2) > end:
            self._file.truncate(end)

    def close(self, count: int) -> None:
        """Make it that many samples long, and whole."""
        self._file.truncate(HEADER.size + 2 * count)
        self._head(count)
        self._file.close()


class Recorder:
    """One show on its way to the disk. Leaving the block completes the files, whatever was recorded by then."""

    def __init__(self, out: Path, tell: Callable[[str], None]) -> None:
        self._out = out
        self._tell = tell
        self._layout: Layout | None = None
        self._last_ms = 0

    def __enter__(self) -> Self:
        """Open the files; raises Failure(BAD_INPUT) if the folder cannot be written."""
        try:
            self._out.mkdir(parents=True, exist_ok=True)
            (self._out / "summary.json").unlink(missing_ok=True)
            self._wav = WavFile(self._out / "show.wav")
            self._lines = (self._out / "show.jsonl").open("w", encoding="utf-8")
        except OSError as error:
            reason = f"cannot write to {self._out} ({error.strerror}); name another folder by --out"
            raise Failure(Code.BAD_INPUT, reason) from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the files."""
        length, cues = 0, ""
        if self._layout:
            self._apply(self._layout.finish(self._last_ms))
            length, cues = self._layout.length, srt(self._layout.cues)
        self._wav.close(length)
        self._lines.close()
        (self._out / "show.srt").write_text(cues, encoding="utf-8")

    async def follow(self, sessions: Sessions, room: str, stall_s: float = STALL_S) -> None:
        """Record until the show has ended; raises Failure(EXPIRED) if it stands still."""
        async with aclosing(sessions.read(room, "0-0")) as items:
            while not (self._layout and self._layout.ended):
                try:
                    async with asyncio.timeout(stall_s):
                        item = await anext(items)
                except TimeoutError as error:
                    what = (
                        f"the show stands still: nothing has happened for {stall_s:g} s; see the logs of the services"
                    )
                    raise Failure(Code.EXPIRED, what) from error
                self.feed(item)

    def feed(self, item: Item) -> None:
        """Take in one entry of the session; the first one is the show's beginning."""
        if self._layout is None:
            self._layout = Layout(item.ms)
        self._last_ms = item.ms
        self._apply(self._layout.feed(item.ms, item.message, item.blob))

    def _apply(self, effects: list[Put | Trim | Line]) -> None:
        for effect in effects:
            match effect:
                case Put(at=at, pcm=pcm):
                    self._wav.put(at, pcm)
                case Trim(at=at):
                    self._wav.trim(at)
                case line:
                    self._write(line)

    def _write(self, line: Line) -> None:
        self._lines.write(json.dumps(line, ensure_ascii=False, separators=(",", ":")) + "\n")
        if text := told(line, self._layout):
            self._tell(text)

    def sum_up(self, rows: Mapping[str, LedgerRow]) -> dict[str, Any]:
        """Write what became of everything paid for, and the summary; the summary. Call it inside the block."""
        layout = self._layout or Layout(0)
        self._apply(layout.finish(self._last_ms))
        for row in sorted(rows.values(), key=lambda row: row.at_ms):
            self._write({"t_ms": max(0, row.at_ms - layout.origin_ms), **(fact(row) or {})})
        found = summary(layout, rows)
        text = json.dumps(found, ensure_ascii=False, indent=2) + "\n"
        (self._out / "summary.json").write_text(text, encoding="utf-8")
        return found
