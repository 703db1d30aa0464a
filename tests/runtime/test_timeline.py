"""Every rule of the reader's order, one example each."""

import pytest

from services.contract.gateway import Mark
from services.contract.message import Message
from services.runtime.timeline import Caption, Closed, Cut, Lost, Opened, Timeline
from tests.runtime.entries import (
    Entry,
    aired,
    caption,
    chunk,
    counted,
    dropped,
    ended,
    feed,
    hear,
    interrupted,
    over,
    ready,
    requested,
    sentence,
    skipped,
    sound,
    started,
)


def test_a_turn_is_heard_as_it_is_made() -> None:
    """Opened, caption, each chunk at once, the end of the sentence, the end of the turn."""
    timeline = Timeline()
    assert feed(timeline, requested(), aired()) == [Opened("t1")]
    assert feed(timeline, ready(), started()) == []
    assert feed(timeline, chunk(0, 2)) == [caption(), sound(0, 2)]
    assert feed(timeline, chunk(2, 3)) == [sound(2, 3)]
    assert feed(timeline, ended(3)) == [over(3)]
    assert feed(timeline, counted(1)) == [Closed("t1")]


def test_a_prepared_turn_is_heard_when_it_is_aired() -> None:
    """Nothing is heard before `TurnAired`, and then all that waits."""
    timeline = Timeline()
    assert feed(timeline, requested(), *sentence(2), counted(1)) == []
    assert feed(timeline, aired()) == [Opened("t1"), caption(), sound(0, 2), over(2), Closed("t1")]


def test_sentences_are_heard_in_order() -> None:
    """A sentence that is ready before the one before it waits."""
    timeline = Timeline()
    assert feed(timeline, aired(), *sentence(2, index=1)) == [Opened("t1")]
    outs = feed(timeline, *sentence(1))
    assert outs == [caption(), sound(0, 1), over(1), caption(1), sound(0, 2, index=1), over(2, index=1)]


def test_turns_are_heard_in_order() -> None:
    """A turn that is ready before the one before it waits for the floor."""
    timeline = Timeline()
    assert feed(timeline, aired(1), aired(2), *sentence(1, no=2), counted(1, no=2)) == [Opened("t1")]
    outs = feed(timeline, counted(0))
    assert outs == [Closed("t1"), Opened("t2"), caption(no=2), sound(0, 1, no=2), over(1, no=2), Closed("t2")]


def test_a_turn_that_was_passed_over_is_not_heard() -> None:
    """When a later turn is aired, one that was not never will be, whether it was known or not."""
    timeline = Timeline()
    feed(timeline, requested(1), aired(3), counted(0, no=3))
    assert feed(timeline, aired(1), *sentence(1), aired(2), *sentence(1, no=2)) == []


def test_a_turn_aired_too_late_does_not_break_into_another() -> None:
    """Airing out of order, while a later turn has the floor, has no effect."""
    timeline = Timeline()
    assert feed(timeline, aired(2), aired(1), *sentence(1)) == [Opened("t2")]
    assert feed(timeline, counted(0, no=2)) == [Closed("t2")]


def test_a_turn_aired_twice_is_heard_once() -> None:
    """The second `TurnAired`, of a director that took over, changes nothing, before the turn's end and after it."""
    timeline = Timeline()
    feed(timeline, aired(), *sentence(1))
    assert feed(timeline, aired()) == []
    assert feed(timeline, counted(1), aired(), *sentence(1)) == [Closed("t1")]


def test_no_sample_is_heard_twice() -> None:
    """What a chunk repeats is cut off; a chunk with nothing new says nothing."""
    timeline = Timeline()
    feed(timeline, aired(), started(), chunk(0, 4))
    assert feed(timeline, chunk(0, 4), chunk(1, 3)) == []
    assert feed(timeline, chunk(2, 6)) == [sound(4, 6)]


def test_a_new_attempt_takes_over() -> None:
    """From its start on, chunks and the end of the attempt before it are ignored; the caption is not said again."""
    timeline = Timeline()
    feed(timeline, aired(), started(), chunk(0, 2))
    assert feed(timeline, started(attempt=2), chunk(2, 4), ended(4)) == []
    assert feed(timeline, chunk(1, 3, attempt=2), ended(3, attempt=2)) == [sound(2, 3), over(3)]


def test_an_attempt_that_starts_late_changes_nothing() -> None:
    """The start of a lower attempt, of a worker that was paused, does not take the sentence back."""
    timeline = Timeline()
    feed(timeline, aired(), started(attempt=2))
    assert feed(timeline, started(attempt=1), chunk(0, 2)) == []
    assert feed(timeline, chunk(0, 2, attempt=2)) == [caption(attempt=2), sound(0, 2)]


def test_the_first_end_stands() -> None:
    """After its end a sentence is over, also for a higher attempt."""
    assert hear(aired(), *sentence(1), started(attempt=2), chunk(1, 3, attempt=2), skipped())[-1] == over(1)


def test_a_shorter_rendition_ends_the_sentence_where_it_is() -> None:
    """An end before the position that was reached takes nothing back."""
    outs = hear(aired(), started(), chunk(0, 4), started(attempt=2), ended(3, attempt=2))
    assert outs[-1] == over(4)


def test_a_skipped_sentence_is_over() -> None:
    """The next one is heard; without sound there is no caption."""
    outs = hear(aired(), *sentence(1, index=1), skipped())
    assert outs == [Opened("t1"), over(0, reason="late"), caption(1), sound(0, 1, index=1), over(1, index=1)]


def test_a_skip_in_the_middle_keeps_what_was_heard() -> None:
    """Sound before the skip stays, sound after it is not heard, nor is an end."""
    outs = hear(aired(), started(), chunk(0, 2), skipped(), chunk(2, 4), ended(4))
    assert outs == [Opened("t1"), caption(), sound(0, 2), over(2, reason="late")]


def test_a_gap_is_told() -> None:
    """Samples that the session no longer has are `Lost`, in the middle and at the end."""
    outs = hear(aired(), started(), chunk(2, 3), ended(5))
    assert outs == [Opened("t1"), caption(), Lost("t1", 0, 2), sound(2, 3), Lost("t1", 0, 2), over(5)]


def test_a_sentence_whose_start_is_gone_is_heard_from_where_it_is() -> None:
    """A reader that joined after `SpeechStarted` hears the rest, without its text."""
    outs = hear(aired(), chunk(2, 3, attempt=2), chunk(3, 4, attempt=1), ended(3, attempt=2))
    assert outs == [Opened("t1"), Caption("t1", 0, "", ""), Lost("t1", 0, 2), sound(2, 3), over(3)]


def test_a_sentence_of_which_only_the_end_is_left_is_lost() -> None:
    """A reader that joined before `SpeechEnded` goes on with the next sentence."""
    assert hear(aired(), ended(3))[1:] == [Caption("t1", 0, "", ""), Lost("t1", 0, 3), over(3)]


def test_an_interrupt_cuts_what_is_heard() -> None:
    """The turn on the floor is cut, prepared and waiting ones are never heard, later entries of theirs neither."""
    timeline = Timeline()
    feed(timeline, aired(1), aired(2), started(), chunk(0, 2), requested(3))
    assert feed(timeline, interrupted(1)) == [Cut("t1", "interrupted")]
    assert feed(timeline, chunk(2, 4), ended(4), *sentence(1, no=2), aired(3), *sentence(1, no=3)) == []


@pytest.mark.parametrize("entry", [requested(2, 1), ready(2, 1), started(no=2, epoch=1), aired(2, 1)])
def test_a_higher_epoch_is_an_interrupt(entry: Entry) -> None:
    """Whatever carries it: its `Interrupted` may be late, or its teller dead."""
    assert hear(aired(1), entry)[:2] == [Opened("t1"), Cut("t1", "interrupted")]


def test_an_interrupt_spares_what_was_asked_for_after_it() -> None:
    """A turn of the new epoch is heard, though `Interrupted` comes after its airing."""
    outs = hear(aired(1, epoch=1), interrupted(1), started(epoch=1), chunk(0, 1), ended(1))
    assert outs == [Opened("t1"), caption(), sound(0, 1), over(1)]


def test_an_older_interrupt_changes_nothing() -> None:
    """Epochs only rise."""
    assert hear(aired(1, epoch=2), interrupted(2), interrupted(1)) == [Opened("t1")]


def test_a_turn_of_an_older_epoch_is_never_heard() -> None:
    """Nor is one of which only sound came before the interrupt."""
    timeline = Timeline()
    feed(timeline, chunk(0, 2), interrupted(1))
    assert feed(timeline, aired(1), chunk(2, 4)) == []


def test_a_dropped_turn_is_cut() -> None:
    """On the floor it is cut for the reason given; the next one has the floor."""
    assert hear(aired(1), aired(2), dropped(1)) == [Opened("t1"), Cut("t1", "stale"), Opened("t2")]


def test_a_turn_dropped_before_it_was_aired_is_never_heard() -> None:
    """Known or not, nothing is said of it."""
    assert hear(requested(1), dropped(1), aired(1), dropped(2), aired(2), counted(0, no=2)) == []


def test_an_answer_without_sentences_closes() -> None:
    """The turn is opened and closed."""
    assert hear(aired(), counted(0)) == [Opened("t1"), Closed("t1")]


def test_the_first_count_stands() -> None:
    """A second `AnswerEnded` does not change where the turn ends."""
    timeline = Timeline()
    feed(timeline, aired(), counted(2), counted(1))
    assert Closed("t1") not in feed(timeline, *sentence(1))
    assert feed(timeline, *sentence(1, index=1))[-1] == Closed("t1")


def test_a_turn_aired_on_a_clear_floor_ends_what_cannot_end() -> None:
    """A turn whose end was lost is cut; one that ended is not, and turns behind it give way too."""
    timeline = Timeline()
    feed(timeline, aired(1), started(), chunk(0, 2), aired(2), *sentence(1, no=2))
    assert feed(timeline, aired(3, clear=True)) == [Cut("t1", "sound_lost"), Opened("t3")]
    assert feed(timeline, chunk(2, 4), ended(4), counted(1)) == []


def test_a_clear_floor_changes_nothing_for_who_heard_all() -> None:
    """The turn before it was closed."""
    timeline = Timeline()
    feed(timeline, aired(1), counted(0))
    assert feed(timeline, aired(2, clear=True)) == [Opened("t2")]


def test_other_entries_say_nothing() -> None:
    """Marks and whatever else a session holds are passed over."""
    assert hear((Mark(turn="t1", index=0, played_ms=1), b""), (Message(), b"")) == []
