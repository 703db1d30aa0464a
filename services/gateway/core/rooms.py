"""What somebody writes into a room by `POST /api/rooms/{room}/events`: the same checks and limits as for a platform."""

import re
from typing import cast

from services.contract.failure import Code, Failure
from services.contract.ingest import Kind, Lane, LiveEvent, Viewer
from services.gateway.core.bodies import table
from services.runtime.words import whole

SOURCE = "api"
TEXT, NAME, SHORT, ACTION = 2_000, 128, 64, 32
AMOUNT_FEN = COUNT = 10**9
KINDS: dict[str, Lane] = {
    Kind.DANMAKU: Lane.CHAT,
    Kind.SUPER_CHAT: Lane.PAID,
    Kind.GUARD: Lane.PAID,
    Kind.GIFT: Lane.CHAT,
    Kind.ENTER: Lane.WELCOME,
    Kind.FOLLOW: Lane.WELCOME,
    Kind.SHARE: Lane.WELCOME,
    Kind.LIKE: Lane.WELCOME,
    Kind.SAY: Lane.PAID,
}
"""A gift that costs something is paid for; an operator's line is kept as well as what was paid for."""
WRITTEN = frozenset({Kind.DANMAKU, Kind.SUPER_CHAT, Kind.SAY})
"""Kinds that say nothing without a text."""
FIELDS = ("kind", "text", "viewer", "viewer_id", "medal", "amount_fen", "gift", "count", "action", "id")
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f]")
_IDENT = re.compile(r"[A-Za-z0-9:_.-]{1,64}")


def event(body: bytes, room: str, at_ms: int, spare_id: str) -> LiveEvent:
    """The event in the body; `spare_id` names it where the sender does not.

    Texts are one clean line, clipped to the contract's limits. Raises Failure BAD_INPUT with the field that is wrong.
    """
    fields = table(body)
    if unknown := sorted(set(fields) - set(FIELDS)):
        raise Failure(Code.BAD_INPUT, f"unknown field {unknown[0][:64]!r}; known: {', '.join(FIELDS)}")
    kind = fields.get("kind")
    if not isinstance(kind, str) or kind not in KINDS:
        raise Failure(Code.BAD_INPUT, f"kind must be one of {', '.join(KINDS)}")
    amount, words = _number(fields, "amount_fen", 0, AMOUNT_FEN), _text(fields, "text", TEXT)
    lane = Lane.PAID if kind == Kind.GIFT and amount else KINDS[kind]
    if lane is Lane.PAID and not amount and kind != Kind.SAY:
        raise Failure(Code.BAD_INPUT, f"a {kind} costs something: give amount_fen, its price in 1/100 CNY")
    if kind in WRITTEN and not words:
        raise Failure(Code.BAD_INPUT, f"a {kind} says something: give text")
    return LiveEvent(
        id=f"{SOURCE}:{kind}:{_ident(fields, 'id') or spare_id}",
        room=room,
        source=SOURCE,
        kind=Kind(kind),
        lane=lane,
        viewer=_viewer(fields),
        text=words,
        amount_fen=amount,
        gift=_text(fields, "gift", SHORT),
        count=_number(fields, "count", 1, COUNT),
        action=_text(fields, "action", ACTION),
        at_ms=at_ms,
    )


def _viewer(fields: dict[str, object]) -> Viewer:
    """A name that a platform masks, or the id 0, identifies nobody."""
    name, known = _text(fields, "viewer", NAME), _ident(fields, "viewer_id")
    return Viewer(id="" if known == "0" or "***" in name else known, name=name, medal=_text(fields, "medal", SHORT))


def _text(fields: dict[str, object], name: str, limit: int) -> str:
    """The field as one clean line; null and a missing one are empty."""
    value = fields.get(name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise Failure(Code.BAD_INPUT, f"{name} must be a text")
    return _CONTROL.sub(" ", whole(value)).strip()[:limit]


def _number(fields: dict[str, object], name: str, absent: int, limit: int) -> int:
    value = fields.get(name)
    if value is None:
        return absent
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= limit:
        raise Failure(Code.BAD_INPUT, f"{name} must be a whole number from 0 to {limit}")
    return value


def _ident(fields: dict[str, object], name: str) -> str:
    """The field as an id: up to 64 letters, digits and `:_.-`, or a number of 64 bits; '' if there is none."""
    value = fields.get(name)
    if value is None:
        return ""
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**64:
        return str(value)
    if isinstance(value, str) and _IDENT.fullmatch(value):
        return value
    raise Failure(Code.BAD_INPUT, f"{name} must be up to 64 letters, digits and the signs : _ . -")


def schema() -> dict[str, object]:
    """The body for the API's description."""
    texts = {name: {"type": "string", "maxLength": limit} for name, limit in _LIMITS.items()}
    idents = {name: {"type": "string", "pattern": f"^{_IDENT.pattern}$"} for name in ("id", "viewer_id")}
    amounts = {
        "amount_fen": {"type": "integer", "minimum": 0, "maximum": AMOUNT_FEN, "description": "price in 1/100 CNY"},
        "count": {"type": "integer", "minimum": 0, "maximum": COUNT, "description": "pieces of the gift"},
    }
    properties = {"kind": {"type": "string", "enum": [*KINDS]}, **texts, **amounts, **idents}
    return cast("dict[str, object]", {"type": "object", "properties": properties, "required": ["kind"]})


_LIMITS = {"text": TEXT, "viewer": NAME, "medal": SHORT, "gift": SHORT, "action": ACTION}
