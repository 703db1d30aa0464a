"""Which app-messages ask something, and how the answer is sent."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.contract.ingest import TurnAired
from services.contract.llm import AnswerEnded, SentenceReady
from services.ingest.core.utterances import GROW_MS, SENT_BYTES, Questions, Reply, messages


def utterance(speech: object, role: str = "user", event: str = "conversation.utterance") -> bytes:
    body = {"message_type": "conversation", "event_type": event, "properties": {"role": role, "speech": speech}}
    return json.dumps(body, ensure_ascii=False).encode()


def asked(*said: tuple[int, bytes]) -> list[str]:
    """Everything that is asked by then, and a while later."""
    questions, found = Questions(), list[str]()
    for at_ms, body in said:
        found += [question.text for question in (*questions.tick(at_ms), *questions.heard(body, at_ms))]
    assert (questions.due_ms is None) == (not questions.tick(10**9))
    questions = Questions()
    for at_ms, body in said:
        questions.tick(at_ms)
        questions.heard(body, at_ms)
    return [*found, *(question.text for question in questions.tick(10**9))]


def test_a_user_asks() -> None:
    """Once, after a moment in which nothing was added; white space is one space."""
    questions = Questions()
    assert questions.due_ms is None
    assert questions.heard(utterance(" What  is\nthe weather? "), 1_000) == []
    assert questions.due_ms == 1_000 + GROW_MS
    assert questions.tick(1_000 + GROW_MS - 1) == []
    (question,) = questions.tick(1_000 + GROW_MS)
    assert (question.text, question.at_ms) == ("What is the weather?", 1_000)
    assert questions.tick(10**9) == []


def test_an_utterance_that_grows_asks_once() -> None:
    """What is added to it replaces it, its last mark and its capitals too."""
    said = ["What", "what is.", "What is the", "What is the weather?"]
    assert asked(*((at * 100, utterance(text)) for at, text in enumerate(said))) == [said[-1]]


def test_two_utterances_ask_twice() -> None:
    """Another one ends the first; so does a pause."""
    assert asked((0, utterance("你好")), (10, utterance("再见"))) == ["你好", "再见"]
    assert asked((0, utterance("one")), (GROW_MS, utterance("one more"))) == ["one", "one more"]


@pytest.mark.parametrize(
    "body",
    [
        utterance("hello", role="replica"),
        utterance("hello", event="conversation.utterance.streaming"),
        utterance(" \n"),
        utterance(7),
        b'{"event_type": "conversation.utterance", "properties": ["user"]}',
        b'{"event_type": "conversation.utterance"}',
        b"[1]",
        b"7",
        b"{",
        b"[" * 100_000,
        b"\xff",
    ],
)
def test_what_asks_nothing(body: bytes) -> None:
    """The replica's words, other events, what has no words, and what is no JSON object."""
    assert asked((0, body)) == []


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(), lambda x: st.lists(x) | st.dictionaries(st.text(), x)
    )
)
def test_no_app_message_breaks_it(message: Any) -> None:
    """Whatever is sent."""
    asked((0, json.dumps(message).encode()), (1, utterance(message)))


def test_our_own_words_ask_nothing() -> None:
    """What we had the replica take for a user's is no question when it comes back."""
    questions = Questions()
    questions.sent("It is sunny.")
    assert questions.heard(utterance("it is sunny"), 0) == []
    assert questions.due_ms is None


def sentence(index: int, text: str, turn: str = "t") -> SentenceReady:
    who = {"turn": turn, "no": 1, "session": "s", "epoch": 0, "index": index}
    return SentenceReady.model_validate({**who, "text": text, "speak": text, "voice": "v", "deadline_ms": 0})


def ended(count: int, turn: str = "t") -> AnswerEnded:
    return AnswerEnded(turn=turn, count=count, text="")


def test_an_answer_is_whole() -> None:
    """Its sentences in their order once it has ended; of other turns nothing, and nothing beyond its count."""
    reply = Reply("t")
    before = (
        sentence(1, "B."),
        sentence(0, "A."),
        sentence(0, "x", "u"),
        ended(1, "u"),
        TurnAired(turn="t", no=1, epoch=0),
    )
    assert [reply.feed(message) for message in (*before, sentence(2, "cut"))] == [None] * 6
    assert reply.feed(ended(2)) == ["A.", "B."]


def test_an_answer_without_words() -> None:
    """It has ended all the same."""
    assert Reply("t").feed(ended(0)) == []
    assert messages("c1", "echo", []) == []


def test_the_wire_shape() -> None:
    """As Tavus takes it."""
    assert messages("c1", "echo", ["Hi.", "It is sunny."]) == [
        {
            "message_type": "conversation",
            "event_type": "conversation.echo",
            "conversation_id": "c1",
            "properties": {"modality": "text", "text": "Hi. It is sunny."},
        }
    ]
    (told,) = messages("c1", "respond", ["你好。", "再见。"])
    assert (told["event_type"], told["properties"]) == ("conversation.respond", {"text": "你好。再见。"})


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=2_000), max_size=20))
def test_a_long_answer_is_sent_in_parts(sentences: list[str]) -> None:
    """No part is larger than Daily takes, none is empty, and together they say all."""
    told = [each["properties"]["text"] for each in messages("c1", "echo", sentences)]
    assert all(text and len(json.dumps(text)) <= SENT_BYTES + 20 for text in told)
    assert "".join("".join(told).split()) == "".join("".join(sentences).split())
