"""The frames of a live call from the client's side: the server's own parser is the measure."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onair import frames
from onair.frames import Audio, Event
from services.contract.failure import Failure
from services.gateway.core import frame

JSON = st.recursive(st.none() | st.booleans() | st.integers(-1000, 1000) | st.text(max_size=9), st.lists, max_leaves=4)
PAYLOAD = st.dictionaries(st.text(max_size=9), JSON, max_size=4)


def test_the_bytes() -> None:
    """As the original client writes them, and as the server does."""
    body = b'{"event": "A", "payload": {"b": 1}}'
    assert frames.request("A", {"b": 1}) == bytes.fromhex("1110100000000023") + body
    assert frames.sound(b"\1\2").hex() == "1120100000000002" + "0102"
    assert frames.parse(bytes.fromhex("11b0000000000002") + b"\1\2") == Audio(b"\1\2")
    body = b'{"event":"BotReady","payload":{"session":"a"}}'
    assert frames.parse(bytes.fromhex("11901000") + len(body).to_bytes(4, "big") + body) == Event(
        "BotReady", {"session": "a"}
    )


@given(st.text(min_size=1, max_size=20), PAYLOAD, st.binary(max_size=40).map(lambda pcm: pcm * 2))
def test_the_server_reads_what_is_written(event: str, payload: dict[str, object], pcm: bytes) -> None:
    """Requests and sound arrive as they were meant; what the server says is read as it was said."""
    assert frame.parse(frames.request(event, payload)) == frame.Request(event, payload)
    assert frame.parse(frames.sound(b"\0\0" + pcm)) == frame.Sound(b"\0\0" + pcm)
    assert frames.parse(frame.response(event, payload)) == Event(event, payload)
    assert frames.parse(frame.audio(pcm)) == Audio(pcm)


@pytest.mark.parametrize(
    "data",
    [
        "text", b"", b"\x11\x90", bytes.fromhex("1190100000000005") + b"{}", bytes.fromhex("1140100000000000"),
        bytes.fromhex("1190100000000002") + b"{]", bytes.fromhex("1190100000000002") + b"[]",
        bytes.fromhex("1190100000000002") + b"{}",
    ],
)  # fmt: skip
def test_what_is_no_frame(data: bytes | str) -> None:
    """Is refused with a sentence."""
    with pytest.raises(Failure, match="is it an OnAir gateway"):
        frames.parse(data)


@given(st.binary(max_size=60))
def test_any_bytes(data: bytes) -> None:
    """Are a frame or a Failure."""
    for head in (b"", frames.EVENT, frames.AUDIO):
        whole = head + len(data).to_bytes(4, "big") + data if head else data
        with suppress(Failure):
            assert isinstance(frames.parse(whole), Event | Audio)


def test_fields_of_another_type_are_absent() -> None:
    """Whatever the server says, the client goes on."""
    event = Event("x", {"a": 1, "b": "t", "c": True, "d": {"e": 2}, "f": 1.5})
    assert [event.text(key) for key in "abcz"] == ["", "t", "", ""]
    assert [event.number(key) for key in "abcfz"] == [1, 0, 0, 0, 0]
    assert (event.part("d").number("e"), event.part("a").payload) == (2, {})
