"""Dead letters and the operators' own deeds, as rows."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, cast

from services.runtime.words import clip

ROUND_MS = 500
BODY = 4_000
"""Characters of a dead message that are shown."""


def letter(id_: str, at_ms: int, body: bytes, deliveries: int, said: Mapping[str, str]) -> dict[str, Any]:
    """A dead letter; bytes that are no text are shown as replacement characters."""
    text = body.decode(errors="replace")
    told = {name: clip(said.get(name, ""), BODY) for name in ("stream", "code", "reason", "message")}
    return {
        "id": id_,
        "at_ms": at_ms,
        **told,
        "deliveries": deliveries,
        "body": text[:BODY],
        "bytes": len(body),
    }


def deed(id_: str, fields: Mapping[bytes, bytes]) -> dict[str, Any]:
    """What an operator did."""
    said = {name.decode(errors="replace"): value.decode(errors="replace") for name, value in fields.items()}
    return {
        "id": id_,
        "at_ms": int(id_.partition("-")[0]),
        **{n: said.get(n, "") for n in ("who", "what", "on", "how")},
    }


def deeds(found: Sequence[tuple[bytes, Mapping[bytes, bytes]]]) -> list[dict[str, Any]]:
    """The newest first."""
    return [deed(id_.decode(), fields) for id_, fields in found]


def silence(value: bytes | None) -> dict[str, Any] | None:
    """The kill switch: None while it is off; who set it and when, as far as it says."""
    if value is None:
        return None
    try:
        said = json.loads(value)
    except ValueError:
        said = {}
    known = cast("dict[str, Any]", said) if isinstance(said, dict) else {}
    return {"by": str(known.get("by", "")), "at_ms": int(known.get("at_ms", 0))}


def event_id(body: bytes) -> str:
    """The id of an event in a lane; '' for bytes that are none."""
    try:
        return str(json.loads(body).get("id", ""))
    except (ValueError, AttributeError):
        return ""


def ahead(theirs_ms: int, ours_ms: int) -> int:
    """By how much the broker's clock goes ahead of ours, so roughly that the way of an answer does not count."""
    return round((theirs_ms - ours_ms) / ROUND_MS) * ROUND_MS
