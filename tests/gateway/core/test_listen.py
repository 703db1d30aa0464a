"""The listener's protocol: what a client may want, and a room's words in Daily's shape."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.contract.failure import Code
from services.contract.ingest import (
    AppMessageHeard,
    ConversationEnded,
    ConversationFailed,
    ConversationJoined,
    Kind,
    Lane,
    LiveEvent,
    TurnAired,
    Viewer,
)
from services.contract.llm import AnswerEnded
from services.contract.message import Message
from services.contract.tts import SpeechChunk, SpeechEnded, SpeechStarted
from services.gateway.core.listen import Conversation, Leave, Notice, Stand, Utterances, Wanted, wish


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("conversation_id:c70ed8f4", Wanted("c70ed8f4")),
        ("  conversation_id:  demo \n", Wanted("demo")),
        ("conversation_id:", Wanted("")),
        ("conversation_id:../../etc/passwd", Wanted("")),
        (f"conversation_id:{'x' * 65}", Wanted("")),
        ("hello", None),
        ("", None),
        ("Conversation_id:demo", None),
    ],
)
def test_what_a_client_wants(text: str, wanted: Wanted | None) -> None:
    """The prefix decides, white space does not count, an id that cannot be one never becomes part of anything."""
    assert wish(text) == wanted


def test_a_client_that_has_heard_enough() -> None:
    """One word leaves."""
    assert isinstance(wish(" disconnect "), Leave)


@given(st.text())
def test_any_other_text_is_ignored(text: str) -> None:
    """Whatever a client sends, nothing breaks."""
    assert wish(f"x{text}") is None


def event(kind: Kind, text: str) -> LiveEvent:
    viewer = Viewer(id="1", name="小明")
    return LiveEvent(
        id=f"e:{text}", room="demo", source="api", kind=kind, lane=Lane.CHAT, viewer=viewer, text=text, at_ms=1
    )


def sentence(index: int, text: str) -> list[tuple[Message, bytes]]:
    who = {"turn": "t", "index": index, "attempt": 1}
    started = SpeechStarted.model_validate({**who, "no": 1, "epoch": 0, "text": text})
    chunk = SpeechChunk.model_validate({**who, "chunk": 0, "sample_offset": 0})
    return [(started, b""), (chunk, b"aa"), (SpeechEnded.model_validate({**who, "samples": 1}), b"")]


def heard(*told: tuple[Message, bytes]) -> list[tuple[str, str]]:
    utterances = Utterances("demo")
    texts = [json.loads(text) for message, blob in told for text in utterances.feed(message, blob)]
    assert all(
        (each["message_type"], each["event_type"], each["conversation_id"])
        == ("conversation", "conversation.utterance", "demo")
        for each in texts
    )
    return [(each["properties"]["role"], each["properties"]["speech"]) for each in texts]


def test_what_viewers_write_is_the_users() -> None:
    """Words of their own are told; what a platform says that they did, or an empty comment, is not."""
    kinds = [(Kind.DANMAKU, "你好"), (Kind.SUPER_CHAT, "Hi!"), (Kind.ENTER, "进入直播间"), (Kind.DANMAKU, "  ")]
    assert heard(*((event(kind, text), b"") for kind, text in kinds)) == [("user", "你好"), ("user", "Hi!")]


@pytest.mark.parametrize(
    ("texts", "whole"),
    [(["Hello.", "Bye."], "Hello. Bye."), (["你好。", "再见。"], "你好。再见。"), (["Hi.", "你好。"], "Hi. 你好。")],
)
def test_an_answer_grows(texts: list[str], whole: str) -> None:
    """Each sentence tells all of the answer up to it, as it begins to sound; the next answer begins anew."""
    aired = [(TurnAired(turn="t", no=1, epoch=0), b"")]
    ended = [(AnswerEnded(turn="t", count=2, text=""), b"")]
    first = heard(*aired, *sentence(0, texts[0]), *sentence(1, texts[1]), *ended)
    assert first == [("replica", texts[0]), ("replica", whole)]


def test_a_second_answer_begins_anew() -> None:
    """What was said before is not told again."""
    utterances = Utterances("demo")
    told: list[str] = []
    for turn in ("a", "b"):
        who = {"turn": turn, "index": 0, "attempt": 1}
        entries: list[tuple[Message, bytes]] = [
            (TurnAired(turn=turn, no=1 if turn == "a" else 2, epoch=0), b""),
            (SpeechStarted.model_validate({**who, "no": 1 if turn == "a" else 2, "epoch": 0, "text": turn}), b""),
            (SpeechChunk.model_validate({**who, "chunk": 0, "sample_offset": 0}), b"aa"),
            (SpeechEnded.model_validate({**who, "samples": 1}), b""),
            (AnswerEnded(turn=turn, count=1, text=""), b""),
        ]
        told += [json.loads(text)["properties"]["speech"] for entry in entries for text in utterances.feed(*entry)]
    assert told == ["a", "b"]


def test_a_notice() -> None:
    """What OnAir tells of itself is of a type of its own, raw UTF-8, with a reason where there is one."""
    assert Notice("joined", "demo").text == (
        '{"message_type": "onair", "event_type": "onair.joined", "conversation_id": "demo"}'
    )
    told = json.loads(Notice("error", "x", "没有", Code.BUSY).text)["properties"]
    assert told == {"reason": "没有", "code": "busy"}


def test_app_messages_are_passed_on_as_they_are() -> None:
    """Byte for byte, whatever they say; nothing else of the session is."""
    conversation = Conversation("c1")
    body = '{"event_type":"x.y",  "t": "你好 \\u4f60 🎉"}'
    assert conversation.feed(AppMessageHeard(sender="s"), body.encode()) == [body]
    assert conversation.feed(TurnAired(turn="t", no=1, epoch=0)) == []
    assert not conversation.over


def test_a_stay_is_told_once() -> None:
    """By the session or by what work says, whichever is first; the stay of another process is another."""
    conversation, joined = Conversation("c1"), [Notice("joined", "c1")]
    assert conversation.stands(Stand()) == []
    assert conversation.feed(ConversationJoined(call="a")) == joined
    assert conversation.stands(Stand("a")) == []
    assert conversation.stands(Stand()) == []
    assert conversation.stands(Stand("b")) == joined
    assert conversation.feed(ConversationJoined(call="b")) == []


def test_a_conversation_that_nobody_takes() -> None:
    """It is told once a drought, and waited for."""
    conversation = Conversation("c1")
    (told,) = conversation.stands(Stand(silent=True))
    assert (told.event, told.code, told.waits) == ("error", Code.ENGINE_SILENT, True)
    assert json.loads(told.text)["properties"]["waits"] is True
    assert conversation.stands(Stand(silent=True)) == []
    assert conversation.stands(Stand("a")) == [Notice("joined", "c1")]
    assert len(conversation.stands(Stand(silent=True))) == 1
    assert not conversation.over


@pytest.mark.parametrize(
    ("message", "code"),
    [
        (ConversationFailed(code=Code.ENGINE_REFUSED, sentence="why"), Code.ENGINE_REFUSED),
        (ConversationEnded(call="a", reason="why"), Code.EXPIRED),
    ],
)
def test_a_conversation_that_is_over(message: Message, code: Code) -> None:
    """The reason is told, and nothing more comes."""
    conversation = Conversation("c1")
    assert conversation.feed(message) == [Notice("error", "c1", "why", code)]
    assert conversation.over


def test_a_room_may_have_been_meant() -> None:
    """Where nobody can join anything else, the rooms that there are are named."""
    failed = ConversationFailed(code=Code.ENGINE_MISSING, sentence="install it")
    for rooms, known in ((["b", "a"], "a, b"), ([], "none")):
        (told,) = Conversation("mian", rooms).feed(failed)
        assert isinstance(told, Notice)
        assert told.why == f"install it; if a room was meant, known are: {known}"
