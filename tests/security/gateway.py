"""A gateway as a process with other limits, or with one rule broken: `python -m tests.security.gateway '{"rule": "…"}'`."""

import gzip
import json
import os
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any, cast

from fastapi import APIRouter, Response

from services.gateway.adapters import disk, uvicorn_door
from services.gateway.api import guard, reports
from services.gateway.app import build
from services.gateway.core import access, bodies, crowd, frame, rates, rooms
from services.gateway.core.caps import Caps
from services.gateway.handlers.tickets import BusTickets
from services.gateway.settings import read
from services.runtime.service import run


def _yes(*_: object, **__: object) -> bool:
    return True


def _nothing(*_: object, **__: object) -> str:
    return ""


def any_origin() -> None:
    """Nobody asks where a page comes from."""
    setattr(access, "_may_ask", _yes)  # noqa: B010  it is private


def old_tickets() -> None:
    """A ticket stays good."""

    async def take(self: BusTickets, ticket: str) -> bool:  # noqa: ARG001  as the rule's
        return bool(ticket)

    BusTickets.take = take


def loud() -> None:
    """Each request is written down with its address, past the log, which would hide the token."""
    plain = guard.visit

    def told(scope: Any) -> Any:
        sys.stderr.write(f"asked {scope.get('query_string', b'').decode('latin-1')}\n")
        return plain(scope)

    guard.visit = told


def no_meter() -> None:
    """Nobody counts."""
    setattr(rates.Bucket, "take", _yes)  # noqa: B010  of another signature


def no_crowd() -> None:
    """Everybody comes in."""
    setattr(crowd.Crowd, "enter", _nothing)  # noqa: B010  as above


def no_drain() -> None:
    """Nobody looks whether a client reads."""
    setattr(uvicorn_door.Drain, "begin", _nothing)  # noqa: B010  as above


def any_report() -> None:
    """A report's id is taken for a path."""

    def read_any(self: disk.Shelf, id_: str) -> bytes | None:
        path = Path(f"{vars(self)['_folder']}/{id_}")
        return path.read_bytes() if path.is_file() else None

    setattr(disk.Shelf, "_read", read_any)  # noqa: B010  it is private
    plain = reports.router

    def careless_router(jobs: Any, shelf: disk.Shelf, *more: Any) -> APIRouter:
        routes = plain(jobs, shelf, *more)

        async def give(name: str) -> Response:
            return Response(await shelf.read(name) or b"")

        routes.add_api_route("/api/reports/{name:path}", give, methods=["GET"], response_model=None)
        return routes

    reports.router = careless_router


def careless() -> None:
    """Bodies are taken for what they should be."""

    def table(body: bytes) -> Any:
        return json.loads(body)

    bodies.table = table
    rooms.table = table


def partial_parser() -> None:
    """The parser of frames raises what it cannot read."""
    frame.parse = cast("Any", frame)._parse


def one_code() -> None:
    """Whatever is wrong with a frame, it is a protocol error."""
    for name in ("UNSUPPORTED", "BAD_DATA", "TOO_BIG"):
        setattr(frame, name, frame.PROTOCOL)


def unbounded() -> None:
    """What is compressed is inflated, then measured."""
    plain = cast("Any", frame)._inflated

    def inflated(body: bytes, limit: int) -> bytes:
        gzip.decompress(body)
        return plain(body, limit)

    setattr(frame, "_inflated", inflated)  # noqa: B010  it is private


def measured() -> None:
    """The parser of frames writes down how long it takes, by the processor's time."""
    plain = frame.parse

    def parse(data: bytes) -> Any:
        began = time.thread_time_ns()
        try:
            return plain(data)
        finally:
            sys.stderr.write(f"parsed {(time.thread_time_ns() - began) // 1_000} us\n")

    frame.parse = parse


RULES = {
    rule.__name__: rule
    for rule in (
        any_report, careless, any_origin, old_tickets, loud, no_meter, no_crowd, no_drain, partial_parser, one_code, unbounded,
    )
}  # fmt: skip
PATIENT = {"head_ms": 10**8, "message_ms": 10**8}
"""The rule `patient`: whatever does not come is waited for."""


def watch(path: str) -> None:
    """Note each file that this process opens from now on."""
    log = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def note(event: str, args: tuple[Any, ...]) -> None:
        if event == "open" and isinstance(args[0], str | bytes | os.PathLike):
            os.write(log, os.fsencode(cast("str", args[0])).replace(b"\n", b"?") + b"\n")

    sys.addaudithook(note)


def main(told: dict[str, Any]) -> None:
    """Be the gateway."""
    rule = told.get("rule", "")
    if rule in RULES:
        RULES[rule]()
    if path := told.get("watch"):
        watch(path)
    if told.get("measured"):
        measured()
    limits = {**told.get("caps", {}), **(PATIENT if rule == "patient" else {})}
    run(read, partial(build, caps=Caps(**limits)))


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
