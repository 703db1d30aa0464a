"""The server's own times, one JSON object a line: on the clock that all processes of this machine share, and on the wall's."""

import json
import time
from dataclasses import dataclass, field
from typing import TextIO


@dataclass
class Times:
    """One request. Times are `time.monotonic_ns()`, 0 for what has not happened."""

    kind: str
    """chat, transcription or speech."""
    number: int
    """Requests of the server so far."""
    received: int
    """The whole request was there."""
    mark: str = ""
    """The turn that its text names."""
    text: str = ""
    """What was asked, said or heard."""
    first: int = 0
    """The first byte of the answer's body was sent."""
    last: int = 0
    """The last one."""
    ended: str = "done"
    """done; gone: the client went away; else the fault that was asked for."""

    def sent(self) -> None:
        """A piece of the body has been sent."""
        self.last = time.monotonic_ns()
        self.first = self.first or self.last


@dataclass
class Journal:
    """Keeps what was told, and writes it to a file as it comes."""

    file: TextIO | None = None
    lines: list[Times] = field(default_factory=list[Times])
    begun: int = 0
    """Requests so far, those that have not ended among them."""

    def begin(self, kind: str) -> Times:
        """A request has come."""
        self.begun += 1
        return Times(kind, self.begun, time.monotonic_ns())

    def end(self, times: Times) -> None:
        """It is over."""
        self.lines.append(times)
        if self.file:
            self.file.write(line(times, _offset()) + "\n")
            self.file.flush()


def line(times: Times, offset: int) -> str:
    """The request as a line; `offset` turns its clock into Unix nanoseconds."""
    names = ("received", "first", "last")
    monotonic = {f"{name}_ns": getattr(times, name) for name in names}
    wall = {f"{name}_ms": (at + offset) // 1_000_000 if (at := getattr(times, name)) else 0 for name in names}
    told = {"kind": times.kind, "number": times.number, "mark": times.mark, "ended": times.ended, "text": times.text}
    return json.dumps({**told, **monotonic, **wall}, ensure_ascii=False)


def _offset() -> int:
    return time.time_ns() - time.monotonic_ns()
