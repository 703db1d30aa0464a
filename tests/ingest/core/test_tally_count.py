"""What is put on the record of how much came and was dropped."""

from hypothesis import given
from hypothesis import strategies as st

from services.contract.ingest import Decided
from services.ingest.core.tally import Tally
from tests.ingest.core.made import T0, chat


@given(st.lists(st.sampled_from(["came", "twice", "answered", "chosen", "dropped", "count"]), max_size=30))
def test_counts_add_up(steps: list[str]) -> None:
    """All that was counted is the sum of what is on the record, whenever it is put there; nothing new is no record."""
    tally, sums = Tally(), {"received": 0, "answered": 0, "dropped": 0}
    for step in [*steps, "count"]:
        match step:
            case "came":
                tally.event(chat("a"))
            case "twice":
                tally.duplicate()
            case "answered":
                tally.decided(Decided(choice="settle", reason="", event=chat("a")))
            case "chosen":
                tally.decided(Decided(choice="answer", reason="", event=chat("a")))
            case "dropped":
                tally.decided(Decided(choice="drop", reason="stale", event=chat("a")))
            case _:
                if counted := tally.count(T0):
                    more = {"received": counted.received, "answered": counted.answered}
                    more["dropped"] = sum(counted.dropped.values())
                    assert any(more.values())
                    sums = {name: count + more[name] for name, count in sums.items()}
    assert sums == {
        "received": tally.received,
        "answered": tally.answered,
        "dropped": sum(tally.dropped.values()),
    }
    assert tally.count(T0) is None
