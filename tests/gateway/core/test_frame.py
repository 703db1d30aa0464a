"""Frames of the live call."""

import gzip
import json
import struct
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.gateway.core import frame
from services.gateway.core.frame import (
    AUDIO_BYTES,
    JSON_BYTES,
    ProtocolError,
    Request,
    Sound,
    audio,
    parse,
    response,
)

PCM = bytes(range(200))
JSON_HEAD, SOUND_HEAD = bytes.fromhex("11101000"), bytes.fromhex("11201000")
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**40), 2**40) | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
heads = st.sampled_from(["11101000", "11201000", "11200000", "11101100", "11201100", "21101000", "11f01000", "12"])


def framed(head: bytes | str, body: bytes) -> bytes:
    return (bytes.fromhex(head) if isinstance(head, str) else head) + struct.pack(">I", len(body)) + body


def asked(event: str = "TextInput", **payload: object) -> bytes:
    return json.dumps({"event": event, "payload": payload}).encode()


def made(head: str, size: bytes, body: bytes) -> bytes:
    """Nearly a frame; a whole one where no size is given."""
    return bytes.fromhex(head) + size + body if size else framed(head, body)


def refused(data: bytes) -> tuple[str, int]:
    said = parse(data)
    assert isinstance(said, ProtocolError)
    assert said.sentence
    return said.code, said.close


def test_sound_of_the_original_client() -> None:
    """Framed once, framed twice as its web client does, with serialization 0 or 1, or zipped: the samples alone."""
    twice = bytes.fromhex("1120100000000c881120100000000c80") + bytes(3_200)
    assert parse(twice) == Sound(bytes(3_200))
    assert parse(framed(SOUND_HEAD, PCM)) == parse(framed("11200000", PCM)) == Sound(PCM)
    assert parse(framed("11201100", gzip.compress(PCM))) == Sound(PCM)
    assert parse(framed(SOUND_HEAD, framed("11201100", gzip.compress(PCM)))) == Sound(PCM)


@given(st.binary(max_size=4_000).map(lambda pcm: pcm[: len(pcm) // 2 * 2]))
def test_both_framings_say_the_same(pcm: bytes) -> None:
    """Whatever the samples are, but for those that are a frame themselves."""
    once, twice = parse(framed(SOUND_HEAD, pcm)), parse(framed(SOUND_HEAD, framed(SOUND_HEAD, pcm)))
    assert once == twice == Sound(pcm)


@given(json_values)
def test_requests_come_through(value: object) -> None:
    """With the size word, zipped, or as the original's documentation shows it; what was said is what is heard."""
    body = json.dumps({"event": "E", "payload": {"x": value}}, ensure_ascii=False).encode()
    expected = Request("E", {"x": value})
    assert parse(framed(JSON_HEAD, body)) == expected
    assert parse(framed("11101100", gzip.compress(body))) == expected
    assert parse(JSON_HEAD + body) == expected


def test_a_request_without_a_payload() -> None:
    """None, or no payload at all, is an empty one."""
    assert parse(framed(JSON_HEAD, b'{"event":"E"}')) == parse(framed(JSON_HEAD, b'{"event":"E","payload":null}'))
    assert parse(framed(JSON_HEAD, b'{"event":"E"}')) == Request("E", {})


@given(st.binary(max_size=300) | st.builds(made, heads, st.binary(max_size=5), st.binary(max_size=200)))
def test_any_bytes_are_a_frame_or_an_error(data: bytes) -> None:
    """The parser never raises; an error has a stable code and a close code that the protocol knows."""
    said = parse(data)
    assert isinstance(said, Request | Sound) or said.close in {1002, 1003, 1007, 1009}


@given(st.binary(max_size=64), st.integers(0, 80), st.integers(0, 255))
def test_one_wrong_byte(body: bytes, at: int, byte: int) -> None:
    """A good frame with one byte changed, cut or added never raises."""
    good = bytearray(framed(SOUND_HEAD, framed(SOUND_HEAD, body)))
    good[at % len(good)] = byte
    for data in (bytes(good), bytes(good[:at]), bytes(good) + b"x"):
        assert parse(data) is not None


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", ("bad_frame", 1002)),
        (SOUND_HEAD + b"\0\0", ("bad_frame", 1002)),
        (framed("21201000", PCM), ("bad_frame", 1002)),
        (framed("12201000", PCM), ("bad_frame", 1002)),
        (framed("11211000", PCM), ("bad_frame", 1002)),
        (framed(SOUND_HEAD, PCM) + b"xx", ("bad_frame", 1002)),
        (framed(SOUND_HEAD, PCM)[:-2], ("bad_frame", 1002)),
        (framed("11901000", PCM), ("unsupported", 1003)),
        (framed("11202000", PCM), ("unsupported", 1003)),
        (framed("11201200", PCM), ("unsupported", 1003)),
        (framed("11100000", asked()), ("unsupported", 1003)),
        (framed(SOUND_HEAD, b"odd"), ("bad_audio", 1007)),
        (framed(JSON_HEAD, b"\xff"), ("bad_frame", 1007)),
        (framed(JSON_HEAD, b"{"), ("bad_frame", 1007)),
        (framed(JSON_HEAD, b'{"event":NaN}'), ("bad_frame", 1007)),
        (framed(JSON_HEAD, rb'{"event":"\ud800"}'), ("bad_frame", 1007)),
        (framed(JSON_HEAD, b'{"event":' + b"9" * 5_000 + b"}"), ("bad_frame", 1007)),
        (framed(JSON_HEAD, b"[" * 40_000), ("bad_frame", 1007)),
        (framed(JSON_HEAD, b"[]"), ("bad_input", 1007)),
        (framed(JSON_HEAD, b'{"event":1}'), ("bad_input", 1007)),
        (framed(JSON_HEAD, b'{"event":"E","payload":[1]}'), ("bad_input", 1007)),
        (framed(SOUND_HEAD, bytes(AUDIO_BYTES + 2)), ("too_large", 1009)),
        (framed(SOUND_HEAD, bytes(AUDIO_BYTES + 40)), ("too_large", 1009)),
        (framed(JSON_HEAD, asked(text="x" * JSON_BYTES)), ("too_large", 1009)),
    ],
)
def test_what_is_refused(data: bytes, said: tuple[str, int]) -> None:
    """Each with its code and the close code of its kind."""
    assert refused(data) == said


def test_brackets_in_strings_are_not_depth() -> None:
    """Only nesting counts, whatever the texts hold; eight deep is allowed, nine is not."""
    assert parse(framed(JSON_HEAD, asked(text='[[[[[[[[[["\\'))) == Request("TextInput", {"text": '[[[[[[[[[["\\'})
    for depth, good in ((6, True), (7, False)):
        nested = parse(framed(JSON_HEAD, b'{"event":"E","payload":{"x":' + b"[" * depth + b"]" * depth + b"}}"))
        assert isinstance(nested, Request) is good


@pytest.mark.parametrize("body", [b'"' * 40_000, b'\\"' * 20_000, b'"\\' * 20_000, b'{"a":"' + b'\\"' * 20_000])
def test_texts_that_never_end_are_looked_at_once(body: bytes) -> None:
    """Every quote lies in what is taken for a string: none is the beginning of another look."""
    assert refused(framed(JSON_HEAD, body))[1] == 1007
    assert '"' not in frame._STRING.sub("", body.decode())  # pyright: ignore[reportPrivateUsage]  it is what is shown


def test_gzip_bombs_are_refused() -> None:
    """Plain, of many members, with trailing bytes, truncated, of nothing: refused without inflating them."""
    bomb = gzip.compress(bytes(64 * 1_024 * 1_024))
    assert refused(framed("11201100", bomb[:AUDIO_BYTES])) == ("too_large", 1009)
    assert refused(framed("11101100", gzip.compress(asked(text="x" * JSON_BYTES)))) == ("too_large", 1009)
    one = gzip.compress(PCM)
    for bad in (one + one, one + b"\0", one[:-1], one[:4], b"", zlib.compress(PCM)):
        assert refused(framed("11201100", bad)) == ("bad_frame", 1007)
    assert refused(framed("11201100", gzip.compress(framed(SOUND_HEAD, b"odd")))) == ("bad_audio", 1007)


def test_a_zipped_frame_is_not_unwrapped_again() -> None:
    """Nothing is inflated twice: what was zipped is the sound itself."""
    inner = framed("11201100", gzip.compress(PCM))
    inner += b"\0" * (len(inner) % 2)
    assert parse(framed("11201100", gzip.compress(inner))) == Sound(inner)


def test_what_the_server_sends() -> None:
    """Compact UTF-8 JSON, uncompressed; sound as it is; true sizes, no trailing bytes."""
    said = response("SentenceRecognized", {"sentence": "你好"})
    assert said == bytes.fromhex("11901000") + struct.pack(">I", len(said) - 8) + said[8:]
    assert said[8:].decode() == '{"event":"SentenceRecognized","payload":{"sentence":"你好"}}'
    assert audio(PCM) == bytes.fromhex("11b00000000000c8") + PCM
