"""The cards of the queue: what became of each event, with the reason."""

from typing import Any

import pytest

from services.contract.ingest import Decided, Kind, Lane, LiveEvent, TurnAired, TurnDropped, TurnRequested, Viewer
from services.contract.message import Message
from services.gateway.core.queue import KEPT, KEPT_OVER, Card, Queue


def event(name: str, kind: Kind = Kind.DANMAKU, lane: Lane = Lane.CHAT) -> LiveEvent:
    return LiveEvent(
        id=name, room="demo", source="api", kind=kind, lane=lane, viewer=Viewer(name="小明"), text="嗨", at_ms=1
    )


def requested(*causes: str, turn: str = "t") -> TurnRequested:
    place: dict[str, Any] = {"turn": turn, "no": 1, "session": "demo", "epoch": 0, "kind": "room"}
    return TurnRequested(**place, causes=causes, ask="嗨", persona="host", requested_ms=1, deadline_ms=9)


def fed(*messages: Message) -> Queue:
    queue = Queue()
    for message in messages:
        queue.feed(message)
    return queue


def only(queue: Queue) -> Card:
    (card,) = queue.cards
    return card


def test_a_comment_waits_with_all_that_people_see_of_it() -> None:
    """The card tells who wrote what; the page is told the whole card."""
    (card,) = Queue().feed(event("a"))
    assert (card.viewer, card.text, card.state) == ("小明", "嗨", "waiting")
    assert card.told() == {"type": "card", **vars(card)}


def test_an_answered_comment_goes_its_way() -> None:
    """Chosen with the reason, on air, answered."""
    queue = fed(event("a"), requested("a", "unknown"))
    assert (only(queue).state, only(queue).turn) == ("chosen", "t")
    queue.feed(Decided(choice="answer", reason="oldest_chat", turn="t", event=event("a")))
    assert (only(queue).state, only(queue).reason) == ("chosen", "oldest_chat")
    queue.feed(TurnAired(turn="t", no=1, epoch=0))
    assert (only(queue).state, only(queue).reason) == ("on_air", "oldest_chat")
    queue.feed(Decided(choice="settle", reason="spoken", turn="t", event=event("a")))
    assert only(queue).state == "answered"
    assert queue.feed(TurnDropped(turn="t", reason="late")) == []


@pytest.mark.parametrize(
    ("choice", "state"), [("drop", "dropped"), ("withdraw", "withdrawn"), ("merge", "merged"), ("settle", "answered")]
)
def test_the_end_of_a_comment_has_its_reason(choice: Any, state: str) -> None:
    """Dropped, withdrawn, merged: each with the director's word."""
    queue = fed(event("a"), Decided(choice=choice, reason="why", event=event("a")))
    assert (only(queue).state, only(queue).reason) == (state, "why")


def test_a_dropped_turn_lets_its_comment_wait_again() -> None:
    """The prepared answer made way; the comment is there still."""
    queue = fed(event("a"), requested("a"), TurnDropped(turn="t", reason="preempted"))
    assert (only(queue).state, only(queue).reason, only(queue).turn) == ("waiting", "preempted", "")


def test_a_decision_may_come_before_its_event() -> None:
    """The card is made of what the decision tells, and stays as it was decided."""
    queue = fed(Decided(choice="answer", reason="paid_first", turn="t", event=event("a")), event("a"))
    assert (only(queue).state, only(queue).turn) == ("chosen", "t")


@pytest.mark.parametrize(
    "message",
    [
        event("w", Kind.WITHDRAWAL, Lane.PAID),
        event("s", Kind.STARTED, Lane.CONTROL),
        Decided(choice="air", reason="oldest_chat", turn="t"),
        Decided(choice="idle", reason="idle", turn="t", event=event("i")),
        Decided(choice="drop", reason="duplicate", event=event("a")),
        Decided(choice="drop", reason="stale"),
    ],
)
def test_what_is_no_comment_has_no_card(message: Message) -> None:
    """Withdrawals, the room's own news, idle topics, duplicates."""
    assert fed(message).cards == []


def test_the_oldest_that_are_over_are_forgotten() -> None:
    """A long show does not grow the page without bound, whatever waits."""
    queue = Queue()
    for number in range(KEPT_OVER + 5):
        queue.feed(event(f"over-{number}"))
        queue.feed(Decided(choice="drop", reason="stale", event=event(f"over-{number}")))
    assert [card.id for card in queue.cards] == [f"over-{number}" for number in range(5, KEPT_OVER + 5)]
    for number in range(KEPT + 5):
        queue.feed(event(f"new-{number}"))
    assert len(queue.cards) == KEPT
    assert queue.cards[-1].id == f"new-{KEPT + 4}"
