"""The conservation law of a ledger: what was paid for is spoken, withdrawn, failed or still waits, and nothing else."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from services.contract.ingest import LedgerRow

FINAL = ("spoken", "withdrawn", "failed")
"""States of a row after which nothing follows."""


@dataclass(frozen=True)
class Law:
    """received = spoken + withdrawn + failed + waiting."""

    received: int
    spoken: int
    withdrawn: int
    failed: int
    waiting: int

    @property
    def holds(self) -> bool:
        """Whether every event is in exactly one of the states."""
        return self.received == self.spoken + self.withdrawn + self.failed + self.waiting

    def __str__(self) -> str:
        relation = "=" if self.holds else "≠"
        parts = f"{self.spoken} spoken + {self.withdrawn} withdrawn + {self.failed} failed + {self.waiting} waiting"
        return f"{self.received} received {relation} {parts}"


def law(rows: Mapping[str, LedgerRow | None], lane: Collection[str]) -> Law:
    """Count the rows by their ids; one counts as waiting only if its event still lies in the paid lane.

    None stands for a row that cannot be read: it was received, and is in none of the states.
    """
    counts, waiting = dict.fromkeys(FINAL, 0), 0
    for id_, row in rows.items():
        if row is None:
            continue
        if row.state in counts:
            counts[row.state] += 1
        elif id_ in lane:
            waiting += 1
    return Law(len(rows.keys() | set(lane)), waiting=waiting, **counts)
