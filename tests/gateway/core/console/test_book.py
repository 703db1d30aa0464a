"""The law of the ledger: what was received is spoken, withdrawn, failed or waiting, and nothing else."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from services.contract.ingest import Kind, Lane, LedgerRow, LiveEvent, Viewer
from services.gateway.core.console.book import SHOWN, Book
from services.runtime.law import FINAL, Law

STATES = ("received", "chosen", "aired", *FINAL)


def row(id_: str, state: Any = "received", at_ms: int = 1, **more: Any) -> bytes:
    event = LiveEvent(
        id=id_, room="demo", source="api", kind=Kind.SUPER_CHAT, lane=Lane.PAID, viewer=Viewer(name="小明"),
        text="生日快乐", amount_fen=3_000, at_ms=5,
    )  # fmt: skip
    return LedgerRow(event=event, state=state, at_ms=at_ms, **more).to_json()


def test_a_row_is_told_with_what_became_of_it() -> None:
    """Who, what, how much, the state with its reason, the sound that was aired."""
    book = Book()
    book.whole({"a": row("a", "failed", 7, reason="stopped", turn="t")})
    told = book.told()
    assert told["law"] == {"received": 1, "spoken": 0, "withdrawn": 0, "failed": 1, "waiting": 0, "holds": True}
    assert told["rows"] == [
        {
            "id": "a", "state": "failed", "reason": "stopped", "turn": "t", "at_ms": 7, "samples": 0, "kind": "super_chat",
            "viewer": "小明", "text": "生日快乐", "amount_fen": 3_000, "event_ms": 5,
        }
    ]  # fmt: skip


def test_what_left_the_lane_without_an_end_breaks_the_law() -> None:
    """It is neither settled nor waiting: somebody lost it."""
    book = Book()
    book.whole({"a": row("a", "aired"), "b": row("b")})
    book.lie(["a"])
    assert book.law() == Law(received=2, spoken=0, withdrawn=0, failed=0, waiting=1)
    assert not book.law().holds
    book.lie(["a", "b"])
    assert book.law().holds


def test_a_row_that_cannot_be_read_breaks_the_law() -> None:
    """It is shown, first, as what it is."""
    book = Book()
    book.whole({"a": b"{", "b": row("b", "spoken", 3)})
    book.lie(["a"])
    told = book.told()
    assert not told["law"]["holds"]
    assert told["rows"][0] == {"id": "a", "state": "unreadable", "at_ms": 0}
    assert "a" in book
    assert book.open == ["a"]


def test_changes_are_merged() -> None:
    """A row that is settled is not asked for again; one that is gone is forgotten."""
    book = Book()
    book.merge({"a": row("a"), "b": row("b")})
    assert (book.size, book.open) == (2, ["a", "b"])
    book.merge({"a": row("a", "spoken", samples=24_000), "b": None, "c": None})
    assert (book.size, book.open) == (1, [])


def test_what_is_not_settled_is_shown_before_the_newest() -> None:
    """However many rows there are, a bounded number is told, and the law counts all."""
    book = Book()
    rows = {str(number): row(str(number), "spoken", number) for number in range(SHOWN + 10)}
    book.whole({**rows, "open": row("open", "chosen", 0)})
    told = book.told()["rows"]
    assert len(told) == SHOWN
    assert [each["id"] for each in told[:2]] == ["open", str(SHOWN + 9)]


@given(st.dictionaries(st.text(min_size=1, max_size=3), st.sampled_from(STATES)))
def test_the_law_holds_while_all_that_is_open_lies_in_the_lane(states: dict[str, str]) -> None:
    """And no longer as soon as one of it does not."""
    book = Book()
    book.whole({id_: row(id_, state) for id_, state in states.items()})
    book.lie(book.open)
    assert book.law().holds
    assert book.law().received == len(states)
    if book.open:
        book.lie(book.open[1:])
        assert not book.law().holds
