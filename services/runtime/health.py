"""Health: `/healthz` (the process lives), `/readyz` (it can work) and `/metrics`, on a port of their own."""

import json
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any, cast
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import prometheus_client

from services.contract.failure import Code, Failure
from services.runtime.logs import discreet
from services.runtime.metrics import PROBLEMS

STALLED_S = 10
"""A loop that has not moved for so long is not alive."""


class Health:
    """What keeps the service from working, by part; empty sentences mean all is well."""

    def __init__(self, service: str) -> None:
        self.service = service
        self.problems: dict[str, str] = {"start": "the service is starting"}
        self.warnings: dict[str, str] = {}
        self.moved = time.monotonic()

    def report(self, problems: dict[str, str]) -> None:
        """Replace what is known; only parts with a problem count."""
        self.problems = {part: discreet(sentence) for part, sentence in problems.items() if sentence}
        self.moved = time.monotonic()
        PROBLEMS.set(len(self.problems))

    def warn(self, warnings: dict[str, str]) -> None:
        """Replace what is wrong though the service works, as a model without a key."""
        self.warnings = {part: discreet(sentence) for part, sentence in warnings.items() if sentence}

    @property
    def ready(self) -> bool:
        """Nothing is wrong."""
        return not self.problems

    @property
    def alive(self) -> bool:
        """The service's loop still moves."""
        return time.monotonic() - self.moved < STALLED_S

    def body(self) -> bytes:
        """The answer to `/readyz`."""
        told = {"ready": self.ready, "problems": self.problems, "warnings": self.warnings}
        return json.dumps({"service": self.service, **told}).encode()


class _Quiet(WSGIRequestHandler):
    """Health is asked every few seconds; no line for each."""

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the base class's name
        """Say nothing."""


def application(health: Health) -> Callable[..., Iterable[bytes]]:
    """The three pages as a WSGI application."""
    metrics = cast("Callable[..., Iterable[bytes]]", cast("Any", prometheus_client).make_wsgi_app())

    def serve(environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        path = environ.get("PATH_INFO")
        if path == "/metrics":
            return metrics(environ, start)
        known = {"/healthz": health.alive, "/readyz": health.ready and health.alive}
        good = known.get(str(path))
        status = "404 Not Found" if good is None else "200 OK" if good else "503 Service Unavailable"
        start(status, [("Content-Type", "application/json")])
        return [health.body() if good is not None else b"{}"]

    return serve


def listen(health: Health, host: str, port: int, *, tries: int = 20) -> tuple[WSGIServer, int]:
    """Serve from a thread, on `port` or the next free one; the port that was taken. 0 lets the system choose."""
    for candidate in range(port, port + tries):
        try:
            server = make_server(host, candidate, application(health), handler_class=_Quiet)
        except OSError:
            continue
        threading.Thread(target=server.serve_forever, args=(0.2,), daemon=True, name="health").start()
        return server, int(server.server_address[1])
    raise Failure(Code.BAD_CONFIG, f"no free port for health between {port} and {port + tries - 1} on {host}")
