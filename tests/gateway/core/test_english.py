"""The English partner's protocol: what clients send, what they are told, to the byte."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.contract.failure import Code, Failure
from services.gateway.core import english
from services.gateway.core.english import FORM, MOST_ID, SILENCE, Row
from services.runtime.sound import is_silent, read_wav, write_wav

AT_MS = 1_700_000_000_123
WAV = write_wav(bytes(3_200), 16_000)


def refusal(call: Any, *args: Any) -> Failure:
    with pytest.raises(Failure) as caught:
        call(*args)
    assert caught.value.sentence.encode()
    return caught.value


def code_of(call: Any, *args: Any) -> Code | None:
    """Why it was refused; None if it was not. Nothing else is ever raised."""
    try:
        call(*args)
    except Failure as failure:
        return failure.code
    return None


def test_a_row_of_the_websocket_has_these_bytes() -> None:
    """Keys in the protocol's order, compact, raw UTF-8, RFC 3339."""
    row = Row(9, 7, 'He said "你好" <b>&', AT_MS, "a.wav", "x", 3)
    assert english.dated(row) == (
        '{"id":3,"session_id":9,"user_id":7,"data":"He said \\"你好\\" <b>&",'
        '"create_time":"2023-11-14T22:13:20.123Z","update_time":"2023-11-14T22:13:20.123Z","audio_key":"a.wav"}'
    )


def test_a_row_over_http_counts_seconds() -> None:
    """The same fields, times in Unix seconds."""
    told = english.counted(Row(9, 0, "Hi.", AT_MS, SILENCE, "Hi.", 4))
    assert english.compact(told) == (
        '{"id":4,"session_id":9,"user_id":0,"data":"Hi.","create_time":1700000000,"update_time":1700000000,'
        '"audio_key":"00000000-0000-0000-0000-000000000000.wav"}'
    )


def test_a_notice_is_no_row() -> None:
    """It has none of a row's fields."""
    assert json.loads(english.notice("busy", "wait")) == {
        "message_type": "onair",
        "event_type": "onair.busy",
        "reason": "wait",
    }


@pytest.mark.parametrize(
    ("path", "ours"),
    [
        ("/ping", True), ("/chat", True), ("/session", True), ("/message", True), ("/reply", True), ("/transcribe", True),
        ("/audio/x.wav", True), ("/audio/../x", True), ("/audio", False), ("/chat/", False), ("/api/chat", False),
        ("/chats", False), ("/", False), ("/ws", False),
    ],
)  # fmt: skip
def test_these_paths_are_the_protocols(path: str, ours: bool) -> None:  # noqa: FBT001  drawn from a table
    """And no others."""
    assert english.serves(path) is ours


@pytest.mark.parametrize(("value", "number"), [("7", 7), (7, 7), ("+7", 7), ("007", 7), (str(MOST_ID), MOST_ID)])
def test_an_id_is_a_number_or_its_digits(value: object, number: int) -> None:
    """Of 64 bits."""
    assert english.user_of({"user_id": value}) == number
    assert english.session_of({"session_id": value}) == number


@pytest.mark.parametrize(
    "value",
    [None, "", "x", "７", " 7", "7 ", "1e3", 1.0, True, [], {}, "0x7", "7\0", "../7", MOST_ID + 1, "9" * 19, "9" * 400, 10**400,
     float("nan"), "\ud800"],
)  # fmt: skip
def test_what_is_no_id_is_refused(value: object) -> None:
    """With the field's name; nothing of it is a fault."""
    failure = refusal(english.user_of, {"user_id": value})
    assert (failure.code, failure.sentence[:7]) == (Code.BAD_INPUT, "user_id")
    assert refusal(english.any_session_of, {"session_id": value}).code is Code.BAD_INPUT
    assert len(failure.sentence) < 120


@pytest.mark.parametrize("value", ["0", "-1", 0, -7, -MOST_ID, f"-{MOST_ID}"])
def test_an_id_is_above_zero_unless_it_asks_for_a_new_session(value: object) -> None:
    """≤ 0 is a new session, and no user."""
    assert refusal(english.user_of, {"user_id": value}).sentence == "user_id must be > 0"
    assert refusal(english.session_of, {"session_id": value}).sentence == "session_id must be > 0"
    assert english.any_session_of({"session_id": value}) == 0


def test_a_session_may_be_left_out_of_an_upload() -> None:
    """And nowhere else."""
    for said in ({}, {"session_id": ""}, {"session_id": None}):
        assert english.any_session_of(said, absent=True) == 0
        assert refusal(english.any_session_of, said).sentence == "session_id is missing"
    assert english.any_session_of({"session_id": "9"}, absent=True) == 9
    assert "session 9 is another user's" in english.not_his(9)


def test_a_message_is_a_text_of_bounded_length() -> None:
    """What no database takes is replaced."""
    assert english.message_of({"msg": "I goed\0 home.\ud800"}, 20) == "I goed\ufffd home.\ufffd"
    for value in (None, 7, "", " \n", ["x"]):
        assert refusal(english.message_of, {"msg": value}, 20).code is Code.BAD_INPUT
    assert refusal(english.message_of, {"msg": "x" * 21}, 20).code is Code.TOO_LARGE


def test_a_body_is_json_or_a_form() -> None:
    """By its content type; what has none is JSON; nothing says nothing."""
    assert english.fields("application/json", b'{"user_id": 7}') == {"user_id": 7}
    assert english.fields("", b'{"user_id": 7}') == {"user_id": 7}
    assert english.fields(f"{FORM}; charset=utf-8", b"user_id=7&msg=a+%E4%BD%A0&x=") == {
        "user_id": "7",
        "msg": "a 你",
        "x": "",
    }
    assert english.fields(FORM, b" ") == english.fields("application/json", b"") == {}


@given(
    st.sampled_from([FORM, "application/json", "text/plain", "multipart/form-data; boundary=x"]), st.binary(max_size=80)
)
def test_whatever_a_body_is_it_is_read_or_refused(kind: str, body: bytes) -> None:
    """A total function."""
    assert code_of(english.fields, kind, body) in {None, Code.BAD_INPUT}


def test_a_form_has_few_fields() -> None:
    """More are refused before they are read."""
    assert refusal(english.fields, FORM, b"&".join(b"a=%d" % n for n in range(99))).code is Code.BAD_INPUT


def test_an_utterance_is_a_complete_wav() -> None:
    """Any other message is refused with what is wrong."""
    assert english.utterance(WAV, 10_000) == WAV
    assert refusal(english.utterance, None, 10_000).code is Code.BAD_INPUT
    assert refusal(english.utterance, "text", 10_000).code is Code.BAD_INPUT
    assert refusal(english.utterance, b"", 10_000).code is Code.BAD_AUDIO
    assert refusal(english.utterance, b"RIFFxxxxWAVE", 10_000).code is Code.BAD_AUDIO
    assert refusal(english.utterance, WAV, 3_200).code is Code.TOO_LARGE


@given(st.binary(max_size=120))
def test_no_bytes_are_a_fault(body: bytes) -> None:
    """They are a WAV, or refused."""
    assert code_of(english.utterance, b"RIFF\0\0\0\0WAVE" + body, 10_000) in {None, Code.BAD_AUDIO}


@pytest.mark.parametrize(
    "name",
    ["", "..", "../x.wav", "%2e%2e/x.wav", SILENCE[:-4], f"{SILENCE}\n", f"/{SILENCE}", f"{SILENCE}\0", SILENCE.upper(),
     f"x/{SILENCE}", SILENCE.replace("0", "０"), SILENCE.replace("-", "")],
)  # fmt: skip
def test_no_other_name_is_a_recordings(name: str) -> None:
    """Only a UUID in lower case with its ending."""
    assert english.is_recording(SILENCE)
    assert not english.is_recording(name)


def test_silence_is_a_short_wav() -> None:
    """It can be played, and nothing is heard."""
    wav = read_wav(english.SILENCE_WAV)
    assert (wav.rate, wav.channels, len(wav.pcm)) == (24_000, 1, 14_400)
    assert is_silent(wav.pcm)


def row(number: int, user: int, said: str) -> Row:
    return Row(9, user, "shown", AT_MS, said=said, id=number)


def test_a_prompt_has_what_was_said_and_not_what_failed() -> None:
    """In its order, the user's and the teacher's."""
    rows = [row(1, 7, "I goed."), row(2, 0, "I went."), row(3, 7, "Yes"), row(4, 0, ""), row(5, 7, "Again")]
    assert english.history(rows) == (("user", "I goed."), ("assistant", "I went."), ("user", "Yes"), ("user", "Again"))
    assert english.history([]) == ()


def test_a_prompt_is_bounded() -> None:
    """The newest rows, as many as fit; the newest always."""
    many = english.history([row(number, number % 2, str(number)) for number in range(100)])
    assert (len(many), many[-1][1]) == (english.ROWS, "99")
    long = english.history([row(1, 7, "a" * 3_000), row(2, 0, "b" * 3_000), row(3, 7, "c" * 3_000)])
    assert [text[0] for _, text in long] == ["b", "c"]
    assert [text[0] for _, text in english.history([row(1, 7, "a"), row(2, 7, "b" * 7_000)])] == ["b"]
