"""A gateway as a process with other limits, or with one rule broken: `python -m tests.security.gateway '{"rule": "…"}'`."""

import json
import sys
from functools import partial
from typing import Any

import structlog

from services.gateway.adapters import uvicorn_door
from services.gateway.api import guard
from services.gateway.app import build
from services.gateway.core import access, crowd, rates
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
    """Each request is written down with its address."""
    plain = guard.visit

    def told(scope: Any) -> Any:
        structlog.get_logger().info("asked", query=scope.get("query_string", b"").decode("latin-1"))
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


RULES = {rule.__name__: rule for rule in (any_origin, old_tickets, loud, no_meter, no_crowd, no_drain)}
PATIENT = {"head_ms": 10**8, "message_ms": 10**8}
"""The rule `patient`: whatever does not come is waited for."""


def main(told: dict[str, Any]) -> None:
    """Be the gateway."""
    rule = told.get("rule", "")
    if rule in RULES:
        RULES[rule]()
    limits = {**told.get("caps", {}), **(PATIENT if rule == "patient" else {})}
    run(read, partial(build, caps=Caps(**limits)))


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
