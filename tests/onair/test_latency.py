"""Where the time went: the way of a sentence from the comment to its sound."""

from hypothesis import given
from hypothesis import strategies as st

from onair.latency import MEMORY, Latency, Steps, breakdown, figures
from services.contract.ingest import TurnRequested
from services.contract.llm import SentenceReady
from services.contract.message import Message
from services.contract.tts import SpeechChunk, SpeechEnded
from tests.onair.test_show import requested

T = 1_000_000


def ready(turn: str, index: int = 0) -> Message:
    return SentenceReady(
        turn=turn, no=1, session="demo", epoch=0, index=index, text="hi", speak="hi", voice="x", deadline_ms=0
    )


def chunk(turn: str, index: int = 0) -> Message:
    return SpeechChunk(turn=turn, index=index, attempt=1, chunk=0, sample_offset=0)


def asked(turn: str, event_ms: int = T) -> TurnRequested:
    found, _ = requested(turn, 1, at_ms=event_ms)
    assert isinstance(found, TurnRequested)
    return found


def test_the_steps_of_a_sentence() -> None:
    """Lane, model, voice and floor, each from its own entries; together they are the age."""
    steps = Steps()
    steps.feed(T + 100, asked("a"))
    steps.feed(T + 400, ready("a"))
    steps.feed(T + 450, chunk("a"))
    found = steps.of("a", 0, T + 1_000)
    assert found
    assert found == Latency(lane=100, llm=300, tts=50, floor=550)
    assert found.age == 1_000


def test_the_first_of_each_counts() -> None:
    """A turn, a sentence or a sound that is told again was there from the first time on; other entries say nothing."""
    steps = Steps()
    for late in (0, 700):
        steps.feed(T + 100 + late, asked("a"))
        steps.feed(T + 200 + late, ready("a"))
        steps.feed(T + 300 + late, chunk("a"))
        steps.feed(T + 300 + late, SpeechEnded(turn="a", index=0, attempt=1, samples=1))
    assert steps.of("a", 0, T + 300) == Latency(100, 100, 100, 0)


def test_what_was_not_seen_takes_no_time() -> None:
    """Sentences of a turn that was never asked for have no way; a step without an entry is given to the next."""
    steps = Steps()
    steps.feed(T, ready("b"))
    steps.feed(T, chunk("b"))
    assert steps.of("b", 0, T) is None
    steps.feed(T + 100, asked("a"))
    assert steps.of("a", 3, T + 400) == Latency(100, 0, 0, 300)


def test_old_turns_are_forgotten() -> None:
    """Only so many turns are known, the newest ones."""
    steps = Steps()
    for number in range(MEMORY + 1):
        steps.feed(T, asked(f"t{number}"))
    assert steps.of("t0", 0, T) is None
    assert steps.of(f"t{MEMORY}", 0, T) is not None


@given(st.lists(st.integers(0, 5_000), min_size=4, max_size=4))
def test_no_step_is_negative_and_none_is_lost(times: list[int]) -> None:
    """Whatever order the entries came in: no step is below zero, and they add up to the age."""
    asked_ms, ready_ms, sound_ms, heard_ms = times
    steps = Steps()
    steps.feed(T + asked_ms, asked("a"))
    steps.feed(T + ready_ms, ready("a"))
    steps.feed(T + sound_ms, chunk("a"))
    found = steps.of("a", 0, T + heard_ms)
    assert found
    assert min(found.lane, found.llm, found.tts, found.floor) >= 0
    assert found.age == heard_ms


def test_figures() -> None:
    """p50 and p95 of each step; of nothing they are unknown."""
    assert figures([3, 1, 2]) == {"p50": 2, "p95": 3}
    found = breakdown([Latency(1, 2, 3, 4), Latency(5, 6, 7, 8)])
    assert found["lane"] == {"p50": 1, "p95": 5}
    assert found["floor"] == {"p50": 4, "p95": 8}
    assert breakdown([])["llm"] == {"p50": None, "p95": None}
