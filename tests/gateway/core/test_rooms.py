"""What is written into a room by the API: checked and clipped like a platform's."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.contract.failure import Code, Failure
from services.contract.ingest import Kind, Lane, LiveEvent
from services.gateway.core import rooms


def made(**fields: Any) -> LiveEvent:
    return rooms.event(json.dumps(fields).encode(), "demo", 5, "spare")


def test_a_comment_becomes_an_event() -> None:
    """With an id of its own where the sender gives none."""
    event = made(kind="danmaku", text=" 你好\x00呀 ", viewer="小明", viewer_id=7, medal="暖")
    assert (event.id, event.lane, event.text, event.at_ms) == ("api:danmaku:spare", Lane.CHAT, "你好 呀", 5)
    assert (event.viewer.name, event.viewer.id, event.viewer.medal) == ("小明", "7", "暖")


@pytest.mark.parametrize(
    ("fields", "lane"),
    [
        ({"kind": "super_chat", "text": "嗨", "amount_fen": 3_000, "id": "x:1"}, Lane.PAID),
        ({"kind": "guard", "amount_fen": 19_800}, Lane.PAID),
        ({"kind": "gift", "gift": "小花", "count": 3, "action": "投喂", "amount_fen": 100}, Lane.PAID),
        ({"kind": "gift", "gift": "小花"}, Lane.CHAT),
        ({"kind": "enter", "viewer": None}, Lane.WELCOME),
    ],
)
def test_what_costs_something_is_paid_for(fields: dict[str, Any], lane: Lane) -> None:
    """Lanes are those of the platforms."""
    event = made(**fields)
    assert (event.lane, event.kind) == (lane, Kind(fields["kind"]))
    assert event.count == fields.get("count", 1)


@pytest.mark.parametrize("fields", [{"viewer_id": "0"}, {"viewer": "折***", "viewer_id": "8"}])
def test_a_masked_viewer_is_nobody(fields: dict[str, Any]) -> None:
    """As on the platforms."""
    assert made(kind="like", **fields).viewer.id == ""


def test_texts_are_clipped_to_the_contract() -> None:
    """Long ones lose their end, half an emoji becomes a mark."""
    event = made(kind="danmaku", text="啊" * 3_000 + "\ud83d", viewer="名" * 500)
    assert (len(event.text), len(event.viewer.name)) == (2_000, 128)
    assert made(kind="danmaku", text="\ud83d").text == "\ufffd"


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({}, "kind must be one of"),
        ({"kind": "schedule", "text": "x"}, "kind must be one of"),
        ({"kind": ["danmaku"]}, "kind must be one of"),
        ({"kind": "danmaku"}, "give text"),
        ({"kind": "super_chat", "text": "x"}, "amount_fen"),
        ({"kind": "danmaku", "text": 5}, "text must be a text"),
        ({"kind": "danmaku", "text": "x", "amount_fen": -1}, "amount_fen must be a whole number"),
        ({"kind": "danmaku", "text": "x", "amount_fen": True}, "amount_fen must be a whole number"),
        ({"kind": "danmaku", "text": "x", "count": 1.5}, "count must be a whole number"),
        ({"kind": "danmaku", "text": "x", "id": "a b"}, "id must be"),
        ({"kind": "danmaku", "text": "x", "id": ""}, "id must be"),
        ({"kind": "danmaku", "text": "x", "colour": 1}, "unknown field 'colour'"),
    ],
)
def test_what_is_wrong_is_named(fields: dict[str, Any], reason: str) -> None:
    """By its field, with what is allowed."""
    with pytest.raises(Failure, match=reason) as caught:
        made(**fields)
    assert caught.value.code is Code.BAD_INPUT


@given(st.binary() | st.dictionaries(st.text(), st.integers() | st.text()).map(lambda d: json.dumps(d).encode()))
def test_any_body_is_an_event_or_a_reason(body: bytes) -> None:
    """Nothing else comes out."""
    found: LiveEvent | Code
    try:
        found = rooms.event(body, "demo", 0, "x")
    except Failure as failure:
        found = failure.code
    assert found is Code.BAD_INPUT or isinstance(found, LiveEvent)


def test_the_schema_names_every_field() -> None:
    """And asks for the kind alone."""
    schema: Any = rooms.schema()
    assert set(schema["properties"]) == set(rooms.FIELDS)
    assert schema["required"] == ["kind"]


def test_an_operators_line_is_kept_and_costs_nothing() -> None:
    """It goes the way of what was paid for, so it is said whatever happens; without words there is nothing to say."""
    event = made(kind="say", text="马上回来！", viewer="operator")
    assert (event.kind, event.lane, event.amount_fen) == (Kind.SAY, Lane.PAID, 0)
    with pytest.raises(Failure, match="give text"):
        made(kind="say")
