"""The answer as events with positions: whatever is cut where, what is told is told once."""

import itertools
from base64 import b64decode
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.contract.failure import Code, Failed
from services.contract.gateway import Interrupted
from services.contract.ingest import TurnAired, TurnDropped
from services.contract.llm import AnswerEnded
from services.contract.message import Message
from services.contract.tts import SentenceSkipped, SpeechChunk, SpeechEnded, SpeechStarted
from services.gateway.core.ports import Entry, Made
from services.gateway.core.reply import Cursor, Event, Position, Reply, forgotten

SESSION = "chat-0123456789abcdef"
TURN = f"{SESSION}-1"
Told = tuple[Message, bytes]


def sentence(index: int, text: str, *chunks: bytes, attempt: int = 1) -> list[Told]:
    """One sentence, whole."""
    who: dict[str, Any] = {"turn": TURN, "index": index, "attempt": attempt}
    told: list[Told] = [(SpeechStarted(**who, no=1, epoch=0, text=text, emotion="calm"), b"")]
    offset = 0
    for number, pcm in enumerate(chunks):
        told.append((SpeechChunk(**who, chunk=number, sample_offset=offset), pcm))
        offset += len(pcm) // 2
    return [*told, (SpeechEnded(**who, samples=offset), b"")]


AIRED: Told = (TurnAired(turn=TURN, no=1, epoch=0), b"")
ENDED: Told = (AnswerEnded(turn=TURN, count=2, text="One. Two..."), b"")
WHOLE: list[Told] = [AIRED, *sentence(0, "One.", b"aabb", b"cc"), *sentence(1, "Two.", b"dd"), ENDED]


def heard(told: Sequence[Told], after: Position | None = None) -> list[Event]:
    reply = Reply(SESSION, TURN, after)
    return [event for message, blob in told for event in reply.feed(message, blob)]


def test_the_events_of_an_answer() -> None:
    """A caption, its sound chunk by chunk, its end; then the whole text, and nothing more."""
    events = heard([*WHOLE, *sentence(2, "Never.", b"ee")])
    assert [(event.name, event.data.get("index"), event.pcm) for event in events] == [
        ("sentence", 0, b""),
        ("audio", 0, b"aabb"),
        ("audio", 0, b"cc"),
        ("sentence_end", 0, b""),
        ("sentence", 1, b""),
        ("audio", 1, b"dd"),
        ("sentence_end", 1, b""),
        ("done", None, b""),
    ]
    assert events[0].body == {"turn": TURN, "index": 0, "text": "One.", "emotion": "calm"}
    sound = events[2].body
    assert b64decode(sound.pop("pcm")) == b"cc"
    assert sound == {"turn": TURN, "index": 0, "sample_offset": 2, "rate": 24_000}
    assert events[3].body == {"turn": TURN, "index": 0, "samples": 3, "reason": ""}
    assert events[-1].body == {"turn": TURN, "text": "One. Two…", "reason": "done"}


def test_the_first_event() -> None:
    """It names the session and the turn, and says whether the client's place was found."""
    event = Reply(SESSION, TURN, Position(1, 3)).begin(recovered=True)
    assert (event.name, event.at) == ("turn", Position(1, 3))
    assert event.body == {"session": SESSION, "turn": TURN, "rate": 24_000, "recovered": True}


@given(st.data())
def test_a_cut_stream_goes_on_where_it_was(data: st.DataObject) -> None:
    """Behind any event, whatever the readers' entries are by then, the rest comes once and whole."""
    sizes = data.draw(st.lists(st.lists(st.integers(1, 9), max_size=4), min_size=1, max_size=4))
    told: list[Told] = [AIRED]
    for index, chunks in enumerate(sizes):
        told += sentence(index, f"{index}.", *(bytes([index]) * 2 * size for size in chunks))
    told.append((AnswerEnded(turn=TURN, count=len(sizes), text="x"), b""))
    whole = heard(told)
    for cut in range(len(whole)):
        assert whole[: cut + 1] + heard(told, whole[cut].at) == whole


def test_a_client_gets_the_rest_of_a_chunk() -> None:
    """Where another attempt's chunks lie otherwise, only the samples that the client lacks are sent."""
    (rest,) = heard(WHOLE[:3], Position(0, 2 + 1))
    assert (rest.pcm, rest.data["sample_offset"]) == (b"bb", 1)


def test_lost_sound_is_told() -> None:
    """Samples that the session no longer has are an event, never a silent hole."""
    gap = [AIRED, *(told for told in sentence(0, "One.", b"aa", b"bb") if getattr(told[0], "chunk", 1) == 1)]
    events = heard(gap)
    assert [(event.name, event.data.get("samples")) for event in events][1] == ("lost", 1)
    assert [event.at for event in events] == sorted(event.at for event in events)


def test_a_failure_is_told_and_the_answer_goes_on() -> None:
    """An error has a stable code and a sentence; what was said before it is not lost."""
    failed = Failed(turn=TURN, code=Code.ENGINE_SILENT, sentence="The model is silent.", retryable=True)
    (event,) = heard([(failed, b"")])
    assert event.name == "error"
    assert event.body == {"code": "engine_silent", "message": "The model is silent.", "retryable": True}


@pytest.mark.parametrize(
    ("message", "reason"),
    [(Interrupted(epoch=1, by="operator"), "operator"), (TurnDropped(turn=TURN, reason="late"), "late")],
)
@pytest.mark.parametrize("sounding", [True, False])
def test_an_ended_turn(message: Message, reason: str, sounding: bool) -> None:  # noqa: FBT001  a parameter
    """An interrupt or a drop ends the stream once, whether or not it had begun to sound."""
    events = heard([*(WHOLE[:3] if sounding else []), (message, b""), *WHOLE])
    assert events[-1].name == "done"
    assert events[-1].data["reason"] in {reason, "interrupted"}
    assert [event.name for event in events].count("done") == 1


def test_another_turn_is_not_told() -> None:
    """A drop of another turn, or another answer's end, changes nothing."""
    other = AnswerEnded(turn="t", count=0, text="other")
    assert heard([(TurnDropped(turn="t", reason="late"), b""), (other, b""), *WHOLE]) == heard(WHOLE)


def test_a_session_that_lost_its_beginning() -> None:
    """What work knows stands for what was trimmed: the client behind it gets the rest, as if nothing were missing."""
    late = WHOLE[5:]
    known = forgotten(TURN, Made({}, {0: "spoken:3"}), [message for message, _ in late])
    assert known == [AIRED[0], SpeechEnded(turn=TURN, index=0, attempt=1, samples=3)]
    whole = heard(WHOLE)
    rest = heard([*((message, b"") for message in known), *late], whole[4].at)
    assert whole[:5] + rest == whole


@pytest.mark.parametrize(
    ("texts", "text"), [({0: "One.", 1: "Two."}, "One. Two."), ({0: "一。", 1: "二。"}, "一。二。")]
)
def test_a_session_that_lost_the_end_of_its_answer(texts: dict[int, str], text: str) -> None:
    """Sound may come long after the text: that the answer has two sentences is known from work."""
    late = WHOLE[5:-1]
    made = Made(texts, {0: "spoken:3"}, 2, "cut")
    known = forgotten(TURN, made, [message for message, _ in late])
    done = heard([*((message, b"") for message in known), *late])[-1]
    assert done.data == {"turn": TURN, "text": text, "reason": "cut"}
    assert forgotten(TURN, made, [ENDED[0]])[-1] != known[-1]


@pytest.mark.parametrize(
    ("ends", "kept", "expected"),
    [
        ({}, [], []),
        ({0: "spoken:3", 1: "skipped:late"}, [], ["spoken", "late"]),
        ({}, sentence(1, "x", b"aa"), [""]),
        ({0: "spoken:3"}, [(SentenceSkipped(turn="t", index=4, reason="r"), b"")], ["spoken"]),
        ({0: "spoken:1", 1: "spoken:3", 2: "skipped:late"}, sentence(1, "x", b"aa"), ["spoken", "late"]),
    ],
)
def test_what_was_trimmed(ends: dict[int, str], kept: list[Told], expected: list[str]) -> None:
    """What work knows to be over, and every sentence before the first that is still there: unknown ones were skipped."""
    messages = forgotten(TURN, Made({}, ends), [message for message, _ in kept])
    assert messages[0] == AIRED[0]
    assert [m.reason if isinstance(m, SentenceSkipped) else "spoken" for m in messages[1:]] == expected


@given(st.integers(0, 99), st.integers(0, 2**53))
def test_a_cursor_comes_back_as_it_was(index: int, reached: int) -> None:
    """An event's id names its place."""
    cursor = Cursor(SESSION, "a1b2c3d4", "1700000000000-3", Position(index, reached))
    assert Cursor.parse(str(cursor)) == cursor


@given(st.text() | st.from_regex(r"chat-[0-9a-f]{16}\.[0-9a-f]{1,3}\.\d+-\d+\.\d+.?\d*"))
def test_no_text_breaks_the_parser(text: str) -> None:
    """Whatever a client sends is a cursor that says the same, or none."""
    cursor = Cursor.parse(text)
    assert cursor is None or Cursor.parse(str(cursor)) == cursor


def test_what_is_kept_decides() -> None:
    """A place is found while its entry, and so all behind it, is kept by the live broker that told it."""
    entries = [Entry(id_, 0, AIRED[0]) for id_ in ("5-9", "5-10")]
    places = itertools.product(("a", "b"), ("5-8", "5-9", "5-10", "6-0"))
    found = {(g, id_) for g, id_ in places if Cursor(SESSION, "a", id_, Position()).within(g, entries)}
    assert found == {("a", "5-9"), ("a", "5-10"), ("a", "6-0")}
    assert not Cursor(SESSION, "a", "5-9", Position()).within("a", [])
