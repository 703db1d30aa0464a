"""What came into a room and what became of it, counted once each."""

from collections import Counter

from services.contract.ingest import Decided, Kind, Lane, LiveEvent, ShowEnded


class Tally:
    """Counts events received, answered and dropped by reason."""

    def __init__(self) -> None:
        self.received = 0
        self.answered = 0
        self.dropped: Counter[str] = Counter()

    def event(self, event: LiveEvent) -> None:
        """Something happened in the room that could be answered."""
        if event.lane is not Lane.CONTROL and event.kind is not Kind.WITHDRAWAL:
            self.received += 1

    def duplicate(self) -> None:
        """Something came again that is in the ledger already."""
        self.received += 1
        self.dropped["duplicate"] += 1

    def decided(self, decided: Decided) -> None:
        """A choice about an event."""
        if decided.choice == "settle":
            self.answered += decided.reason == "spoken"
        elif decided.choice in {"drop", "withdraw"} and decided.event and decided.event.kind is not Kind.WITHDRAWAL:
            self.dropped[decided.reason] += 1

    def end(self) -> ShowEnded:
        """The sums."""
        return ShowEnded(received=self.received, answered=self.answered, dropped=dict(self.dropped))
