"""Each section is told once, and again when it has changed."""

import json

from hypothesis import given
from hypothesis import strategies as st

from services.gateway.core.console.board import Board, event


def test_only_what_is_new_is_told() -> None:
    """Who comes later is told everything."""
    board, known = Board(), dict[str, int]()
    board.put({"a": 1, "b": [2]})
    assert json.loads(board.since(known, now_ms=5)) == {"now_ms": 5, "a": 1, "b": [2]}
    assert json.loads(board.since(known, now_ms=6)) == {"now_ms": 6}
    board.put({"a": 1, "b": [3]})
    assert json.loads(board.since(known)) == {"b": [3]}
    assert json.loads(board.since({})) == {"a": 1, "b": [3]}


def test_an_event_is_one_line() -> None:
    """Halves of characters, which JSON may carry, do not break the stream."""
    assert event('{"a":"\ud800"}') == b'data: {"a":"?"}\n\n'


@given(st.lists(st.dictionaries(st.sampled_from("abc"), st.integers(0, 2))))
def test_who_listens_all_the_time_knows_what_is_put(puts: list[dict[str, int]]) -> None:
    """The sections folded one over the other are the newest of each."""
    board, known, folded, newest = Board(), dict[str, int](), dict[str, int](), dict[str, int]()
    for put in puts:
        board.put(put)
        newest |= put
        folded |= json.loads(board.since(known))
    assert folded == newest
