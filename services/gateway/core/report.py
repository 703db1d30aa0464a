"""What a report of a show says: sums, what was heard when, what became of what was paid for."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from services.contract.ingest import Counted, LedgerRow, LiveEvent, TurnSettled
from services.runtime.law import FINAL, Law, law

WAITING = "waiting"


@dataclass(frozen=True)
class Material:
    """All that is kept of a room. Times are Unix milliseconds."""

    room: str
    since_ms: int
    now_ms: int
    rows: Sequence[LedgerRow]
    lane: Sequence[LiveEvent]
    """What was paid for and is not settled."""
    records: Sequence[TurnSettled | Counted]


@dataclass(frozen=True)
class Report:
    """What the page shows."""

    room: str
    made_ms: int
    from_ms: int
    """Of the first thing that is kept; `made_ms` where there is none."""
    to_ms: int
    received: int
    answered: int
    dropped: Mapping[str, int]
    """Reason → count, the commonest first."""
    turns: Sequence[TurnSettled]
    """Those that were heard or should have been, in the order of what was heard."""
    rows: Sequence[LedgerRow]
    """The oldest first."""
    fen: Mapping[str, int]
    """State → what was paid for it, in 1/100 CNY; `received` is all of it."""
    law: Law

    @property
    def sentences(self) -> int:
        """Sentences that were heard."""
        return sum(len(turn.captions) for turn in self.turns)


def gather(told: Material) -> Report:
    """The report of what happened since then."""
    rows = sorted((row for row in told.rows if row.event.at_ms >= told.since_ms), key=lambda row: row.event.at_ms)
    lane = {event.id for event in told.lane if event.at_ms >= told.since_ms}
    counted = [record for record in told.records if isinstance(record, Counted)]
    turns = _turns(told.records)
    dropped: Counter[str] = sum((Counter(each.dropped) for each in counted), Counter[str]())
    times = [ms for turn in turns for ms in _span(turn)] + [ms for row in rows for ms in (row.event.at_ms, row.at_ms)]
    times += [each.at_ms for each in counted]
    return Report(
        room=told.room,
        made_ms=told.now_ms,
        from_ms=min(times, default=told.now_ms),
        to_ms=max(times, default=told.now_ms),
        received=sum(each.received for each in counted),
        answered=sum(each.answered for each in counted),
        dropped=dict(dropped.most_common()),
        turns=turns,
        rows=rows,
        fen=_fen(rows),
        law=law({row.event.id: row for row in rows}, lane),
    )


def _turns(records: Sequence[TurnSettled | Counted]) -> list[TurnSettled]:
    """Each turn once: of two records the one that heard more, then the later one."""
    found: dict[str, TurnSettled] = {}
    for record in records:
        if isinstance(record, TurnSettled):
            known = found.get(record.turn)
            if known is None or len(record.captions) >= len(known.captions):
                found[record.turn] = record
    return sorted(found.values(), key=lambda turn: _span(turn)[0])


def _span(turn: TurnSettled) -> tuple[int, int]:
    heard = turn.captions
    return (heard[0].from_ms, heard[-1].to_ms) if heard else (turn.at_ms, turn.at_ms)


def _fen(rows: Sequence[LedgerRow]) -> dict[str, int]:
    sums: dict[str, int] = dict.fromkeys(("received", *FINAL, WAITING), 0)
    for row in rows:
        sums["received"] += row.event.amount_fen
        sums[row.state if row.state in FINAL else WAITING] += row.event.amount_fen
    return sums
