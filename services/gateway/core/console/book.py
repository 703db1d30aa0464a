"""The ledger of a room: a row for each paid event, and the law that none is lost."""

from collections.abc import Collection, Mapping
from dataclasses import asdict
from typing import Any

from services.contract.ingest import LedgerRow
from services.contract.message import BadMessageError
from services.runtime.law import FINAL, Law, law
from services.runtime.words import clip

SHOWN = 120
"""Rows that are shown: what is not settled first, then the newest."""
TEXT = 200


class Book:
    """One room's ledger, read in parts: rows that are settled do not change any more.

    A row that is not settled counts as waiting only while its event lies in the paid lane; a row that cannot be read
    counts as received and as nothing else. Either breaks the law for everybody to see.
    """

    def __init__(self) -> None:
        self._rows: dict[str, LedgerRow | None] = {}
        self._lane: frozenset[str] = frozenset()

    @property
    def size(self) -> int:
        """Rows that are known."""
        return len(self._rows)

    def __contains__(self, id_: str) -> bool:
        return id_ in self._rows

    @property
    def open(self) -> list[str]:
        """Ids of rows that may still change."""
        return [id_ for id_, row in self._rows.items() if row is None or row.state not in FINAL]

    def whole(self, rows: Mapping[str, bytes]) -> None:
        """Replace what is known."""
        self._rows = {}
        self.merge(rows)

    def merge(self, rows: Mapping[str, bytes | None]) -> None:
        """These rows are as follows; None: there is none."""
        for id_, body in rows.items():
            if body is None:
                self._rows.pop(id_, None)
            else:
                self._rows[id_] = _row(body)

    def lie(self, lane: Collection[str]) -> None:
        """These ids lie in the paid lane."""
        self._lane = frozenset(lane)

    def law(self) -> Law:
        """Count."""
        return law(self._rows, self._lane & self._rows.keys())

    def told(self) -> dict[str, Any]:
        """The law, and the rows that are shown."""
        sums = self.law()
        rows = [_told(id_, row) for id_, row in self._rows.items()]
        rows.sort(key=lambda row: (row["state"] not in FINAL, row["at_ms"]), reverse=True)
        return {"law": {**asdict(sums), "holds": sums.holds}, "rows": rows[:SHOWN]}


def _row(body: bytes) -> LedgerRow | None:
    try:
        return LedgerRow.from_json(body)
    except BadMessageError:
        return None


def _told(id_: str, row: LedgerRow | None) -> dict[str, Any]:
    if row is None:
        return {"id": id_, "state": "unreadable", "at_ms": 0}
    return {
        "id": id_,
        "state": row.state,
        "reason": row.reason,
        "turn": row.turn,
        "at_ms": row.at_ms,
        "samples": row.samples,
        "kind": row.event.kind,
        "viewer": row.event.viewer.name,
        "text": clip(row.event.text or row.event.gift, TEXT),
        "amount_fen": row.event.amount_fen,
        "event_ms": row.event.at_ms,
    }
