"""A real HTTP server that answers as the test says, and keeps what it was asked."""

import json
import threading
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from onair.server import Server
from services.gateway.core import sse
from services.runtime.sound import write_wav

WAV = write_wav(b"\1\0" * 240, 24_000)


@dataclass
class Answer:
    """One response."""

    body: bytes
    status: int = 200
    headers: Sequence[tuple[str, str]] = ()
    cut: bool = False
    """Promise more than is sent."""


@dataclass
class Gateway:
    """What the server was asked, and where it is."""

    url: str = ""
    asked: list[tuple[str, dict[str, Any], str]] = field(default_factory=list[tuple[str, dict[str, Any], str]])
    """Path, body, authorization."""

    @property
    def server(self) -> Server:
        return Server(self.url)


def spoken(*sentences: str, raw: str = "") -> Answer:
    """A chat's stream."""
    pieces = b"".join(sse.piece(text, WAV) for text in sentences)
    return Answer(pieces + sse.last(raw or "".join(sentences)))


@contextmanager
def serving(*answers: Answer) -> Generator[Gateway]:
    """A server that gives these answers, one after the other."""
    gateway, left = Gateway(), list(answers)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.do_POST()

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0))) or b"{}"
            gateway.asked.append((self.path, json.loads(body), self.headers.get("Authorization", "")))
            answer = left.pop(0)
            self.send_response(answer.status)
            for name, value in answer.headers:
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(answer.body) + 10 * answer.cut))
            self.end_headers()
            self.wfile.write(answer.body)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  the base class names it so
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        gateway.url = f"http://127.0.0.1:{server.server_address[1]}"
        try:
            yield gateway
        finally:
            server.shutdown()
            thread.join()
