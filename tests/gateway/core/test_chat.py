"""From a session's entries to finished sentences and one end."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.contract.failure import Code, Failed
from services.contract.gateway import Interrupted
from services.contract.ingest import TurnAired, TurnDropped
from services.contract.llm import AnswerEnded, SentenceReady
from services.contract.message import Message
from services.contract.tts import SentenceSkipped, SpeechChunk, SpeechEnded, SpeechStarted
from services.gateway.core.chat import Chat, Done, Piece

TURN = "t"
AIRED = TurnAired(turn=TURN, no=1, epoch=0)
Entry = tuple[Message, bytes]


def ready(index: int, text: str, turn: str = TURN) -> SentenceReady:
    return SentenceReady(
        turn=turn, no=1, session="s", epoch=0, kind="chat", index=index, text=text, speak=text, voice="v", deadline_ms=0
    )


def started(index: int, text: str) -> SpeechStarted:
    return SpeechStarted(turn=TURN, no=1, epoch=0, index=index, attempt=1, text=text)


def chunk(index: int, number: int, samples: int = 2) -> Entry:
    pcm = bytes([index + 1, number]) * samples
    return SpeechChunk(turn=TURN, index=index, attempt=1, chunk=number, sample_offset=number * samples), pcm


def ended(index: int, samples: int) -> SpeechEnded:
    return SpeechEnded(turn=TURN, index=index, attempt=1, samples=samples)


def spoken(index: int, text: str, chunks: int = 2) -> list[Entry]:
    sound = [chunk(index, number) for number in range(chunks)]
    return [(started(index, text), b""), *sound, (ended(index, 2 * chunks), b"")]


def answer(count: int, text: str, reason: str = "done") -> AnswerEnded:
    return AnswerEnded.model_validate({"turn": TURN, "count": count, "text": text, "reason": reason})


def fold(*entries: Message | Entry) -> list[Piece | Done]:
    chat = Chat(TURN)
    pairs = [entry if isinstance(entry, tuple) else (entry, b"") for entry in entries]
    return [said for message, blob in pairs for said in chat.feed(message, blob)]


def test_a_sentence_is_handed_out_when_it_is_whole() -> None:
    """Its sound is collected until its end; then come the next one and the raw answer, its dots as an ellipsis."""
    said = fold(
        AIRED,
        ready(0, "你好，"),
        *spoken(0, "你好，"),
        ready(1, "再见。"),
        answer(2, '"你好，再见。"...'),
        *spoken(1, "再见。", 1),
    )
    assert said == [
        Piece("你好，", b"\x01\x00\x01\x00\x01\x01\x01\x01"),
        Piece("再见。", b"\x02\x00\x02\x00"),
        Done('"你好，再见。"…', ""),
    ]


def test_a_skipped_sentence_has_its_text_and_no_sound() -> None:
    """Nothing of it was made: the piece is its text alone, in its place."""
    skipped = SentenceSkipped(turn=TURN, index=0, reason="no_engine")
    assert fold(AIRED, ready(0, "你好。"), skipped, answer(1, "你好。")) == [Piece("你好。", b""), Done("你好。", "")]


def test_a_sentence_that_broke_off_keeps_what_was_made() -> None:
    """A skip after some sound ends the piece there."""
    skipped = SentenceSkipped(turn=TURN, index=0, reason="late")
    said = fold(AIRED, started(0, "你好。"), chunk(0, 0), skipped, answer(1, "你好。"))
    assert said == [Piece("你好。", chunk(0, 0)[1]), Done("你好。", "")]


def test_an_unknown_sentence_that_was_skipped_keeps_the_order() -> None:
    """A sentence whose entries are gone is an empty piece, not a hole that shifts the others' texts."""
    skipped = SentenceSkipped(turn=TURN, index=0, reason="late")
    said = fold(AIRED, skipped, ready(1, "好。"), *spoken(1, "好。", 1), answer(2, "好。"))
    assert said == [Piece("", b""), Piece("好。", b"\x02\x00\x02\x00"), Done("好。", "")]


@pytest.mark.parametrize("reason", ["cut", "failed", "expired"])
def test_a_failed_answer_ends_with_what_was_said(reason: str) -> None:
    """The model's failure closes the answer after its last sentence."""
    failed = Failed(turn=TURN, code=Code.ENGINE_SILENT, sentence="no token for 10 s")
    said = fold(AIRED, ready(0, "好。"), *spoken(0, "好。", 1), failed, answer(1, "好。不", reason))
    assert said == [Piece("好。", b"\x01\x00\x01\x00"), Done("好。不", reason)]


def test_an_interrupt_ends_it_with_the_sound_so_far() -> None:
    """The sentence in the making is handed out as far as it came; the raw answer is what was handed out."""
    said = fold(AIRED, *spoken(0, "你好，"), started(1, "再见。"), chunk(1, 0), Interrupted(epoch=1, by="operator"))
    assert said[1:] == [Piece("再见。", chunk(1, 0)[1]), Done("你好，再见。", "interrupted")]


def test_english_sentences_are_joined_by_spaces() -> None:
    """Where the raw answer never came, its sentences stand for it."""
    said = fold(AIRED, *spoken(0, "Hi there."), *spoken(1, "Bye."), TurnDropped(turn=TURN, reason="withdrawn"))
    assert said[-1] == Done("Hi there. Bye.", "withdrawn")


@pytest.mark.parametrize(
    ("entry", "reason"),
    [(Interrupted(epoch=1, by="silence"), "silence"), (TurnDropped(turn=TURN, reason="withdrawn"), "withdrawn")],
)
def test_a_turn_that_never_had_the_floor_ends_too(entry: Message, reason: str) -> None:
    """An interrupt before the turn was aired leaves only the end, and nothing after it."""
    assert fold(entry, AIRED, answer(0, "")) == [Done("", reason)]


def test_entries_of_others_say_nothing() -> None:
    """Another turn's drop, sentence and answer, and an interrupt of an epoch that this turn has, change nothing."""
    others: list[Message] = [
        Interrupted(epoch=2, by="client"),
        TurnDropped(turn="other", reason="stale"),
        ready(0, "no", turn="other"),
        AnswerEnded(turn="other", count=0, text="no"),
    ]
    chat = Chat(TURN, epoch=2)
    assert [said for entry in others for said in chat.feed(entry)] == []
    assert not chat.over


def test_an_answer_can_be_ended_once() -> None:
    """Giving up ends it with what there is; a second end, or entries after it, say nothing."""
    chat = Chat(TURN)
    assert chat.end("deadline") == [Done("", "deadline")]
    assert chat.end("deadline") == []
    assert chat.feed(AIRED) == []


@pytest.mark.parametrize(("count", "text", "silent"), [(0, "你好呀。", True), (0, " ", False), (1, '"你好。"', False)])
def test_an_answer_without_quotes_is_noticed(count: int, text: str, silent: bool) -> None:  # noqa: FBT001  a parameter
    """Text and not one sentence of it: nothing was meant to be spoken."""
    chat = Chat(TURN)
    assert not chat.nothing_spoken
    chat.feed(answer(count, text))
    assert chat.nothing_spoken is silent


@given(st.integers(0, 4), st.data())
def test_any_interleaving_gives_the_sentences_in_order_and_one_end(count: int, data: st.DataObject) -> None:
    """Workers speak several sentences at once; however their entries mix, the client gets the same."""
    lanes = [[(AIRED, b"")], [(answer(count, "x"), b"")], *[spoken(index, f"s{index}") for index in range(count)]]
    chat, said = Chat(TURN), list[Piece | Done]()
    while lanes := [lane for lane in lanes if lane]:
        message, blob = data.draw(st.sampled_from(lanes)).pop(0)
        said += chat.feed(message, blob)
    pieces = [each for each in said if isinstance(each, Piece)]
    assert [piece.text for piece in pieces] == [f"s{index}" for index in range(count)]
    assert all(before.pcm[0] < after.pcm[0] for before, after in pairwise(pieces))
    assert said[count:] == [Done("x", "")]
    assert chat.over
