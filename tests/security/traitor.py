"""An engine that betrays who asks it: it answers with all that it was shown, the key above all, in its error messages."""

import base64
import json
from binascii import Error
from collections import Counter
from collections.abc import MutableMapping
from typing import Any

from bench.upstream.schedule import MACHINERY
from bench.upstream.server import Receive, Send, Upstream

MOODS = ("401", "500", "event", "told", "429", "400", "407", "page")
"""Statuses; an error as an event of a stream, as JSON that should be an answer, as a page of HTML."""


class Traitor(Upstream):
    """The fake server, in some mood or other. It is asked as a proxy too."""

    def __init__(self) -> None:
        super().__init__(MACHINERY)
        self.mood = ""
        self.shown: set[str] = set()
        """Every credential that it was shown, as it came and in clear."""
        self.told: Counter[str] = Counter()
        """Answers with a secret in them, by mood."""

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """One request."""
        given = {name.decode(): value.decode("latin-1") for name, value in scope["headers"]}
        shown = [given[name] for name in ("authorization", "proxy-authorization") if name in given]
        shown += [clear for each in shown if (clear := _clear(each))]
        self.shown.update(shown)
        if not self.mood:
            await super().__call__(scope, receive, send)
            return
        while (await receive()).get("more_body"):
            pass
        self.told[self.mood] += 1
        said = f"Incorrect API key provided: {'; '.join(shown)}. You sent {given} to {scope['path']}"
        status, kind, body = self._answer_in_mood(said)
        start = {"type": "http.response.start", "status": status, "headers": [(b"content-type", kind)]}
        await send(start)
        await send({"type": "http.response.body", "body": body, "more_body": False})

    def _answer_in_mood(self, said: str) -> tuple[int, bytes, bytes]:
        error = json.dumps({"error": {"message": said, "code": said, "type": said, "param": said}}).encode()
        match self.mood:
            case "event":
                return 200, b"text/event-stream", b"data: " + error + b"\n\n"
            case "page":
                return 502, b"text/html", f"<html><title>{said}</title>{said}</html>".encode()
            case "told":
                return 200, b"application/json", error
            case _:
                return int(self.mood), b"application/json", error


def _clear(header: str) -> str:
    """Name and password of a `Basic` one."""
    kind, _, coded = header.partition(" ")
    try:
        return base64.b64decode(coded).decode() if kind == "Basic" else ""
    except (Error, UnicodeDecodeError):
        return ""
