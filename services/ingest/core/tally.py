"""What came into a room and what became of it, counted once each."""

from collections import Counter

from services.contract.ingest import Counted, Decided, Kind, Lane, LiveEvent, ShowEnded


class Tally:
    """Counts events received, answered and dropped by reason."""

    def __init__(self) -> None:
        self.received = 0
        self.answered = 0
        self.dropped: Counter[str] = Counter()
        self.told = False
        """Whether the sums were told: a show ends once."""
        self._counted = (0, 0, Counter[str]())

    def event(self, event: LiveEvent) -> None:
        """Something happened in the room that could be answered."""
        self.received += _counts(event)

    def duplicate(self) -> None:
        """Something came again that is in the ledger already."""
        self.received += 1
        self.dropped["duplicate"] += 1

    def decided(self, decided: Decided) -> None:
        """A choice about an event."""
        if decided.event is None or not _counts(decided.event):
            return
        if decided.choice == "settle":
            self.answered += 1
        elif decided.choice in {"drop", "withdraw"}:
            self.dropped[decided.reason] += 1

    def count(self, at_ms: int) -> Counted | None:
        """What came and was dropped since the last time; None where there is nothing new."""
        received, answered, dropped = self._counted
        more = {reason: count - dropped[reason] for reason, count in self.dropped.items() if count > dropped[reason]}
        if self.received == received and self.answered == answered and not more:
            return None
        self._counted = (self.received, self.answered, Counter(self.dropped))
        return Counted(at_ms=at_ms, received=self.received - received, answered=self.answered - answered, dropped=more)

    def end(self) -> ShowEnded:
        """The sums."""
        return ShowEnded(received=self.received, answered=self.answered, dropped=dict(self.dropped))


def _counts(event: LiveEvent) -> bool:
    """The room's own news, a withdrawal and an idle topic are nothing that somebody waits for."""
    return event.lane is not Lane.CONTROL and event.kind not in {Kind.WITHDRAWAL, Kind.SCHEDULE}
