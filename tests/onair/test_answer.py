"""The voice-chat stream as a client reads it."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onair.answer import LINE_LIMIT, Done, Piece, Stream
from services.contract.failure import Code, Failure
from services.gateway.core import sse

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)


@given(st.lists(st.tuples(TEXTS, st.binary(max_size=9))), TEXTS, st.integers(1, 7))
def test_what_the_gateway_writes_is_read(pieces: list[tuple[str, bytes]], raw: str, size: int) -> None:
    """Sentences, sound and the end come out as they went in, however the bytes are cut; what follows is not read."""
    written = b"".join(sse.piece(text, wav) for text, wav in pieces) + sse.last(raw) + sse.piece("late", b"")
    stream = Stream()
    found = [each for at in range(0, len(written), size) for each in stream.feed(written[at : at + size])]
    assert found == [*(Piece(text, wav) for text, wav in pieces), Done(raw)]
    assert stream.over


@given(st.lists(st.binary(max_size=30)), st.booleans())
def test_any_bytes_are_a_stream_or_a_failure(chunks: list[bytes], data: bool) -> None:  # noqa: FBT001  Hypothesis gives it
    """Nothing that a server sends makes the reader break."""
    stream = Stream()
    with suppress(Failure):
        for chunk in chunks:
            stream.feed(b"data:" + chunk + b"\n" if data else chunk)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (b"data: {", "a line that is not JSON"),
        (b"data: " + b"[" * 100_000, "a line that is not JSON"),
        (b"data: []", "a line without a message"),
        (b'data: {"message": null, "done": true}', "a line without a message"),
        (b'data: {"message": "", "file": "a"}', "sound that is not base64"),
    ],
)
def test_what_is_no_such_stream(line: bytes, said: str) -> None:
    """The sentence says what came instead."""
    with pytest.raises(Failure, match=said) as caught:
        Stream().feed(line + b"\n")
    assert caught.value.code is Code.ENGINE_BROKEN


def test_what_others_write_is_understood() -> None:
    """Blank lines, comments, event names, null files and standard base64 are no reason to give up."""
    stream = Stream()
    lines = b': ping\r\n\r\nevent: x\r\ndata: {"file":null,"message":"a"}\r\ndata: {"file":"+/8=","message":"b"}\n'
    assert stream.feed(lines) == [Piece("a", b""), Piece("b", b"\xfb\xff")]


def test_a_line_without_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory is bounded."""
    assert LINE_LIMIT > 1 << 20
    monkeypatch.setattr("onair.answer.LINE_LIMIT", 10)
    with pytest.raises(Failure, match="a line without an end"):
        Stream().feed(b"data: 123456")
