"""The voice-chat stream as a client reads it: bytes in, sentences out. Pure."""

import json
from base64 import urlsafe_b64decode
from dataclasses import dataclass
from typing import Any, cast

from services.contract.failure import Code, Failure

LINE_LIMIT = 64 << 20
"""Bytes of one line: more than ten minutes of speech."""


@dataclass(frozen=True)
class Piece:
    """A spoken sentence; `wav` is a complete file, empty if it has no sound."""

    text: str
    wav: bytes


@dataclass(frozen=True)
class Done:
    """The end: the whole raw answer, which belongs into the history."""

    text: str


class Stream:
    """Reads `data: {"file", "message", "done"}` lines, however the bytes are cut. After `Done` nothing is read."""

    def __init__(self) -> None:
        self.over = False
        self._rest = b""

    def feed(self, chunk: bytes) -> list[Piece | Done]:
        """What these bytes complete; raises Failure(ENGINE_BROKEN) for what is no such stream."""
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        if len(self._rest) > LINE_LIMIT:
            raise _broken("a line without an end")
        found: list[Piece | Done] = []
        for line in lines:
            if not self.over and (event := _event(line.strip())):
                found.append(event)
                self.over = isinstance(event, Done)
        return found


def _event(line: bytes) -> Piece | Done | None:
    """One line; None for a blank one, a comment or another field."""
    if not line.startswith(b"data:"):
        return None
    try:
        found: object = json.loads(line[5:])
    except (ValueError, RecursionError) as error:
        raise _broken("a line that is not JSON") from error
    fields = cast("dict[str, Any]", found) if isinstance(found, dict) else {}
    message = fields.get("message")
    if not isinstance(message, str):
        raise _broken("a line without a message")
    return Done(message) if fields.get("done") is True else Piece(message, _wav(fields.get("file")))


def _wav(file: object) -> bytes:
    """The file in a line; the word "None" and null are no sound."""
    if not isinstance(file, str) or file == "None":
        return b""
    try:
        return urlsafe_b64decode(file.replace("+", "-").replace("/", "_"))
    except ValueError as error:
        raise _broken("sound that is not base64") from error


def _broken(what: str) -> Failure:
    return Failure(Code.ENGINE_BROKEN, f"the server sent {what}; is it an OnAir gateway?")
