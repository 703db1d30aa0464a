"""The bounds of a reader's memory, how far a sentence is heard, and the show's clock."""

from services.runtime.timeline import MEMORY, Closed, Floor, Opened, Timeline, heard
from tests.runtime.entries import aired, chunk, counted, ended, feed, requested, sentence, skipped, started


def test_a_reader_remembers_a_bounded_number_of_prepared_turns() -> None:
    """The oldest gives way, and is not heard when it is aired after all; an aired one never gives way."""
    timeline = Timeline()
    feed(timeline, aired(1), *[requested(no) for no in range(2, MEMORY + 2)])
    assert len(timeline._turns) == MEMORY  # pyright: ignore[reportPrivateUsage]  the bound is the fact
    feed(timeline, counted(0), aired(2))
    assert feed(timeline, aired(3)) == [Opened("t3")]


def test_more_aired_turns_than_the_memory_are_all_heard() -> None:
    """What has the floor or waits for it is never forgotten."""
    timeline = Timeline()
    feed(timeline, *[aired(no) for no in range(1, MEMORY + 3)])
    closed = feed(timeline, *[counted(0, no=no) for no in range(1, MEMORY + 3)])
    assert [out.turn for out in closed if isinstance(out, Closed)] == [f"t{no}" for no in range(1, MEMORY + 3)]


def test_what_is_gone_is_remembered_in_bounds() -> None:
    """A late entry of a turn that ended long ago does not bring it back."""
    timeline = Timeline()
    for no in range(1, MEMORY * 4 + 10):
        feed(timeline, aired(no), counted(0, no=no))
    assert len(timeline._gone) == MEMORY * 4  # pyright: ignore[reportPrivateUsage]  the bound is the fact
    assert feed(timeline, aired(1), *sentence(1)) == []


def test_how_far_a_sentence_is_heard() -> None:
    """A new attempt learns position and end by the readers' rule, whether the turn is aired or not."""
    entries = [aired(), *sentence(9, index=1), started(), chunk(0, 4), started(attempt=2), chunk(4, 8), ended(8)]
    assert heard(entries, "t1", 0) == (4, False)
    assert heard([*entries, ended(5, attempt=2)], "t1", 0) == (5, True)
    assert heard([*entries, skipped()], "t1", 0) == (4, True)
    assert heard(entries, "t2", 0) == (0, False)


def test_a_sound_begins_when_it_was_written_or_when_the_floor_is_free() -> None:
    """The show's clock: the later of both."""
    floor = Floor(rate=1_000, origin_ms=10_000)
    assert floor.place(500, 10_200) == 200
    assert floor.place(100, 10_300) == 700
    assert floor.free_at_ms() == 10_800
    assert floor.place(100, 12_000) == 2_000


def test_a_cut_frees_the_floor() -> None:
    """What had not been heard is not heard; a cut in the past of the clock's origin leaves nothing."""
    floor = Floor(rate=1_000, origin_ms=10_000)
    floor.place(5_000, 10_000)
    floor.cut(11_000)
    assert floor.free_at_ms() == 11_000
    floor.cut(12_000)
    assert floor.free_at_ms() == 11_000
    floor.cut(9_000)
    assert floor.free_at_ms() == 10_000


def test_the_floor_is_not_free_before_the_last_sample_was_heard() -> None:
    """A part of a millisecond counts as a whole one."""
    floor = Floor(rate=24_000, origin_ms=0)
    floor.place(25, 0)
    assert floor.free_at_ms() == 2
