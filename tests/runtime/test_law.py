"""The conservation law: what was paid for is somewhere."""

from hypothesis import given
from hypothesis import strategies as st

from services.contract.ingest import Kind, Lane, LedgerRow, LiveEvent
from services.runtime.law import FINAL, Law, law

STATES = ("received", "chosen", "aired", *FINAL)


def row(id_: str, state: str) -> LedgerRow:
    event = LiveEvent(id=id_, room="demo", source="api", kind=Kind.SUPER_CHAT, lane=Lane.PAID, at_ms=0)
    return LedgerRow.model_validate({"event": event, "state": state, "at_ms": 0})


def test_the_law_holds_where_everything_is_somewhere() -> None:
    """Settled rows count by their state, others as waiting while the lane still has them."""
    states = {"a": "spoken", "b": "withdrawn", "c": "failed", "d": "received", "e": "aired"}
    found = law({id_: row(id_, state) for id_, state in states.items()}, frozenset("de"))
    assert found == Law(received=5, spoken=1, withdrawn=1, failed=1, waiting=2)
    assert found.holds
    assert str(found) == "5 received = 1 spoken + 1 withdrawn + 1 failed + 2 waiting"


def test_the_law_finds_what_was_lost() -> None:
    """An event that is neither settled nor in the lane was lost; so was one in the lane without a row."""
    assert not law({"a": row("a", "chosen")}, frozenset()).holds
    found = law({}, frozenset("a"))
    assert not found.holds
    assert "≠" in str(found)


@given(st.dictionaries(st.text("abc", min_size=1, max_size=3), st.sampled_from(STATES)), st.sets(st.text("abc")))
def test_the_law_is_broken_by_each_loss_and_by_nothing_else(states: dict[str, str], lane: set[str]) -> None:
    """It holds exactly if each unsettled row is in the lane and each event of the lane has a row."""
    rows = {id_: row(id_, state) for id_, state in states.items()}
    lost = {id_ for id_, state in states.items() if state not in FINAL and id_ not in lane} | (lane - set(states))
    assert law(rows, lane).holds == (not lost)
