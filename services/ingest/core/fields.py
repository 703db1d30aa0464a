"""Reading untrusted fields: each helper gives a bounded value or raises `UnreadableError` with a stable reason."""

import json
import re
from dataclasses import dataclass
from hashlib import sha256
from typing import cast

from services.contract.ingest import Kind, Lane, LiveEvent, Viewer
from services.ingest.core.ports import Frame

BODY_MAX = 1_048_576
"""Characters of a frame that are looked at; a longer one is rejected whole."""
RAW_MAX = 65_536
TEXT_MAX = 2_000
NAME_MAX = 128
SHORT_MAX = 64
ACTION_MAX = 32

_SURROGATE = re.compile("[\ud800-\udfff]")
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f]")
_IDENT = re.compile(r"[A-Za-z0-9:_.-]+")

Table = dict[str, object]


class UnreadableError(ValueError):
    """A frame that gives no events; `reason` is a stable word."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def _no_constant(name: str) -> object:
    raise ValueError(name)


def decode(body: str) -> object:
    """The JSON value in `body`; NaN and Infinity, which are no JSON, and nesting beyond the interpreter's are refused."""
    if len(body) > BODY_MAX:
        raise UnreadableError("too_large")
    try:
        return json.loads(body, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        raise UnreadableError("bad_json") from None


def table(value: object) -> Table:
    """`value` as a JSON object; null and a missing one are empty."""
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise UnreadableError("bad_field")
    return cast("Table", value)


def row(value: object) -> list[object]:
    """`value` as a JSON array; null and a missing one are empty."""
    if value is None:
        return []
    if not isinstance(value, list):
        raise UnreadableError("bad_field")
    return cast("list[object]", value)


def item(values: list[object], index: int) -> object:
    """The value at `index`, or None: platforms append columns over the years."""
    return values[index] if index < len(values) else None


def text(value: object, limit: int = TEXT_MAX) -> str:
    """`value` as one clean line of at most `limit` characters; null is empty.

    Platforms cut texts inside an emoji: half of one becomes U+FFFD, a control character a space.
    """
    if value is None:
        return ""
    if not isinstance(value, str):
        raise UnreadableError("bad_field")
    return _CONTROL.sub(" ", whole(value)).strip()[:limit]


def whole(value: str) -> str:
    """`value` as text that has a form in UTF-8."""
    return _SURROGATE.sub("\ufffd", value)


def number(value: object, limit: int = 10**9) -> int:
    """A whole number from 0 to `limit`, also where it is written as a string or as 1.0."""
    if isinstance(value, str) and len(value) <= 20 and value.isascii() and value.isdigit():  # noqa: PLR2004  64 bits
        value = int(value)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= limit:
        raise UnreadableError("bad_number")
    return value


def ident(value: object, limit: int = SHORT_MAX) -> str:
    """An id: a number of 64 bits, or at most `limit` letters, digits and `:_.-`."""
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**64:
        return str(value)
    if isinstance(value, str) and len(value) <= limit and _IDENT.fullmatch(value):
        return value
    raise UnreadableError("bad_id")


def digest(*parts: str) -> str:
    """A short id of texts that have none: 96 bits in hex."""
    return sha256("\0".join(map(whole, parts)).encode()).hexdigest()[:24]


def viewer(uid: object, name: object, medal: object = None) -> Viewer:
    """Who did it; a uid of 0 or a name that the platform masks (`折***`) gives an empty id, which identifies nobody."""
    shown = text(name, NAME_MAX)
    known = "" if uid is None else ident(uid)
    if known == "0" or "***" in shown:
        known = ""
    return Viewer(id=known, name=shown, medal=text(medal, SHORT_MAX))


def who(person: Viewer) -> str:
    """The viewer as a part of an id."""
    return person.id or digest(person.name)


@dataclass(frozen=True)
class Origin:
    """Where an event comes from: what all events of one frame share."""

    frame: Frame
    room: str

    def at(self, stamp: object, unit_ms: int = 1_000) -> int:
        """Unix milliseconds of the platform's `stamp`; the arrival where there is none, it lies ahead, or is of old."""
        value = stamp * unit_ms if type(stamp) is int else 0
        return min(value, self.frame.at_ms) if value > 0 and not self.frame.recorded else self.frame.at_ms

    def mark(self, key: str) -> str:
        """`key` as this lap's id."""
        lap = f"#{self.frame.lap}" if self.frame.lap > 0 else ""
        return f"{self.frame.platform}:{key}{lap}"

    def event(
        self,
        kind: Kind,
        key: str,
        lane: Lane,
        person: Viewer,
        *,
        at_ms: int,
        words: str = "",
        amount_fen: int = 0,
        gift: str = "",
        count: int = 1,
        action: str = "",
        combo: str = "",
        withdraws: tuple[str, ...] = (),
    ) -> LiveEvent:
        """The event whose id is `<platform>:<key>`; `combo` and `withdraws` are given without the platform too."""
        raw = whole(self.frame.body)
        return LiveEvent(
            id=self.mark(key),
            room=self.room,
            source=self.frame.platform,
            kind=kind,
            lane=lane,
            viewer=person,
            text=words[:TEXT_MAX],
            amount_fen=amount_fen,
            gift=gift,
            count=count,
            action=action,
            combo=self.mark(combo) if combo else "",
            withdraws=tuple(map(self.mark, withdraws)),
            at_ms=at_ms,
            raw=raw if len(raw) <= RAW_MAX else "",
        )
