"""What is heard in a call, from frames of any kind."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.asr.adapters.scripted import ScriptedDetector
from services.asr.core.attendance import CUT_FRAMES, LONGEST_FRAMES, Attendance, Began, Event, Hush, Partial, Utterance
from services.asr.core.patience import Rule
from services.asr.core.pcm import FRAME_BYTES, FRAME_MS, FRAME_SAMPLES, HEARD_RATE

FIXED = Rule(adaptive=False)
SCENES = st.lists(st.tuples(st.booleans(), st.integers(1, 2_000)), min_size=1, max_size=8)

STEPS = st.tuples(st.integers(100, 9_000), st.sampled_from([0, 0, 0, 37, 700, 20_000]))
"""Samples that are new, and samples that are sent once more."""


def sound(*parts: tuple[bool, int]) -> bytes:
    """Loud or silent parts, each so many milliseconds long; every sample of the loud ones can be told from the next."""
    made: list[bytes] = []
    for number, (loud, ms) in enumerate(parts):
        count = ms * HEARD_RATE // 1_000
        wave = (np.arange(count) % 97 * 100 + 500 + number) * np.where(np.arange(count) % 2, 1, -1)
        made.append(wave.astype("<i2").tobytes() if loud else bytes(count * 2))
    return b"".join(made)


def attend(start: int = 0, rule: Rule = FIXED) -> Attendance:
    return Attendance(start, ScriptedDetector, rule)


def whole(pcm: bytes, start: int = 0, rule: Rule = FIXED, at: int = 0) -> list[Event]:
    """What is heard in it at once, and then nothing comes."""
    heard = attend(start, rule)
    return heard.feed(at, pcm, 1) + heard.stalled(2_000)


def voices(pcm: bytes) -> list[bool]:
    """Whether there is a voice, frame by frame."""
    detector = ScriptedDetector()
    return [bool(detector.probability(pcm[at : at + FRAME_BYTES])) for at in range(0, len(pcm), FRAME_BYTES)]


def utterances(events: list[Event]) -> list[Utterance]:
    return [event for event in events if isinstance(event, Utterance)]


@given(SCENES, st.data())
def test_how_it_came_makes_no_difference(scene: list[tuple[bool, int]], data: st.DataObject) -> None:
    """Frames of any length, repeated, overlapping: the events are those of the whole."""
    pcm, heard, events, at = sound(*scene), attend(), list[Event](), 0
    samples = len(pcm) // 2
    steps = itertools.cycle(data.draw(st.lists(STEPS, min_size=1, max_size=20)))
    while at < samples:
        step, back = next(steps)
        first, until = max(0, at - back), min(samples, at + step)
        events += heard.feed(first, pcm[first * 2 : until * 2], 1)
        at = until
    assert heard.position == samples
    assert events + heard.stalled(2_000) == whole(pcm)


@given(SCENES, st.integers(0, 20), st.integers(1, 40_000))
def test_silence_that_is_missing_is_silence(scene: list[tuple[bool, int]], cut: int, gap: int) -> None:
    """A gap is heard as zeros of the same length would be."""
    pcm = sound(*scene)
    at = min(cut * 1_000, len(pcm) // 2)
    head, tail = pcm[: at * 2], pcm[at * 2 :]
    heard = attend()
    gap = min(gap, 2 * HEARD_RATE)
    events = heard.feed(0, head, 1) + heard.feed(at + gap, tail, 1) + heard.stalled(2_000)
    if tail:
        assert events == whole(head + bytes(gap * 2) + tail)


@given(SCENES)
def test_who_takes_over_hears_the_same(scene: list[tuple[bool, int]]) -> None:
    """From where any utterance ended, the rest has the same names, ends and sound as for who began with the call."""
    pcm = sound(*scene)
    said = utterances(whole(pcm))
    for number, utterance in enumerate(said):
        assert utterances(whole(pcm, utterance.until_sample)) == said[number + 1 :]


@given(SCENES)
def test_events_are_in_order(scene: list[tuple[bool, int]]) -> None:
    """Each begins, then is told; it lies where it says, after the one before; partials are of it, each 300 ms or more.

    Each silence of 250 ms in it is told as a hush, with all of it so far; the last one is its end if no voice comes after.
    """
    pcm = sound(*scene)
    open_, done, parts, hush = None, 0, list[bytes](), None
    for event in whole(pcm):
        match event:
            case Began():
                assert open_ is None
                assert done <= event.start_sample <= event.at_sample
                open_, parts, hush = event, [], None
            case Partial():
                assert open_
                assert event.start_sample == open_.start_sample
                assert len(event.pcm) >= 300 * HEARD_RATE // 1_000 * 2
                parts.append(event.pcm)
            case Hush():
                assert open_
                assert event.start_sample == open_.start_sample
                assert not any(voices(event.pcm)[-8:])
                assert any(voices(event.pcm)[-9:])
                hush = event.pcm
            case Utterance():
                assert open_
                assert event.start_sample == open_.start_sample
                assert event.hushed == (hush is not None and not any(voices(event.pcm)[len(hush) // FRAME_BYTES :]))
                assert hush is None or event.pcm.startswith(hush)
                assert event.pcm.startswith(b"".join(parts))
                assert event.pcm == pcm[event.start_sample * 2 : event.until_sample * 2]
                open_, done = None, event.until_sample
    assert open_ is None


def test_a_voice() -> None:
    """It begins 300 ms before its first voiced frame, ends after 500 ms of silence; its time is its last voiced sample's."""
    pcm = sound((False, 1_024), (True, 960), (False, 2_000))
    heard, events = attend(), list[Event]()
    for number, at in enumerate(range(0, len(pcm), FRAME_BYTES)):
        events += heard.feed(at // 2, pcm[at : at + FRAME_BYTES], number)
    began, *others, said = events
    assert began == Began(22 * FRAME_SAMPLES, 32 * FRAME_SAMPLES)
    assert [type(event) for event in others] == [Partial] * 4 + [Hush, Partial]
    assert isinstance(said, Utterance)
    assert (said.start_sample, said.until_sample, said.ended_ms) == (22 * 512, (32 + 30 + 16) * 512, 61)


def test_a_voice_is_told_within_150_ms() -> None:
    """However the voice lies in the detector's frames, less than 150 ms of it are heard before it is told."""
    for offset in range(0, FRAME_SAMPLES, 16):
        heard, pcm = attend(), bytes(offset * 2) + sound((True, 1_000))
        for at in range(0, len(pcm), 320):
            if heard.feed(at // 2, pcm[at : at + 320], 1):
                assert heard.position - offset <= HEARD_RATE * 150 // 1_000
                break
        else:
            pytest.fail("nothing was heard")


def test_a_long_gap() -> None:
    """A gap of hours ends the utterance; what comes after it is at its own place, to the sample."""
    heard, far = attend(), 7 * 3_600 * HEARD_RATE + 77
    loud = sound((True, 800))
    first = heard.feed(0, loud, 1) + heard.feed(far, loud, 2)
    assert [type(event) for event in first if not isinstance(event, Partial)] == [Began, Hush, Utterance, Began]
    assert heard.position == far + len(loud) // 2
    (_, said) = utterances(first + heard.stalled(500))
    assert far - FRAME_SAMPLES < said.start_sample <= far
    assert said.pcm[(far - said.start_sample) * 2 :] == loud[: (said.until_sample - far) * 2]


def test_samples_that_are_counted_anew() -> None:
    """Sound that lies far before what came last is a new count: it is heard, and what was open has ended."""
    heard = attend(100 * HEARD_RATE)
    loud = sound((True, 800))
    events = heard.feed(100 * HEARD_RATE, loud, 1) + heard.feed(0, loud, 2) + heard.stalled(500)
    assert [said.start_sample for said in utterances(events)] == [100 * HEARD_RATE, 0]


def test_what_was_heard_before_is_passed_over() -> None:
    """Who starts later hears nothing of what is before."""
    loud, quiet = sound((True, 800)), sound((False, 800))
    (said,) = utterances(whole(loud + quiet + loud + quiet, start=25_600))
    assert said.start_sample == 25_600
    assert whole(loud, start=HEARD_RATE) == []


def test_frames_that_stop_coming() -> None:
    """They are silence by the clock, on top of the silence that was heard."""
    heard = attend()
    assert heard.patience_ms is None
    assert heard.stalled(60_000) == []
    heard.feed(0, sound((True, 800)), 1)
    assert heard.patience_ms == 500
    heard.feed(12_800, sound((False, 192)), 2)
    assert heard.patience_ms == 308
    assert heard.stalled(307) == []
    (said,) = utterances(heard.stalled(308))
    assert (said.until_sample, said.ended_ms) == (31 * FRAME_SAMPLES, 1)
    assert heard.position == 31 * FRAME_SAMPLES


def test_a_late_frame_is_no_silence() -> None:
    """However little silence is missing, frames have not stopped coming before 250 ms have passed."""
    heard = attend()
    heard.feed(0, sound((True, 800), (False, 480)), 1)
    assert heard.patience_ms == 250
    assert heard.stalled(249) == []


def long(seconds: int, quiet_at_ms: int) -> bytes:
    return sound((True, quiet_at_ms), (False, 160), (True, seconds * 1_000 - quiet_at_ms - 160))


def test_a_long_utterance_is_cut_where_it_is_quiet() -> None:
    """After thirty seconds it is two, with no sample between them; the second is told to begin."""
    pcm = long(40, 27_000) + sound((False, 1_000))
    events = whole(pcm)
    first, second = utterances(events)
    assert first.until_sample == second.start_sample
    assert 27_000 * 16 <= first.until_sample <= 27_160 * 16
    assert [event.start_sample for event in events if isinstance(event, Began)] == [0, second.start_sample]
    assert first.pcm + second.pcm == pcm[: second.until_sample * 2]


def test_a_very_long_utterance_stays_bounded() -> None:
    """Two minutes without a pause: no piece is longer than thirty seconds, nothing is lost."""
    pcm = sound((True, 120_000), (False, 1_000))
    said = utterances(whole(pcm))
    assert len(said) >= 4
    assert all(one.until_sample - one.start_sample <= LONGEST_FRAMES * FRAME_SAMPLES for one in said[:-1])
    assert all(one.until_sample == other.start_sample for one, other in itertools.pairwise(said))
    assert b"".join(one.pcm for one in said) == pcm[: said[-1].until_sample * 2]
    assert all(len(one.pcm) >= (LONGEST_FRAMES - CUT_FRAMES) * FRAME_BYTES for one in said[:-1])


def test_silent_at_thirty_seconds() -> None:
    """It is not cut while it may end by itself."""
    pcm = sound((True, 29_800), (False, 2_000))
    (said,) = utterances(whole(pcm))
    assert said.until_sample == pytest.approx(30_300 * 16, abs=2 * FRAME_SAMPLES)


ADAPTIVE = Rule()


def length_ms(said: Utterance) -> int:
    return (said.until_sample - said.start_sample) // 16


def test_the_words_so_far_count() -> None:
    """What is finished ends sooner, what is open later; words of another utterance do not count."""
    lengths: list[int] = []
    for start, text in ((0, "are you there?"), (0, ""), (0, "i went to the"), (512, "are you there?")):
        heard = attend(0, ADAPTIVE)
        heard.feed(0, sound((True, 960)), 1)
        heard.words(start, text)
        (said,) = utterances(heard.feed(960 * 16, sound((False, 2_000)), 2))
        lengths.append(length_ms(said))
    assert lengths == [960 + 320, 960 + 512, 960 + 800, 960 + 512]
    heard.words(0, "nobody speaks, nothing happens")


def test_pauses_of_the_speaker_count() -> None:
    """Who twice went on after 450 ms gets more time; whoever went on just after his turn was ended too."""
    pauses = [(True, 640), (False, 448)] * 3
    (said,) = utterances(whole(sound(*pauses[:-1], (False, 2_000)), rule=ADAPTIVE))
    assert length_ms(said) == 3 * 640 + 2 * 448 + 544
    early = [(True, 640), (False, 800)] * 3
    lengths = [length_ms(one) for one in utterances(whole(sound(*early, (False, 2_000)), rule=ADAPTIVE))]
    assert lengths[0] == 640 + 512
    assert lengths[-1] > 640 + 320 + 512
    late = [(True, 640), (False, 1_600)] * 3
    assert [length_ms(one) for one in utterances(whole(sound(*late), rule=ADAPTIVE))][-1] == 640 + 320 + 512


def test_two_calls_share_nothing() -> None:
    """Two that are heard in turn are heard as each would be alone."""
    one, other = sound((True, 900), (False, 900)), sound((False, 500), (True, 700), (False, 600))
    first, second, found = attend(), attend(), (list[Event](), list[Event]())
    for at in range(0, len(one), 640):
        found[0].extend(first.feed(at // 2, one[at : at + 640], 1))
        found[1].extend(second.feed(at // 2, other[at : at + 640], 1))
    assert found[0] + first.stalled(2_000) == whole(one)
    assert [replace(event) for event in found[1] + second.stalled(2_000)] == whole(other)


def test_frame_length() -> None:
    """The figures above are of frames of 32 ms."""
    assert (FRAME_MS, FRAME_SAMPLES) == (32, 512)
