"""Frames of the live call: four header bytes, a u32 big-endian size, a payload; the parser is total."""

import json
import re
import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NoReturn, cast

KIB = 1_024
AUDIO_BYTES = 64 * KIB
"""Sound of one frame, after inflation: two seconds."""
JSON_BYTES = 48 * KIB
"""JSON of one frame, after inflation: the longest system prompt in Chinese, and room."""
DEPTH = 8
"""How deep JSON may be nested."""
HEAD = struct.Struct(">4BI")
VERSION, REQUEST, SOUND, GZIP, JSON = 1, 0b0001, 0b0010, 1, 1
PROTOCOL, UNSUPPORTED, BAD_DATA, TOO_BIG = 1002, 1003, 1007, 1009
"""Close codes (RFC 6455)."""
RESPONSE_HEAD, AUDIO_HEAD = bytes.fromhex("11901000"), bytes.fromhex("11b00000")
_STRING = re.compile(r'"(?:[^"\\]|\\.)*+(?:"|\\?\Z)', re.DOTALL)
"""A string, or one that does not end: so that no text is looked at twice."""


@dataclass(frozen=True)
class Request:
    """A JSON request of the client."""

    event: str
    payload: Mapping[str, Any]


@dataclass(frozen=True)
class Sound:
    """Sound of the microphone: s16le mono at 16 kHz."""

    pcm: bytes


@dataclass(frozen=True)
class ProtocolError:
    """Bytes that are no frame: a stable code, the WebSocket's close code, and a sentence for people."""

    code: str
    close: int
    sentence: str


class _BadError(Exception):
    def __init__(self, error: ProtocolError) -> None:
        super().__init__(error.sentence)
        self.error = error


@dataclass(frozen=True)
class _Head:
    kind: int
    json: bool
    gzip: bool
    size: int


def parse(data: bytes) -> Request | Sound | ProtocolError:
    """What the client says; never raises, whatever the bytes are.

    Sound may be framed twice, as the original web client does. A JSON request without the size word, as the original's
    documentation shows it, is known by its byte 4, `{`: as a size that would be beyond the limit.
    """
    try:
        return _parse(data)
    except _BadError as bad:
        return bad.error


def response(event: str, payload: Mapping[str, Any]) -> bytes:
    """A JSON response: compact UTF-8, never compressed."""
    body = json.dumps({"event": event, "payload": payload}, ensure_ascii=False, separators=(",", ":")).encode()
    return RESPONSE_HEAD + len(body).to_bytes(4, "big") + body


def audio(body: bytes) -> bytes:
    """Sound for the client, as it is."""
    return AUDIO_HEAD + len(body).to_bytes(4, "big") + body


def _parse(data: bytes) -> Request | Sound:
    if len(data) > AUDIO_BYTES + 2 * HEAD.size:
        _bad("too_large", TOO_BIG, f"a frame has at most {AUDIO_BYTES + 2 * HEAD.size} bytes, this one {len(data)}")
    if len(data) > 4 and data[4] == ord("{") and data[0] == 0x11 and data[1] >> 4 == REQUEST and data[2] & 15 == 0:  # noqa: PLR2004  after the four bytes of the header
        return _request(data[4:])
    head = _head(data)
    body = data[HEAD.size :]
    if head.size != len(body):
        _bad("bad_frame", PROTOCOL, f"the frame says that {head.size} bytes follow its header; there are {len(body)}")
    if head.kind == SOUND:
        return Sound(_sound(_inflated(body, AUDIO_BYTES) if head.gzip else body, within=not head.gzip))
    if not head.json:
        _bad("unsupported", UNSUPPORTED, "a request is JSON: its header is 11 10 10 00")
    return _request(_inflated(body, JSON_BYTES) if head.gzip else body)


def _head(data: bytes) -> _Head:
    if len(data) < HEAD.size:
        _bad(
            "bad_frame", PROTOCOL, f"a frame begins with {HEAD.size} bytes of header and size; this one has {len(data)}"
        )
    version, kind, coding, _, size = HEAD.unpack_from(data)
    if version != VERSION << 4 | 1:
        _bad("bad_frame", PROTOCOL, f"a frame begins with 11 (version 1, one word of header), not {version:02x}")
    if kind & 15:
        _bad("bad_frame", PROTOCOL, f"the flags of a frame are 0, not {kind & 15}")
    if kind >> 4 not in {REQUEST, SOUND}:
        _bad("unsupported", UNSUPPORTED, f"a client sends requests (type 1) and sound (type 2), not type {kind >> 4}")
    if coding >> 4 > JSON or coding & 15 > GZIP:
        _bad("unsupported", UNSUPPORTED, f"serialization is 0 or 1 (JSON), compression 0 or 1 (gzip), not {coding:02x}")
    return _Head(kind >> 4, coding >> 4 == JSON, coding & 15 == GZIP, size)


def _inflated(body: bytes, limit: int) -> bytes:
    """One whole gzip member and nothing after it, within the limit."""
    engine = zlib.decompressobj(zlib.MAX_WBITS | 16)
    try:
        plain = engine.decompress(body, limit + 1)
    except zlib.error as error:
        _bad("bad_frame", BAD_DATA, f"the payload is no gzip: {error}")
    if len(plain) > limit:
        _bad("too_large", TOO_BIG, f"the payload is larger than the {limit} bytes that are allowed")
    if not engine.eof or engine.unused_data:
        _bad("bad_frame", BAD_DATA, "the payload is one whole gzip member, and nothing after it")
    return plain


def _sound(body: bytes, *, within: bool) -> bytes:
    """The samples, without a second frame around them."""
    if within and len(body) >= HEAD.size:
        version, kind, coding, _, size = HEAD.unpack_from(body)
        if (
            (version, kind) == (0x11, SOUND << 4)
            and coding in {0x00, 0x10, 0x01, 0x11}
            and size == len(body) - HEAD.size
        ):
            inner = body[HEAD.size :]
            body = _inflated(inner, AUDIO_BYTES) if coding & 15 else inner
    if len(body) > AUDIO_BYTES:
        _bad("too_large", TOO_BIG, f"the sound of a frame has at most {AUDIO_BYTES} bytes, this one {len(body)}")
    if len(body) % 2:
        _bad("bad_audio", BAD_DATA, "sound is s16le: a whole number of samples, two bytes each")
    return body


def _request(body: bytes) -> Request:
    if len(body) > JSON_BYTES:
        _bad("too_large", TOO_BIG, f"a request has at most {JSON_BYTES} bytes, this one {len(body)}")
    try:
        text = body.decode()
    except UnicodeDecodeError as error:
        _bad("bad_frame", BAD_DATA, f"a request is UTF-8: {error.reason} at byte {error.start}")
    if _deep(text):
        _bad("bad_frame", BAD_DATA, f"a request is nested at most {DEPTH} deep")
    try:
        found: object = json.loads(text, parse_constant=_no_constant)
        json.dumps(found, ensure_ascii=False).encode()
    except ValueError as error:  # also what holds half a surrogate pair, which no text can
        _bad("bad_frame", BAD_DATA, f"a request is JSON: {error}"[:200])
    tree = cast("dict[str, Any]", found) if isinstance(found, dict) else {}
    event, payload = tree.get("event"), cast("object", tree.get("payload") or {})
    if not isinstance(event, str) or not isinstance(payload, dict):
        _bad("bad_input", BAD_DATA, 'a request is {"event": "<name>", "payload": {…}}')
    return Request(event, cast("dict[str, Any]", payload))


def _deep(text: str) -> bool:
    """Whether brackets outside of strings are nested too deep; asked before parsing, which recurses."""
    depth = 0
    for char in _STRING.sub("", text):
        if char in "[{":
            depth += 1
            if depth > DEPTH:
                return True
        elif char in "]}":
            depth -= 1
    return False


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


def _bad(code: str, close: int, sentence: str) -> NoReturn:
    raise _BadError(ProtocolError(code, close, sentence))
