"""What clients send."""

import json
from base64 import standard_b64encode, urlsafe_b64encode
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.contract.failure import Code, Failure
from services.gateway.core.bodies import History, clip, history
from services.gateway.core.caps import Caps
from services.runtime.sound import write_wav

CAPS = Caps(messages=3, text=20, ask=10)
SPACES = st.lists(st.sampled_from(["", " ", "\n", "\r\n", "\t"]), min_size=1, max_size=4)


def asked_for(body: bytes) -> History:
    return history(body, CAPS)


def refusal(call: Any, *args: Any) -> Failure:
    with pytest.raises(Failure) as caught:
        call(*args)
    return caught.value


@given(st.binary(max_size=200), st.sampled_from([standard_b64encode, urlsafe_b64encode]), st.booleans(), SPACES)
def test_a_clip_comes_in_either_alphabet(pcm: bytes, encode: Any, padded: bool, spaces: list[str]) -> None:  # noqa: FBT001  drawn
    """Standard and URL-safe base64, with or without padding, with white space anywhere: the same WAV."""
    wav = write_wav(pcm, 16_000)
    text = encode(wav).decode()
    text = text if padded else text.rstrip("=")
    text = "".join(char + spaces[number % len(spaces)] for number, char in enumerate(text))
    assert clip(json.dumps({"data": text}).encode()) == wav


@pytest.mark.parametrize("body", ['{"data": "a!b="}', '{"data": "AAAAA"}', '{"data": "A=AA"}', '{"data": "你好"}'])
def test_what_is_not_base64_is_said_to_be_so(body: str) -> None:
    """Foreign characters, an impossible length and padding in the middle are refused."""
    failure = refusal(clip, body.encode())
    assert (failure.code, failure.sentence) == (Code.BAD_INPUT, "data is not base64, standard or URL-safe")


@pytest.mark.parametrize("body", ["{}", '{"data": null}', '{"data": 7}', '{"data": ["UklGRg=="]}'])
def test_a_clip_without_data_is_told_what_to_send(body: str) -> None:
    """The sentence shows the right body."""
    assert refusal(clip, body.encode()).sentence.startswith('send {"data":')


@pytest.mark.parametrize(
    ("wav", "reason"),
    [
        (b"", "no WAV file"),
        (b"ID3\x04 an mp3 file", "no WAV file"),
        (b"RIFF\x04\x00\x00\x00WAVE", "no data chunk"),
        (write_wav(b"\0\0")[:20] + b"\x55\x00" + write_wav(b"\0\0")[22:], "cannot be read"),
    ],
)
def test_sound_that_cannot_be_read_is_refused_with_the_reason(wav: bytes, reason: str) -> None:
    """Bytes that decode as base64 and not as sound: bad audio, and why."""
    failure = refusal(clip, json.dumps({"data": standard_b64encode(wav).decode()}).encode())
    assert failure.code is Code.BAD_AUDIO
    assert reason in failure.sentence


@pytest.mark.parametrize("body", [b"", b"{", b"[" * 100_000, b'{"a": "\xff"}', b"1" * 5_000, b"NaN", b"[]", b'"data"'])
def test_a_body_that_is_no_json_object_is_refused(body: bytes) -> None:
    """Broken, endlessly nested, wrongly encoded or not an object: bad input, never another error."""
    for read in (clip, asked_for):
        failure = refusal(read, body)
        assert failure.code is Code.BAD_INPUT
        assert failure.sentence.startswith("the body is not")


def asked(*messages: tuple[object, object]) -> bytes:
    return json.dumps({"msg": [{"role": role, "content": content} for role, content in messages]}).encode()


def test_a_history_is_taken_whole() -> None:
    """All messages are kept in order; what is asked is the last one of the user."""
    found = history(asked(("system", "你是爱丽丝"), ("user", "嗨"), ("assistant", "嗨！")), CAPS)
    assert found == History((("system", "你是爱丽丝"), ("user", "嗨"), ("assistant", "嗨！")), "嗨")


def test_half_an_emoji_becomes_a_mark() -> None:
    """A lone surrogate, which no UTF-8 can carry, is replaced instead of breaking the turn."""
    assert history(b'{"msg": [{"role": "user", "content": "hi \\ud83d"}]}', CAPS).ask == "hi \ufffd"


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"{}", "at least one message"),
        (b'{"msg": []}', "at least one message"),
        (b'{"msg": "hi"}', "at least one message"),
        (b'{"msg": ["hi"]}', "msg[0].role"),
        (asked(("user", "a"), ("tool", "b")), "msg[1].role must be one of system, user, assistant"),
        (asked((["user"], "a")), "msg[0].role"),
        (asked(("user", None)), "msg[0].content must be a text"),
        (asked(("system", "a")), "nothing to answer"),
        (asked(("user", "a"), ("user", " ")), "nothing to answer"),
    ],
)
def test_a_bad_history_is_refused_with_the_reason(body: bytes, reason: str) -> None:
    """The sentence names the place."""
    failure = refusal(history, body, CAPS)
    assert failure.code is Code.BAD_INPUT
    assert reason in failure.sentence


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (asked(*[("user", "a")] * 4), "msg has 4 messages; 3 are allowed"),
        (asked(("system", "x" * 21), ("user", "a")), "msg[0].content has 21 characters; 20 are allowed"),
        (asked(("user", "x" * 11)), "the last message of the user has 11 characters; 10 are allowed"),
    ],
)
def test_a_history_is_bounded(body: bytes, reason: str) -> None:
    """In messages, in the length of each, and in the length of what is asked."""
    failure = refusal(history, body, CAPS)
    assert (failure.code, failure.sentence) == (Code.TOO_LARGE, reason)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["msg", "role", "content", "data"]), inner),
    )
)
def test_reading_a_body_is_total(body: object) -> None:
    """Any JSON gives a result or a Failure, never another error."""
    raw = json.dumps(body).encode()
    for read in (clip, asked_for):
        with suppress(Failure):
            assert read(raw)
