"""The bytes of the chat stream."""

import json
from base64 import urlsafe_b64decode

from hypothesis import given
from hypothesis import strategies as st

from services.gateway.core import sse
from services.runtime.sound import read_wav, write_wav

TEXT = st.text(st.characters(exclude_categories=()))


def naive(stream: bytes) -> list[dict[str, object]]:
    """The original client: six characters off each line that is not blank, the rest is JSON."""
    return [json.loads(line[6:]) for line in stream.decode().splitlines() if line]


def test_a_piece_is_one_line_with_its_keys_in_order() -> None:
    """A piece's bytes are these, no other: raw UTF-8, a space after each colon and comma, one blank line."""
    assert (
        sse.piece("你好呀，", b"\xfb\xff\xfe")
        == 'data: {"file": "-__-", "message": "你好呀，", "done": false}\n\n'.encode()
    )


def test_a_piece_without_audio_says_none_in_words() -> None:
    """`file` is the string None, never null, where there is no audio."""
    assert sse.piece("好", b"") == 'data: {"file": "None", "message": "好", "done": false}\n\n'.encode()


def test_the_last_line_carries_the_whole_answer() -> None:
    """The end has null for a file and keeps quotes and tags."""
    expected = 'data: {"file": null, "message": "[开心]\\"好！\\"（笑）", "done": true}\n\n'
    assert sse.last('[开心]"好！"（笑）') == expected.encode()


@given(TEXT, st.binary(max_size=64))
def test_the_naive_client_reads_every_text(text: str, pcm: bytes) -> None:
    """Whatever the text, the client that slices six characters off each line gets one object with it."""
    stream = sse.piece(text, write_wav(pcm)) + sse.last(text)
    first, last = naive(stream)
    meant = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    assert first["message"] == last["message"] == meant
    assert read_wav(urlsafe_b64decode(str(first["file"]))).pcm == pcm[: len(pcm) // 2 * 2]
    assert (first["done"], last["done"], last["file"]) == (False, True, None)
