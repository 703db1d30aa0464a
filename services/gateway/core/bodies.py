"""What clients send: a clip, a history. Total functions of the body: what they ask for, or a Failure with the reason."""

import json
from binascii import a2b_base64
from dataclasses import dataclass
from typing import cast

from services.contract.failure import Code, Failure
from services.gateway.core.caps import Caps
from services.runtime.sound import BadSoundError, read_wav
from services.runtime.words import whole

ROLES = ("system", "user", "assistant")
_STANDARD = bytes.maketrans(b"-_", b"+/")
_ALPHABET = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
_QUARTET = 4


@dataclass(frozen=True)
class History:
    """What a chat client wants answered."""

    messages: tuple[tuple[str, str], ...]
    """(role, content), all that the client sent."""
    ask: str
    """The last message of the user."""


def clip(body: bytes) -> bytes:
    """The complete WAV in `{"data": "<base64>"}`, whose sound can be read.

    Standard and URL-safe base64, with or without padding; white space is passed over. Raises Failure BAD_INPUT, or
    BAD_AUDIO with what is wrong with the sound.
    """
    data = table(body).get("data")
    if not isinstance(data, str):
        raise Failure(Code.BAD_INPUT, 'send {"data": "<base64 of a complete WAV file>"}')
    wav = _base64(data)
    try:
        read_wav(wav)
    except BadSoundError as error:
        raise Failure(Code.BAD_AUDIO, str(error)) from error
    return wav


def _base64(text: str) -> bytes:
    """Decode either alphabet. Raises Failure BAD_INPUT."""
    raw = text.encode("ascii", "replace").translate(_STANDARD, b" \t\r\n\v\f").rstrip(b"=")
    if raw.translate(None, _ALPHABET) or len(raw) % _QUARTET == 1:
        raise Failure(Code.BAD_INPUT, "data is not base64, standard or URL-safe")
    return a2b_base64(raw + b"=" * (-len(raw) % _QUARTET))


def history(body: bytes, caps: Caps) -> History:
    """The history in `{"msg": [{"role", "content"}, …]}`. Raises Failure BAD_INPUT or TOO_LARGE."""
    found = table(body).get("msg")
    if not isinstance(found, list) or not found:
        raise Failure(Code.BAD_INPUT, 'send {"msg": [{"role": "user", "content": "…"}]} with at least one message')
    entries = cast("list[object]", found)
    if len(entries) > caps.messages:
        raise Failure(Code.TOO_LARGE, f"msg has {len(entries)} messages; {caps.messages} are allowed")
    messages = tuple(_message(number, entry, caps) for number, entry in enumerate(entries))
    ask = next((content for role, content in reversed(messages) if role == "user"), "")
    if not ask.strip():
        raise Failure(Code.BAD_INPUT, "msg has no message of the role user with text in it: there is nothing to answer")
    if len(ask) > caps.ask:
        raise Failure(Code.TOO_LARGE, f"the last message of the user has {len(ask)} characters; {caps.ask} are allowed")
    return History(messages, ask)


def _message(number: int, entry: object, caps: Caps) -> tuple[str, str]:
    fields = cast("dict[str, object]", entry) if isinstance(entry, dict) else {}
    role, content = fields.get("role"), fields.get("content")
    if role not in ROLES:
        raise Failure(Code.BAD_INPUT, f"msg[{number}].role must be one of {', '.join(ROLES)}")
    if not isinstance(content, str):
        raise Failure(Code.BAD_INPUT, f"msg[{number}].content must be a text")
    if len(content) > caps.text:
        raise Failure(Code.TOO_LARGE, f"msg[{number}].content has {len(content)} characters; {caps.text} are allowed")
    return role, whole(content)


def table(body: bytes) -> dict[str, object]:
    """The JSON object in a body. Raises Failure BAD_INPUT."""
    try:
        found: object = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise Failure(Code.BAD_INPUT, f"the body is not JSON: {error}") from error
    if not isinstance(found, dict):
        raise Failure(Code.BAD_INPUT, "the body is not a JSON object")
    return cast("dict[str, object]", found)
