"""Which engine speaks."""

from services.runtime import voices

ENGINES: voices.Engines = [{"gpt_sovits": {"reference": "calm"}}, {"edge": {"voice": "x"}}, {"espeak": {}}]


def test_an_engine_is_a_pool() -> None:
    """The pool carries the engine's name, its options stand beside it."""
    assert voices.pool(ENGINES, 1) == "edge"
    assert voices.options(ENGINES, 1) == {"voice": "x"}


def test_a_place_beyond_the_end_is_the_last() -> None:
    """A voice that lost an engine while a sentence waited still speaks."""
    assert voices.pool(ENGINES, 9) == "espeak"
    assert voices.options(ENGINES, 9) == {}


def test_the_first_living_engine_speaks() -> None:
    """Preference counts among those that live; with none alive the preferred one gets the work."""
    assert voices.first(ENGINES, {"espeak", "edge"}) == 1
    assert voices.first(ENGINES, set()) == 0


def test_after_a_failure_the_next_living_engine_speaks() -> None:
    """Only engines later in the order come into question; none is left after the last."""
    assert voices.after(ENGINES, 0, {"espeak", "gpt_sovits"}) == 2
    assert voices.after(ENGINES, 0, set()) == 1
    assert voices.after(ENGINES, 2, {"edge"}) is None


def test_longer_pronunciations_win() -> None:
    """A word inside another does not spoil it."""
    assert voices.pronounce("GPT-4 and GPT", {"GPT": "G P T", "GPT-4": "G P T four"}) == "G P T four and G P T"
