"""Bounded numbers of things."""

from services.gateway.core.caps import Slots


def test_slots_are_bounded_and_come_back() -> None:
    """The last slot is refused to a second taker until it is given back."""
    slots = Slots(1)
    assert slots.take()
    assert not slots.take()
    slots.give()
    assert slots.take()
