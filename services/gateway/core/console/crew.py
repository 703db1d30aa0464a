"""Who works: processes, what each of them holds now, and the pools that they serve."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from services.contract import streams
from services.runtime.words import clip

TEXT = 160
"""Characters of what is worked on that are shown."""


@dataclass(frozen=True)
class Held:
    """An entry of a work stream that was delivered and is not finished."""

    stream: str
    group: str
    id: str
    consumer: str
    deliveries: int
    body: bytes = b""
    """Its message; empty where the entry is gone."""


class Watch:
    """Remembers since when each entry is in the same hands."""

    def __init__(self) -> None:
        self._since: dict[tuple[str, str, str], tuple[int, bool]] = {}
        self._began = False

    def feed(self, held: Iterable[Held], now_ms: int) -> list[dict[str, Any]]:
        """A row for each; `exact` is false for what was in those hands before anybody looked."""
        kept: dict[tuple[str, str, str], tuple[int, bool]] = {}
        rows: list[dict[str, Any]] = []
        for one in held:
            key = (one.stream, one.id, one.consumer)
            kept[key] = self._since.get(key, (now_ms, self._began))
            since, exact = kept[key]
            rows.append({**told(one), "held_since_ms": since, "exact": exact})
        self._since, self._began = kept, True
        return rows


def told(held: Held) -> dict[str, Any]:
    """What is worked on, in words."""
    message = _object(held.body)
    return {
        "stream": held.stream,
        "id": held.id,
        "consumer": held.consumer,
        "deliveries": held.deliveries,
        "published_ms": int(held.id.partition("-")[0]),
        "session": str(message.get("session", "")),
        "turn": str(message.get("turn", message.get("utterance", ""))),
        "index": message.get("index"),
        "text": clip(str(message.get("text") or message.get("ask") or message.get("say") or ""), TEXT),
    }


def workers(known: Mapping[str, tuple[int, bytes | None]], holds: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """A row for each process: `known` is `<service>:<name>` → (when it was last heard of, what it says, if it lives).

    A consumer that holds something and of whose process nothing is known has a row too: it is gone.
    """
    by: dict[str, list[Mapping[str, Any]]] = {}
    for hold in holds:
        by.setdefault(str(hold["consumer"]).rpartition("-")[0], []).append(hold)
    rows = [_worker(member, heard, body, by) for member, (heard, body) in known.items()]
    names = {row["name"] for row in rows}
    rows += [
        {"service": name.partition("-")[0], "name": name, "state": "gone", "seen_ms": 0, "holds": by[name]}
        for name in by.keys() - names
    ]
    return sorted(rows, key=lambda row: (row["service"], row["state"] == "gone", row["name"]))


def _worker(
    member: str, heard_ms: int, body: bytes | None, by: Mapping[str, list[Mapping[str, Any]]]
) -> dict[str, Any]:
    service, _, name = member.partition(":")
    row: dict[str, Any] = {"service": service, "name": name, "holds": by.get(name, [])}
    if body is None:
        return {**row, "state": "gone", "seen_ms": heard_ms}
    said = _object(body)
    problems = cast("dict[str, str]", said.get("problems", {}))
    warnings = cast("dict[str, str]", said.get("warnings", {}))
    state = "draining" if "drain" in problems else "problem" if problems else "warning" if warnings else "ready"
    return {
        **row,
        "state": state,
        "why": "; ".join([*problems.values(), *warnings.values()]),
        **{part: said.get(part) for part in ("host", "pid", "version", "since_ms", "slots")},
    }


def pools(
    names: Iterable[str],
    living: Mapping[str, str],
    crew: Sequence[Mapping[str, Any]],
    flow: Sequence[Mapping[str, Any]],
) -> list[dict[str, Any]]:
    """A row for each pool: whether a worker speaks for it (`living`: pool → who), its permits, who waits."""
    rows: list[dict[str, Any]] = []
    for pool in sorted({*names, *living}):
        keys = {streams.speak(pool, kind) for kind in ("room", "call")}
        mine = [row for row in flow if row["key"] in keys]
        permits = [_permits(worker, keys) for worker in crew if worker["state"] != "gone"]
        rows.append(
            {
                "pool": pool,
                "living": pool in living,
                "workers": sum(1 for permit in permits if permit),
                "permits": sum(permits),
                "busy": sum(row["pending"] for row in mine),
                "waiting": sum(row["length"] - row["pending"] for row in mine),
            }
        )
    return rows


def _permits(worker: Mapping[str, Any], keys: set[str]) -> int:
    """The streams of one engine share their permits."""
    slots = cast("Mapping[str, int]", worker.get("slots") or {})
    return max((slots.get(key, 0) for key in keys), default=0)


def _object(body: bytes) -> dict[str, Any]:
    """The JSON object in `body`; an empty one where it is none: what cannot be read is buried by its reader."""
    try:
        found = json.loads(body)
    except ValueError:
        return {}
    return cast("dict[str, Any]", found) if isinstance(found, dict) else {}
