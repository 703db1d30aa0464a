"""What an operator orders."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.contract.failure import Code, Failure
from services.gateway.core.console import orders


def test_an_order_is_read() -> None:
    """A session by its name, the kill switch by a truth, a letter by its id."""
    assert orders.session(b'{"session": "demo"}') == "demo"
    assert orders.session(b'{"session": "\\ud800"}') == "\ufffd"
    assert [orders.on(body) for body in (b'{"on": true}', b'{"on": false}')] == [True, False]
    assert orders.letter("1700000000000-0") == "1700000000000-0"


@pytest.mark.parametrize(
    "body", [b"", b"[]", b'{"session": ""}', b'{"session": 5}', b'{"session": "%s"}' % (b"x" * 81), b"[" * 4_000]
)
def test_nobody_is_stopped_by_accident(body: bytes) -> None:
    """An order that names no session, or not clearly the kill switch, is refused with what it should be."""
    for read in (orders.session, orders.on):
        with pytest.raises(Failure, match=r"\{") as refused:
            read(body)
        assert refused.value.code is Code.BAD_INPUT


@given(st.one_of(st.text(), st.from_regex(r"[0-9]{1,9}-[0-9]{1,60}", fullmatch=True)))
def test_a_letter_is_an_id_of_the_broker(text: str) -> None:
    """Whatever else is given is refused, shortened."""
    if re.fullmatch("[0-9]+-[0-9]+", text) and len(text) <= 64:
        assert orders.letter(text) == text
    else:
        with pytest.raises(Failure, match="is no id") as refused:
            orders.letter(text)
        assert len(refused.value.sentence) < 500
