"""What an operator orders, from the body of his request."""

import json
from typing import Any, cast

from services.contract.failure import Code, Failure
from services.runtime.words import whole

SESSION = 80
"""Characters of a session's name: the contract's own limit."""
LETTER = 64


def session(body: bytes) -> str:
    """Whom to stop; raises Failure BAD_INPUT."""
    name = _object(body).get("session")
    if not isinstance(name, str) or not 0 < len(name) <= SESSION:
        raise Failure(Code.BAD_INPUT, 'name the session to stop: {"session": "main"}')
    return whole(name)


def on(body: bytes) -> bool:
    """Whether the kill switch shall be on; raises Failure BAD_INPUT."""
    wanted = _object(body).get("on")
    if not isinstance(wanted, bool):
        raise Failure(Code.BAD_INPUT, 'say whether all shall be silent: {"on": true} or {"on": false}')
    return wanted


def letter(id_: str) -> str:
    """The id of a dead letter; raises Failure BAD_INPUT."""
    ms, _, number = id_.partition("-")
    if not (ms.isascii() and ms.isdecimal() and number.isascii() and number.isdecimal() and len(id_) <= LETTER):
        raise Failure(Code.BAD_INPUT, f"{id_[:LETTER]!r} is no id of a dead letter; they look like 1700000000000-0")
    return id_


def _object(body: bytes) -> dict[str, Any]:
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        found = None
    return cast("dict[str, Any]", found) if isinstance(found, dict) else {}
