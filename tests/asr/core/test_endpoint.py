"""Where utterances begin and end."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from services.asr.core.endpoint import Began, Endpointer, Segment
from services.asr.core.segments import segments

RUNS = st.lists(st.tuples(st.sampled_from([0.0, 0.4, 0.9]), st.integers(1, 25)), max_size=20)


def frames(runs: list[tuple[float, int]]) -> list[float]:
    return [value for value, length in runs for _ in range(length)]


@given(RUNS)
def test_utterances_are_in_order_and_apart(runs: list[tuple[float, int]]) -> None:
    """Utterances are in order, share no frame, and each has three voiced frames in a row."""
    values = frames(runs)
    found = segments(values)
    for before, after in itertools.pairwise(found):
        assert before.end <= after.start
    for segment in found:
        assert 0 <= segment.start < segment.end <= len(values)
        inside = "".join("v" if value >= 0.5 else "." for value in values[segment.start : segment.end])
        assert "vvv" in inside


@given(RUNS)
def test_no_voice_is_lost(runs: list[tuple[float, int]]) -> None:
    """Three voiced frames in a row are always inside an utterance, with all that are voiced after them."""
    values = frames(runs)
    covered = {at for segment in segments(values) for at in range(segment.start, segment.end)}
    for at in range(2, len(values)):
        if min(values[at - 2 : at + 1]) >= 0.5:
            assert {at - 2, at - 1, at} <= covered


@given(RUNS)
def test_an_utterance_ends_after_half_a_second(runs: list[tuple[float, int]]) -> None:
    """An utterance ends with 16 frames of silence, the first such run in it, or with the recording."""
    values = frames(runs)
    for segment in segments(values):
        pattern = "".join("." if value < 0.35 else "x" for value in values[segment.start : segment.end])
        assert pattern.endswith("." * 16) or segment.end == len(values)
        assert "." * 16 not in pattern[pattern.index("x") :][:-1]


@given(st.lists(st.floats(0, 1), max_size=300))
def test_events_alternate(values: list[float]) -> None:
    """Fed frame by frame it tells each beginning before its end, with the same start."""
    pointer = Endpointer()
    events = [event for value in values if (event := pointer.feed(value))]
    for began, segment in zip(events[::2], events[1::2], strict=False):
        assert isinstance(began, Began)
        assert isinstance(segment, Segment)
        assert began.frame == segment.start
    assert pointer.speaking == (len(events) % 2 == 1)


def test_preroll() -> None:
    """An utterance begins 300 ms (10 frames) before its first voiced frame, or where the sound begins."""
    assert segments([0.0] * 30 + [0.9] * 5)[0] == Segment(20, 35)
    assert segments([0.0] * 4 + [0.9] * 5)[0] == Segment(0, 9)


def test_preroll_does_not_reach_into_the_one_before() -> None:
    """The pre-roll of an utterance begins at the earliest where the one before has ended."""
    values = [0.9] * 5 + [0.0] * 18 + [0.9] * 5
    assert segments(values) == [Segment(0, 21), Segment(21, 28)]


def test_clicks_are_no_utterance() -> None:
    """Two voiced frames, however often, begin nothing; silence and nothing neither."""
    assert segments([0.9, 0.9, 0.0] * 40) == []
    assert segments([0.0] * 100) == []
    assert segments([]) == []
    assert Endpointer().close() is None


def test_weak_syllables_do_not_end_it() -> None:
    """A frame between the thresholds neither begins an utterance nor counts as silence in one."""
    assert segments([0.4] * 100) == []
    assert segments([0.9] * 3 + [0.4] * 40 + [0.0] * 16) == [Segment(0, 59)]


def test_lengths_can_be_chosen() -> None:
    """Frames to begin, pre-roll and silence are parameters."""
    pointer = Endpointer(start_frames=1, preroll_ms=0, silence_ms=0)
    assert [pointer.feed(value) for value in (0.0, 0.9, 0.0)] == [None, Began(1, 1), Segment(1, 3)]
