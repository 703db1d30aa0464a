"""Going on in the middle of a sentence."""

from hypothesis import given
from hypothesis import strategies as st

from services.contract.ingest import TurnAired
from services.contract.tts import SpeechChunk, SpeechEnded, SpeechStarted
from services.tts.core.resume import Prior, Start, Told, fold, remainder, start

ZH = "你好，今天过得怎么样？我们去公园吧。"
EN = "Hello there, how are you today? Shall we go to the park?"


def started(attempt: int, engine: str = "a", at: int = 0, turn: str = "t", index: int = 0) -> Told:
    message = SpeechStarted(
        turn=turn, no=1, epoch=0, index=index, attempt=attempt, text=ZH, engine=engine, from_sample=at
    )
    return 0, message, b""


def chunk(attempt: int, at: int, samples: int, turn: str = "t", index: int = 0, ms: int = 7) -> Told:
    message = SpeechChunk(turn=turn, index=index, attempt=attempt, chunk=0, sample_offset=at)
    return ms, message, bytes(samples * 2)


def ended(attempt: int, samples: int, turn: str = "t", index: int = 0) -> Told:
    return 0, SpeechEnded(turn=turn, index=index, attempt=attempt, samples=samples), b""


def test_nothing_yet() -> None:
    """A session without the sentence, or with others' only, tells nothing of it."""
    others = [
        (0, TurnAired(turn="t", no=1, epoch=0), b""),
        started(1, index=1),
        chunk(1, 0, 10, index=1),
        ended(1, 10, index=1),
        started(1, turn="u"),
        chunk(1, 0, 10, turn="u"),
    ]
    assert fold(others, "t", 0) == Prior()


def test_a_worker_that_died() -> None:
    """What it published is where the next attempt begins, and when it last did is known."""
    prior = fold([started(1), chunk(1, 0, 100, ms=20), chunk(1, 100, 50, ms=30)], "t", 0)
    assert prior == Prior(150, over=False, engine="a", base=0, sound_ms=30)


def test_what_is_made_again_is_being_made() -> None:
    """An attempt that begins where the sound stopped has the time of that sound to make it again; a first one has none."""
    before = [started(1), chunk(1, 0, 48_000, ms=20)]
    ms, again, blob = started(2, at=48_000)
    assert fold(before, "t", 0).sound_ms == 20
    assert fold([*before, (ms + 5_000, again, blob)], "t", 0).sound_ms == 7_000


def test_the_end_is_known() -> None:
    """An end that was published is found."""
    assert fold([started(1), chunk(1, 0, 100), ended(1, 100)], "t", 0) == Prior(100, over=True, engine="a", sound_ms=7)


def test_a_worker_that_wakes_up() -> None:
    """Chunks, an end and a start of an attempt that was superseded do not count."""
    entries = [started(2, at=0), chunk(2, 0, 80), chunk(1, 80, 500), ended(1, 580), started(1, "z"), chunk(2, 80, 20)]
    assert fold(entries, "t", 0) == Prior(100, engine="a", sound_ms=7)


def test_another_engine_begins_its_own_rendition() -> None:
    """The rendition's base moves when the engine changes, and stays while it does not."""
    entries = [started(1, "a"), chunk(1, 0, 90), started(2, "b", 90), chunk(2, 90, 30), started(3, "b", 120)]
    assert fold(entries, "t", 0) == Prior(120, engine="b", base=90, sound_ms=7)


def test_the_same_engine_says_the_same_again() -> None:
    """A steady engine repeats the rendition from its base and is heard from where the sound stopped."""
    assert start(ZH, Prior(), "a") == Start(ZH)
    assert start(ZH, Prior(1_000, engine="a"), "a") == Start(ZH, 0, 1_000)
    begun = Prior(60_000, engine="b", base=40_000)
    assert start(ZH, begun, "b") == Start(remainder(ZH, 40_000), 40_000, 60_000)


def test_another_engine_says_the_rest() -> None:
    """Another engine takes the words from the same fraction of the text on."""
    assert start(EN, Prior(24_000, engine="a"), "b") == Start(remainder(EN, 24_000), 24_000, 24_000)


def test_joins_fade_in() -> None:
    """Where nothing was heard, the other engine says all of it, as it is; a join rises from nothing."""
    assert start(ZH, Prior(0, engine="a"), "b") == Start(ZH)
    assert not Start(ZH).fade
    assert Start(ZH, 0, 1).fade


def test_words_are_not_cut() -> None:
    """What is left begins with a whole word, or with a character."""
    assert remainder(EN, 24_000) == "are you today? Shall we go to the park?"
    assert remainder(EN, 24 * 68 * 7) == "there, how are you today? Shall we go to the park?"
    assert remainder(ZH, 24 * 230 * 2) == "，今天过得怎么样？我们去公园吧。"
    assert remainder("好Hello world", 24 * (230 + 68)) == "Hello world"


@given(st.text(max_size=80), st.integers(0, 500_000), st.integers(0, 500_000))
def test_what_is_left_shrinks(text: str, one: int, other: int) -> None:
    """What is left is the end of the text, shorter the more was heard, all of it at first and nothing at last."""
    more, less = remainder(text, max(one, other)), remainder(text, min(one, other))
    assert text.endswith(less)
    assert less.endswith(more)
    assert remainder(text, 0) == text
    assert remainder(text, 24 * 230 * (len(text) + 1)) == ""
