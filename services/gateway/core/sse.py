"""The chat streams' bytes. The first kind: every line that is not blank is `data: ` and one JSON object, nothing else.

The protocol's client slices six characters off each such line and parses the rest: a comment, an event name, an id or
a line break inside the JSON would end it. Keys stand in the order file, message, done; text is raw UTF-8.
"""

import json
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from typing import Any

from services.runtime.words import whole

NO_AUDIO = "None"
"""What stands in `file` for a piece without audio: this word, never null."""
_BREAKS = {code: f"\\u{code:04x}" for code in (0x85, 0x2028, 0x2029)}
"""Line breaks to some readers of lines, though not to JSON: the only characters that are escaped besides JSON's own."""


def piece(message: str, wav: bytes) -> bytes:
    """One spoken piece; an empty `wav` is no audio."""
    return _line(urlsafe_b64encode(wav).decode() if wav else NO_AUDIO, message, done=False)


def last(message: str) -> bytes:
    """The end of the stream: the whole raw answer."""
    return _line(None, message, done=True)


BEAT = b": beat\n\n"
"""A comment, which readers of events pass over: the connection lives."""


def event(name: str, data: Mapping[str, Any], id_: str) -> bytes:
    """One event of the second kind: a name, an id to go on from, one line of JSON."""
    body = json.dumps(data, ensure_ascii=False).translate(_BREAKS)
    return f"id: {id_}\nevent: {name}\ndata: {whole(body)}\n\n".encode()


def _line(file: str | None, message: str, *, done: bool) -> bytes:
    body = json.dumps({"file": file, "message": whole(message), "done": done}, ensure_ascii=False)
    return f"data: {body.translate(_BREAKS)}\n\n".encode()
