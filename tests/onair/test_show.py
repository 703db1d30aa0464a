"""The show's layout: what is heard when, and what is written down about it."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from onair.latency import percentile
from onair.show import (
    Layout,
    Line,
    Put,
    Spoken,
    Trim,
    clock,
    fact,
    kept,
    paid,
    srt,
    summary,
    tame,
)
from services.contract.failure import Code, Failed
from services.contract.gateway import Interrupted, Mark
from services.contract.ingest import (
    Decided,
    Kind,
    Lane,
    LedgerRow,
    LiveEvent,
    ShowEnded,
    TurnAired,
    TurnDropped,
    TurnRequested,
)
from services.contract.llm import AnswerEnded
from services.contract.message import Message
from services.contract.tts import AIR_RATE, SentenceSkipped, SpeechChunk, SpeechEnded, SpeechStarted

ORIGIN = 1_000_000
MS = AIR_RATE // 1_000
Entry = tuple[Message, bytes]


def event(id_: str = "bilibili:super_chat:1", **more: Any) -> LiveEvent:
    return LiveEvent(id=id_, room="demo", source="bilibili", kind=Kind.SUPER_CHAT, lane=Lane.PAID, at_ms=ORIGIN, **more)


def requested(turn: str, no: int, epoch: int = 0, at_ms: int = ORIGIN) -> Entry:
    asked = TurnRequested(
        turn=turn,
        no=no,
        session="demo",
        epoch=epoch,
        kind="room",
        causes=(f"cause-of-{turn}",),
        ask="why?",
        persona="host",
        requested_ms=at_ms,
        deadline_ms=at_ms + 60_000,
    )
    return asked, b""


def aired(turn: str, no: int, epoch: int = 0) -> Entry:
    return TurnAired(turn=turn, no=no, epoch=epoch), b""


def sentence(turn: str, no: int, index: int, ms: int, epoch: int = 0) -> list[Entry]:
    """A sentence of that length, spoken at one go."""
    text = f"{turn} says {index}"
    started = SpeechStarted(turn=turn, no=no, epoch=epoch, index=index, attempt=1, text=text)
    chunk = SpeechChunk(turn=turn, index=index, attempt=1, chunk=0, sample_offset=0)
    ended = SpeechEnded(turn=turn, index=index, attempt=1, samples=ms * MS)
    return [(started, b""), (chunk, b"\1\0" * ms * MS), (ended, b"")]


def ended(turn: str, count: int) -> Entry:
    return AnswerEnded(turn=turn, count=count, text=""), b""


def feed(layout: Layout, at_ms: int, *entries: Entry) -> list[Put | Trim | Line]:
    """What follows from these entries, all written that long after the beginning."""
    return [effect for message, blob in entries for effect in layout.feed(ORIGIN + at_ms, message, blob)]


def lines(effects: list[Put | Trim | Line], kind: str) -> list[Line]:
    return [effect for effect in effects if isinstance(effect, dict) and effect["type"] == kind]


def test_sounds_follow_each_other_on_the_floor() -> None:
    """A sound begins when it was written, or when the one before it has been heard: two turns never overlap."""
    layout = Layout(ORIGIN)
    first = feed(layout, 100, aired("a", 1), *sentence("a", 1, 0, 500), *sentence("a", 1, 1, 300), ended("a", 2))
    second = feed(layout, 400, aired("b", 2), *sentence("b", 2, 0, 200), ended("b", 1))
    puts = [effect for effect in (*first, *second) if isinstance(effect, Put)]
    assert [put.at // MS for put in puts] == [100, 600, 900]
    closed = lines(layout.finish(ORIGIN + 5_000), "turn_closed")
    assert [(line["turn"], line["from_ms"], line["to_ms"]) for line in closed] == [("a", 100, 900), ("b", 900, 1_100)]
    assert layout.millis(layout.length) == 5_000


def test_the_chunks_of_a_sentence_make_one_cue() -> None:
    """It begins with its first chunk and ends with its last, however they came."""
    layout = Layout(ORIGIN)
    first, second = (SpeechChunk(turn="a", index=0, attempt=1, chunk=at, sample_offset=at * 100 * MS) for at in (0, 1))
    start, _, end = sentence("a", 1, 0, 200)
    feed(layout, 0, aired("a", 1), start, (first, b"\1\0" * 100 * MS))
    feed(layout, 40, (second, b"\1\0" * 100 * MS), end, ended("a", 1))
    layout.finish(ORIGIN + 1_000)
    assert [(cue.begin, cue.end) for cue in layout.cues] == [(0, 200 * MS)]


def test_a_turn_is_told_when_it_has_been_heard() -> None:
    """The lines of a sentence and of a turn come when the clock has passed their end, with the causes of the turn."""
    layout = Layout(ORIGIN)
    early = feed(layout, 0, requested("a", 1), aired("a", 1), *sentence("a", 1, 0, 500), ended("a", 1))
    assert not lines(early, "sentence")
    assert not lines(early, "turn_closed")
    late = feed(layout, 500, (Mark(turn="a", index=0, played_ms=500), b""))
    assert [line["type"] for line in late if isinstance(line, dict)] == ["mark", "sentence", "turn_closed"]
    assert lines(late, "turn_closed")[0]["causes"] == ["cause-of-a"]
    assert [(cue.text, cue.begin, cue.end) for cue in layout.cues] == [("a says 0", 0, 500 * MS)]


def test_a_prepared_turn_is_laid_where_it_is_aired() -> None:
    """Sound made beforehand begins when the turn gets the floor; the first word counts from the event."""
    layout = Layout(ORIGIN)
    effects = feed(layout, 0, requested("a", 1, at_ms=ORIGIN - 250), *sentence("a", 1, 0, 100))
    assert not [effect for effect in effects if isinstance(effect, Put)]
    effects = feed(layout, 2_000, aired("a", 1), ended("a", 1))
    assert [effect.at // MS for effect in effects if isinstance(effect, Put)] == [2_000]
    assert layout.first_words() == [2_250]


def test_an_interrupt_cuts_what_was_not_yet_heard() -> None:
    """What lay beyond the interrupt is gone from the file, the captions and the turn's interval."""
    layout = Layout(ORIGIN)
    feed(layout, 0, aired("a", 1), *sentence("a", 1, 0, 400), *sentence("a", 1, 1, 400), *sentence("a", 1, 2, 400))
    effects = feed(layout, 600, (Interrupted(epoch=1, by="operator"), b""))
    assert [effect.at // MS for effect in effects if isinstance(effect, Trim)] == [600]
    assert [(cue.index, cue.end // MS) for cue in layout.cues] == [(0, 400), (1, 600)]
    told = lines(effects, "turn_closed")[0]
    assert (told["from_ms"], told["to_ms"], told["reason"]) == (0, 600, "interrupted")
    late = feed(layout, 700, *sentence("a", 1, 3, 400))
    assert not [effect for effect in late if isinstance(effect, Put)]


def test_an_interrupt_cuts_a_turn_that_was_already_complete() -> None:
    """A turn whose sound had all been made, but not all been heard, is cut as well."""
    layout = Layout(ORIGIN)
    feed(layout, 0, aired("a", 1), *sentence("a", 1, 0, 1_000), ended("a", 1))
    effects = feed(layout, 300, (Interrupted(epoch=1, by="operator"), b""))
    told = lines(effects, "turn_closed")[0]
    assert (told["to_ms"], told["reason"]) == (300, "interrupted")
    assert layout.millis(layout.length) == 300


def test_a_dropped_turn_is_cut_and_a_prepared_one_leaves_no_trace() -> None:
    """Dropping the turn on the floor cuts it; dropping a prepared one cuts nothing."""
    layout = Layout(ORIGIN)
    feed(layout, 0, requested("a", 1), aired("a", 1), *sentence("a", 1, 0, 1_000), requested("b", 2))
    effects = feed(layout, 200, (TurnDropped(turn="b", reason="withdrawn"), b""))
    assert not [effect for effect in effects if isinstance(effect, Trim)]
    effects = feed(layout, 300, (TurnDropped(turn="a", reason="withdrawn"), b""))
    assert [effect.at // MS for effect in effects if isinstance(effect, Trim)] == [300]
    assert lines(effects, "turn_closed")[0]["reason"] == "withdrawn"


def test_a_skipped_sentence_has_no_caption() -> None:
    """A sentence without sound is told with its reason and has no cue."""
    layout = Layout(ORIGIN)
    skipped = SentenceSkipped(turn="a", index=0, reason="no_engine")
    effects = feed(layout, 0, aired("a", 1), (skipped, b""), *sentence("a", 1, 1, 100), ended("a", 2))
    effects += layout.finish(ORIGIN + 100)
    told = lines(effects, "sentence")
    assert [(line["index"], line["reason"]) for line in told] == [(0, "no_engine"), (1, "")]
    assert [cue.index for cue in layout.cues] == [1]


def test_a_turn_that_says_nothing_is_no_turn_that_was_heard() -> None:
    """An aired turn without a sentence closes where it began and has no first word."""
    layout = Layout(ORIGIN)
    effects = feed(layout, 100, requested("a", 1), aired("a", 1), ended("a", 0))
    assert [(line["from_ms"], line["to_ms"]) for line in lines(effects, "turn_closed")] == [(100, 100)]
    assert layout.first_words() == []
    assert summary(layout, {})["turns"] == 0


def test_lost_sound_is_counted_and_not_laid() -> None:
    """Samples that the session no longer has are told; what comes after them follows at once."""
    layout = Layout(ORIGIN)
    started, (chunk, blob), (end, _) = sentence("a", 1, 0, 100)
    late = chunk.model_copy(update={"sample_offset": 40})
    effects = feed(layout, 0, aired("a", 1), started, (late, blob), (end.model_copy(update={"samples": 2_440}), b""))
    assert [line["samples"] for line in lines(effects, "lost")] == [40]
    assert layout.lost == 40
    assert layout.length == 2_400


@given(
    st.lists(
        st.tuples(
            st.integers(0, 3_000), st.lists(st.integers(1, 900), max_size=4), st.sampled_from(["", "cut", "drop"])
        ),
        max_size=8,
    )
)
def test_turns_never_overlap_and_captions_lie_inside_them(shows: list[tuple[int, list[int], str]]) -> None:
    """Whatever is said, interrupted or dropped: intervals are in order, cues lie in their turn, the end covers all."""
    layout, now, epoch, told = Layout(ORIGIN), 0, 0, list[Put | Trim | Line]()
    for no, (pause, lengths, fate) in enumerate(shows, 1):
        turn, now = f"t{no}", now + pause
        entries = [aired(turn, no, epoch)]
        for index, ms in enumerate(lengths):
            entries += sentence(turn, no, index, ms, epoch)
        told += feed(layout, now, *entries)
        if fate == "drop":
            told += feed(layout, now + 100, (TurnDropped(turn=turn, reason="x"), b""))
        elif fate == "cut":
            epoch += 1
            told += feed(layout, now + 100, (Interrupted(epoch=epoch, by="x"), b""))
        else:
            told += feed(layout, now, ended(turn, len(lengths)))
        now += 100
    told += layout.finish(ORIGIN + now)
    closed = {line["turn"]: (line["from_sample"], line["to_sample"]) for line in lines(told, "turn_closed")}
    assert len(closed) == len(shows)
    spans = [closed[f"t{no}"] for no in range(1, len(shows) + 1)]
    edges = [edge for span in spans for edge in span]
    assert edges == sorted(edges)
    assert all(begin <= cue.begin < cue.end <= end for cue in layout.cues for begin, end in [closed[cue.turn]])
    assert all(end <= layout.length for _, end in spans)


def test_facts_are_lines() -> None:
    """An event's line bears its id as `event`; a decision names its event; frames and sound are left out."""
    line = fact(event(raw="the platform's frame", text="hi"))
    assert line
    assert (line["type"], line["event"], line["text"]) == ("event", "bilibili:super_chat:1", "hi")
    assert "raw" not in line
    decided = fact(Decided(choice="drop", reason="stale", event=event()))
    assert decided
    assert (decided["type"], decided["reason"], decided["event"]) == ("decision", "stale", "bilibili:super_chat:1")
    idle = fact(Decided(choice="idle", reason="quiet"))
    assert idle
    assert idle["event"] == ""
    failed = fact(Failed(code=Code.ENGINE_SILENT, sentence="no answer"))
    assert failed
    assert failed["type"] == "failed"
    assert fact(SpeechChunk(turn="a", index=0, attempt=1, chunk=0, sample_offset=0)) is None


def test_srt() -> None:
    """Cues are numbered from 1, with hours, and keep to one line of text."""
    cues = [Spoken("a", 0, "one\n\ntwo", "", 0, 36_000), Spoken("a", 1, "three", "", 36_000, 3_661_001 * MS)]
    assert srt(cues) == ("1\n00:00:00,000 --> 00:00:01,500\none two\n\n2\n00:00:01,500 --> 01:01:01,001\nthree\n")
    assert clock(100 * 3_600_000) == "100:00:00,000"


def test_percentiles() -> None:
    """Nearest rank: the value that so many of the values do not exceed."""
    values = list(range(1, 101))
    assert [percentile(values, percent) for percent in (50, 95, 100)] == [50, 95, 100]
    assert percentile([7], 50) == 7
    assert percentile([], 95) is None


def test_summary_counts() -> None:
    """The summary has the director's figures, the ledger's, and those of the layout."""
    layout = Layout(ORIGIN)
    feed(layout, 0, requested("a", 1), aired("a", 1), *sentence("a", 1, 0, 500), ended("a", 1))
    feed(layout, 700, (ShowEnded(received=9, answered=1, dropped={"stale": 8}), b""))
    rows = {
        str(no): LedgerRow(event=event(str(no)), state=state, at_ms=ORIGIN)
        for no, state in enumerate(("spoken", "withdrawn", "failed", "aired"))
    }
    layout.finish(ORIGIN + 700)
    assert summary(layout, rows) == {
        "received": 9,
        "answered": 1,
        "dropped": {"stale": 8},
        "paid": {"received": 4, "spoken": 1, "withdrawn": 1, "failed": 1},
        "first_word_ms": {"p50": 0, "p95": 0},
        "latency_ms": {step: {"p50": 0, "p95": 0} for step in ("lane", "llm", "tts", "floor")},
        "duration_ms": 700,
        "turns": 1,
        "sentences": 1,
        "lost_samples": 0,
        "rate": AIR_RATE,
    }
    assert not kept(paid(rows))
    assert kept(paid({name: rows[name] for name in ("0", "1")}))


def test_terminals_are_not_steered() -> None:
    """Escape sequences, line breaks and marks of direction in viewers' words become spaces."""
    assert tame("好\x1b[2J\n\u202eok") == "好 [2J  ok"
