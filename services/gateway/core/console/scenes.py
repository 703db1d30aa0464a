"""Sessions as an operator sees them: the turn in progress, and what is heard this moment."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from services.contract.message import BadMessageError, decode
from services.contract.streams import SESSION_KEPT_MS
from services.gateway.core.queue import OVER
from services.gateway.core.stage import Stage
from services.runtime.words import clip

TEXT = 160
KINDS = ("call", "chat", "asr", "daily")
"""What the name of a session that is no room begins with."""
SOUND = b"\0"
"""Stands for a byte of sound: only its length is asked of the broker."""


@dataclass(frozen=True)
class Peek:
    """What is new in a session."""

    length: int
    last: str
    """Id of its newest entry; '' where the session is empty."""
    entries: Sequence[tuple[str, str, bytes, int]] = ()
    """Id, type and JSON of each message, bytes of its sound."""


@dataclass
class Scene:
    """One session, fed as it grows."""

    name: str
    after: str = "-"
    """Where the next look begins."""
    length: int = 0
    last_ms: int = 0
    _stage: Stage = field(default_factory=lambda: Stage(0))
    _fed: bool = False

    def feed(self, peek: Peek) -> None:
        """What is new; a broker that forgot everything begins the session anew."""
        if self.after != "-" and order(peek.last) < order(self.after):
            self.after, self._fed = "-", False
        self.length, self.last_ms = peek.length, order(peek.last)[0]
        for id_, kind, body, sound in peek.entries:
            self._one(id_, kind, body, sound)
            self.after = id_

    def _one(self, id_: str, kind: str, body: bytes, sound: int) -> None:
        ms = order(id_)[0]
        if not self._fed:
            self._stage, self._fed = Stage(ms - SESSION_KEPT_MS), True
        try:
            self._stage.feed(ms, decode(kind, body), SOUND * sound)
        except BadMessageError:
            return  # who reads the session for its listeners tells it

    def told(self, now_ms: int, rooms: Sequence[str]) -> dict[str, Any]:
        """Its row."""
        row: dict[str, Any] = {
            "session": self.name,
            "kind": kind_of(self.name, rooms),
            "length": self.length,
            "last_ms": self.last_ms,
        }
        if not self._fed:
            return row
        now = cast("dict[str, Any]", self._stage.present(now_ms)[0])
        turn = next((turn for turn in now["turns"] if turn["to_ms"] is None or turn["to_ms"] > now_ms), None)
        said = [c for c in now["captions"] if c["from_ms"] <= now_ms and (c["to_ms"] is None or now_ms < c["to_ms"])]
        failed = now["failed"]
        return {
            **row,
            "turn": turn and _turn(turn),
            "said": clip(said[-1]["text"], TEXT) if said else "",
            "failed": failed and {part: failed[part] for part in ("code", "sentence", "at_ms")},
            "lanes": _lanes(now["cards"]),
        }


def _turn(turn: Mapping[str, Any]) -> dict[str, Any]:
    kept = {part: turn[part] for part in ("turn", "viewer", "lane", "from_ms")}
    return {**kept, "ask": clip(turn["ask"], TEXT), "causes": len(turn["causes"])}


def _lanes(cards: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    """How many wait in each lane."""
    lanes: dict[str, int] = {}
    for card in cards:
        if card["state"] not in OVER and card["state"] != "on_air":
            lanes[card["lane"]] = lanes.get(card["lane"], 0) + 1
    return lanes


def kind_of(session: str, rooms: Sequence[str]) -> str:
    """What kind of session has this name."""
    if session in rooms:
        return "room"
    head = session.replace(":", "-").partition("-")[0]
    return head if head in KINDS else "room"


def order(id_: str) -> tuple[int, int]:
    """An entry's id as numbers that can be compared; (0, 0) for none."""
    ms, _, number = id_.partition("-")
    return int(ms or 0), int(number or 0)


def floor(notes: Mapping[str, bytes], answers: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The turns that a room's director has in flight, in their order, from its own notes of them."""
    turns = [json.loads(note) for name, note in notes.items() if name != "no"]
    rows: list[dict[str, Any]] = []
    for turn in sorted(turns, key=lambda turn: int(turn["no"])):
        first = turn["choice"]["item"]["events"][0]
        rows.append(
            {
                "turn": turn["id"],
                "no": turn["no"],
                "aired_ms": turn["aired_ms"],
                "requested_ms": turn["requested_ms"],
                "reason": turn["choice"]["reason"],
                "lane": first["lane"],
                "viewer": first["viewer"]["name"],
                "amount_fen": sum(event["amount_fen"] for event in turn["choice"]["item"]["events"]),
                "text": clip(first["text"], TEXT),
                **answers.get(turn["id"], {}),
            }
        )
    return rows
