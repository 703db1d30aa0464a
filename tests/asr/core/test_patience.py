"""How long a silence ends a turn."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.asr.core.patience import LEAST_MS, LONG_MS, MOST_MS, Rule, wait_ms

BASES = st.integers(LEAST_MS, MOST_MS)
PAUSES = st.lists(st.integers(200, 1_500), max_size=8)
SAID = st.one_of(st.text(max_size=60), st.sampled_from(["", "are you there?", "because", "今天天气怎么样吗", "然后"]))
LENGTHS = st.integers(0, 30_000)


@given(BASES, PAUSES, SAID, LENGTHS)
def test_within_bounds(base: int, pauses: list[int], text: str, spoken_ms: int) -> None:
    """Whatever is known, a turn ends after 300 to 1500 ms."""
    assert LEAST_MS <= wait_ms(Rule(base), pauses, text, spoken_ms) <= MOST_MS


@given(BASES, PAUSES, SAID, LENGTHS)
def test_fixed(base: int, pauses: list[int], text: str, spoken_ms: int) -> None:
    """Where it shall not adapt, it is what the configuration says."""
    assert wait_ms(Rule(base, adaptive=False), pauses, text, spoken_ms) == base


@given(BASES, PAUSES, SAID, LENGTHS, st.integers(200, 1_500))
def test_more_pauses_never_shorten_it(base: int, pauses: list[int], text: str, spoken_ms: int, more: int) -> None:
    """One more pause after which the speaker went on only ever makes it longer."""
    rule = Rule(base)
    assert wait_ms(rule, [*pauses, more], text, spoken_ms) >= wait_ms(rule, pauses, text, spoken_ms)


@given(BASES, PAUSES, LENGTHS)
def test_how_it_sounds(base: int, pauses: list[int], spoken_ms: int) -> None:
    """A finished sentence is never waited for longer than an open text, and a text that says nothing lies between."""
    over, plain, more = (wait_ms(Rule(base), pauses, text, spoken_ms) for text in ("Good.", "", "good and"))
    assert over <= plain <= more


@given(BASES, PAUSES, SAID)
def test_long_speech(base: int, pauses: list[int], text: str) -> None:
    """After a quarter of a minute it is never longer than before."""
    rule = Rule(base)
    assert wait_ms(rule, pauses, text, LONG_MS) <= wait_ms(rule, pauses, text, LONG_MS - 1)


@pytest.mark.parametrize(
    ("pauses", "text", "spoken_ms", "wanted"),
    [
        ([], "", 0, 500),
        ([900], "", 0, 500),
        ([900, 300], "", 0, 500),
        ([900, 800], "", 0, 960),
        ([1_400, 1_400], "", 0, 1_500),
        ([], "how are you?", 0, 300),
        ([], "你好吗", 0, 300),
        ([], "“你好。” ", 0, 300),
        ([], "i think because", 0, 800),
        ([], "the weather is sand", 0, 500),
        ([], "我想去，", 0, 800),
        ([], "我想去因为", 0, 800),
        ([], "", 15_000, 350),
        ([900, 800], "what is the", 15_000, 1_075),
    ],
)
def test_examples(pauses: list[int], text: str, spoken_ms: int, wanted: int) -> None:
    """Pauses count from the second on; words that cannot end a sentence wait, its end does not."""
    assert wait_ms(Rule(), pauses, text, spoken_ms) == wanted
