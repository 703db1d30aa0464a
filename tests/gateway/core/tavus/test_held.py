"""When OnAir has to end what it created."""

from services.contract.gateway import ConversationCreated
from services.gateway.core.tavus import held
from services.gateway.core.tavus.ports import Conversation

MARK = "5f2b8c0d9e1a4b37"
ASKED = ConversationCreated(mark=MARK, name=held.named("Tonight", MARK), max_s=600, at_ms=1_000_000)
KNOWN = ASKED.model_copy(update={"conversation": "c1"})


def test_it_is_found_by_its_mark() -> None:
    """However it is called; another OnAir's has another mark."""
    others = [Conversation("c1", "Tonight"), Conversation("c2", held.named("Tonight", "0" * 16))]
    assert held.found(ASKED, others) == ""
    assert held.found(ASKED, [*others, Conversation("c3", "Tonight (onair-5f2b8c0d9e1a4b37)")]) == "c3"


def test_it_is_forgotten_when_it_has_lasted_too_long() -> None:
    """By what the configuration says, or by its own greatest length, whichever comes first."""
    assert not held.forgotten(KNOWN, 1_000_000 + 299_999, 300_000)
    assert held.forgotten(KNOWN, 1_000_000 + 300_000, 300_000)
    assert not held.forgotten(KNOWN, 1_000_000 + 719_999, 10_000_000)
    assert held.forgotten(KNOWN, 1_000_000 + 720_000, 10_000_000)


def test_one_whose_answer_is_lost_is_forgotten_at_once() -> None:
    """As soon as the answer cannot come any more: nobody was told of it."""
    assert held.asked_for(ASKED, 1_000_000 + 119_999)
    assert not held.forgotten(ASKED, 1_000_000 + 119_999, 1)
    assert held.forgotten(ASKED, 1_000_000 + 120_000, 10_000_000)
    assert not held.asked_for(KNOWN, 1_000_000)


def test_tavus_ends_it_in_the_end() -> None:
    """When its greatest length has passed, and the time in which it may have been begun."""
    assert not held.expired(ASKED, 1_000_000 + 719_999)
    assert held.expired(ASKED, 1_000_000 + 720_000)
