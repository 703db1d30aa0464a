"""The director after a restart: from the ledger, what waits, and what had the floor."""

import pytest

from services.contract.ingest import Lane, LedgerRow, LiveEvent
from services.ingest.core.director import Director
from services.ingest.core.items import Choice, Turn
from services.ingest.core.policy import Policy
from tests.ingest.core.made import ROOM, T0, chat, enter, paid, withdrawal
from tests.ingest.core.scene import S, choice_of, logged, told


def row(what: LiveEvent, state: str) -> LedgerRow:
    return LedgerRow.model_validate({"event": what, "state": state, "at_ms": T0})


def turn(id_: str, what: LiveEvent, aired_ms: int = 0, reason: str = "paid_first") -> Turn:
    director = Director(ROOM, Policy(), T0)
    choice = choice_of(director.received(what, T0))
    return Turn(id_, int(id_[1:]), 0, Choice(choice.item, reason, choice.deadline_ms), T0, aired_ms)


def test_turn_in_the_store() -> None:
    """A turn comes back from the store as it was."""
    one = turn("t1", paid("p"), T0)
    assert Turn.from_json(one.to_json()) == one
    with pytest.raises(ValueError, match="id"):
        Turn.from_json("{}")


def test_restart_goes_on() -> None:
    """After a restart the turn on air goes on and the prepared paid one is kept: nothing is asked for twice."""
    rows = [row(paid("p"), "aired"), row(paid("q"), "chosen"), row(paid("r"), "received"), row(paid("s"), "spoken")]
    director, orders = Director.restore(
        ROOM,
        Policy(),
        T0 + S,
        rows=rows,
        waiting=[one.event for one in rows],
        floor=[turn("t2", paid("q")), turn("t1", paid("p"), T0)],
    )
    assert orders == []
    assert [one.id for one in director.floor] == ["t1", "t2"]
    director.sounded("t1", 3 * S, T0)
    assert told(director.ended("t1", spoken=True, now_ms=T0 + S)) == []
    assert told(director.tick(T0 + 3 * S)) == [
        ("settle", "p", "spoken", ""),
        ("air", "t2"),
        ("request", "r", "paid_first"),
    ]
    for known in ("p", "q", "s"):
        assert logged(director.received(paid(known), T0 + 3 * S)) == [("drop", "duplicate", "")]


def test_restart_drops_prepared_comments() -> None:
    """A prepared comment is dropped at a restart and waits again unless it is stale; an idle topic is forgotten."""
    director, orders = Director.restore(
        ROOM,
        Policy(),
        T0 + S,
        rows=[],
        waiting=[chat("b")],
        floor=[turn("t1", chat("a"), reason="oldest_chat"), turn("t2", enter("e"), reason="idle")],
    )
    assert told(orders) == [("drop", "t1", "restarted"), ("drop", "t2", "restarted")]
    assert {item.first.id for item in director.lanes.waiting(Lane.CHAT)} == {"a", "b"}
    assert director.lanes.waiting(Lane.WELCOME) == ()


def test_restart_after_a_settled_turn() -> None:
    """A turn whose events were settled before the crash does not come back."""
    director, orders = Director.restore(
        ROOM, Policy(), T0, rows=[row(paid("p"), "spoken")], waiting=[], floor=[turn("t1", paid("p"), T0)]
    )
    assert told(orders) == [("drop", "t1", "restarted")]
    assert director.done


def test_restart_with_two_turns_on_air() -> None:
    """If the store names two turns on air the later one has the floor; the other's event waits, none is lost."""
    director, _ = Director.restore(
        ROOM,
        Policy(),
        T0,
        rows=[row(paid("p"), "aired"), row(paid("q"), "aired")],
        waiting=[],
        floor=[turn("t1", paid("p"), T0), turn("t2", paid("q"), T0)],
    )
    assert [one.id for one in director.floor] == ["t2"]
    assert [item.first.id for item in director.lanes.waiting(Lane.PAID)] == ["p"]


def test_restart_after_ten_minutes() -> None:
    """After ten minutes down no comment of before is answered, and every paid event is."""
    now = T0 + 600 * S
    director, orders = Director.restore(
        ROOM, Policy(), now, rows=[row(paid("p"), "received")], waiting=[chat("a"), paid("q")], floor=[]
    )
    assert logged(orders) == [("drop", "stale", "")]
    assert len(director.lanes.waiting(Lane.PAID)) == 2
    assert told(director.tick(now))[0][0] == "request"


def test_restart_keeps_withdrawals() -> None:
    """A withdrawal that waits, or was settled, still acts on what comes after the restart."""
    director, orders = Director.restore(
        ROOM,
        Policy(),
        T0,
        rows=[row(withdrawal("w", "p"), "withdrawn"), row(paid("q"), "chosen")],
        waiting=[withdrawal("v", "q")],
        floor=[turn("t1", paid("q"))],
    )
    assert told(orders) == [("settle", "v", "withdrawn", "withdrawal")]
    assert told(director.received(paid("p"), T0)) == [
        ("settle", "p", "withdrawn", "withdrawn"),
        ("drop", "t1", "withdrawn"),
        ("settle", "q", "withdrawn", "withdrawn"),
    ]


def test_restart_after_an_outage() -> None:
    """A turn that was heard in part when everything stood still has its thirty seconds from the restart on."""
    now = T0 + 40 * S
    director, orders = Director.restore(
        ROOM, Policy(), now, rows=[row(paid("p"), "aired")], waiting=[], floor=[turn("t1", paid("p"), T0)]
    )
    director.sounded("t1", 2 * S, T0 + S)
    assert [*orders, *director.tick(now + 30 * S - 1)] == []
    assert told(director.tick(now + 30 * S)) == [("drop", "t1", "gave_up"), ("settle", "p", "failed", "gave_up")]
