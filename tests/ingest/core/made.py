"""Events of a room, made for tests."""

from typing import Any

from services.contract.ingest import Kind, Lane, LiveEvent, Viewer

ROOM = "demo"
T0 = 1_700_000_000_000
"""Unix milliseconds at which the tests begin."""
ANN = Viewer(id="1", name="Ann")


def event(id_: str, kind: Kind, lane: Lane, **fields: Any) -> LiveEvent:
    at_ms = fields.pop("at_ms", T0)
    viewer = fields.pop("viewer", ANN)
    return LiveEvent(id=id_, room=ROOM, source="bilibili", kind=kind, lane=lane, at_ms=at_ms, viewer=viewer, **fields)


def chat(id_: str, at_ms: int = T0, **fields: Any) -> LiveEvent:
    return event(id_, Kind.DANMAKU, Lane.CHAT, at_ms=at_ms, text="hello", **fields)


def paid(id_: str, at_ms: int = T0, yuan: int = 30, **fields: Any) -> LiveEvent:
    return event(id_, Kind.SUPER_CHAT, Lane.PAID, at_ms=at_ms, amount_fen=yuan * 100, text="take this", **fields)


def gift(id_: str, at_ms: int = T0, combo: str = "c", lane: Lane = Lane.PAID, **fields: Any) -> LiveEvent:
    return event(id_, Kind.GIFT, lane, at_ms=at_ms, amount_fen=100, combo=combo, gift="rose", action="sent", **fields)


def enter(id_: str, at_ms: int = T0, **fields: Any) -> LiveEvent:
    return event(id_, Kind.ENTER, Lane.WELCOME, at_ms=at_ms, **fields)


def withdrawal(id_: str, *ids: str, at_ms: int = T0, lane: Lane = Lane.PAID) -> LiveEvent:
    return event(id_, Kind.WITHDRAWAL, lane, at_ms=at_ms, withdraws=ids, viewer=Viewer())
