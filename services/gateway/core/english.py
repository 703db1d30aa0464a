"""The English partner's protocol: its paths, what clients send, rows as they are told, names of recordings."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl

from services.contract.failure import Code, Failure
from services.contract.tts import AIR_RATE
from services.gateway.core.bodies import table
from services.runtime.sound import BadSoundError, read_wav, write_wav
from services.runtime.words import clip, whole

CHAT = "/chat"
PATHS = frozenset({"/ping", CHAT, "/session", "/message", "/reply", "/transcribe"})
AUDIO = "/audio/"
PAGES = frozenset({"http://localhost:8080", "http://127.0.0.1:8080"})
"""Where the original pages' dev server serves them: let in where the operator names no origins."""
MOST_ID = 2**63 - 1
NEW_IDS = 2**53 - 1
"""Ids that we make are at most so large: a page's numbers are exact up to here."""
MOST_FIELDS = 16
FORM = "application/x-www-form-urlencoded"
SILENCE = "00000000-0000-0000-0000-000000000000.wav"
"""The recording of what was not spoken: always there, whatever became of the disk."""
SILENCE_WAV = write_wav(bytes(2 * AIR_RATE * 3 // 10))
ROWS, CHARACTERS = 24, 6_000
"""Of a session in a prompt, at most; the newest count."""
BUSY = "a reply is being made; what you said meanwhile was not heard"
_ID = re.compile(r"[+-]?[0-9]{1,19}", re.ASCII)
_NAME = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\.wav")


@dataclass(frozen=True)
class Row:
    """One message of a session."""

    session: int
    user: int
    """0: the teacher."""
    data: str
    at_ms: int
    """Unix milliseconds."""
    audio: str = ""
    """Name of its recording; '' for what was typed."""
    said: str = ""
    """What of it goes into the prompt; '' for what failed."""
    id: int = 0
    """0: it is not written down."""


def serves(path: str) -> bool:
    """Whether the path is one of this protocol."""
    return path in PATHS or path.startswith(AUDIO)


def is_recording(name: str) -> bool:
    """Whether that may be the name of a recording; any other never reaches the disk."""
    return _NAME.fullmatch(name) is not None


def fields(kind: str, body: bytes) -> dict[str, object]:
    """What a body says, a form or a JSON object by its content type; {} for an empty one. Raises Failure BAD_INPUT."""
    if not body.strip():
        return {}
    if kind.partition(";")[0].strip().lower() != FORM:
        return table(body)
    try:
        return dict(parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=MOST_FIELDS))
    except ValueError as error:
        raise Failure(Code.BAD_INPUT, f"the form cannot be read: {error}") from error


def user_of(given: Mapping[str, object]) -> int:
    """Who the client says he is; raises Failure BAD_INPUT."""
    return _positive(given, "user_id")


def session_of(given: Mapping[str, object]) -> int:
    """An id that is there already, or that the client chose; raises Failure BAD_INPUT."""
    return _positive(given, "session_id")


def any_session_of(given: Mapping[str, object], *, absent: bool = False) -> int:
    """The same, where ≤ 0 asks for a new one and is 0, and so does nothing where it may be `absent`; raises BAD_INPUT."""
    if absent and not given.get("session_id"):
        return 0
    return max(0, _number(given, "session_id"))


def message_of(given: Mapping[str, object], most: int) -> str:
    """What the client wants answered; raises Failure BAD_INPUT or TOO_LARGE."""
    text = given.get("msg")
    if not isinstance(text, str) or not (kept := clean(text)).strip():
        raise Failure(Code.BAD_INPUT, "msg is missing: send what is to be answered as a text")
    if len(kept) > most:
        raise Failure(Code.TOO_LARGE, f"msg has {len(kept)} characters; {most} are allowed")
    return kept


def _positive(given: Mapping[str, object], name: str) -> int:
    if (number := _number(given, name)) > 0:
        return number
    raise Failure(Code.BAD_INPUT, f"{name} must be > 0")


def _number(given: Mapping[str, object], name: str) -> int:
    value = given.get(name)
    if value is None or value == "":
        raise Failure(Code.BAD_INPUT, f"{name} is missing")
    text = value if isinstance(value, str) else str(value) if type(value) is int else ""
    if not _ID.fullmatch(text) or abs(int(text)) > MOST_ID:
        raise Failure(
            Code.BAD_INPUT, f"{name} is {clip(clean(str(value)), 40)!r}; it must be a whole number of 64 bits"
        )
    return int(text)


def clean(text: str) -> str:
    """The text as every database takes it."""
    return whole(text).replace("\0", "\N{REPLACEMENT CHARACTER}")


def not_his(session: int) -> str:
    """What is told to whoever asks for another user's session."""
    return f"session {session} is another user's; session_id 0 makes a new one"


def utterance(body: object, most: int) -> bytes:
    """A complete WAV whose sound can be read; raises Failure BAD_INPUT, BAD_AUDIO or TOO_LARGE."""
    if not isinstance(body, bytes):
        raise Failure(Code.BAD_INPUT, "send each utterance as one binary message: a complete WAV file")
    if len(body) > most:
        raise Failure(Code.TOO_LARGE, f"the recording has {len(body)} bytes; {most} are allowed")
    try:
        read_wav(body)
    except BadSoundError as error:
        raise Failure(Code.BAD_AUDIO, str(error)) from error
    return body


def history(rows: Sequence[Row]) -> tuple[tuple[str, str], ...]:
    """The newest rows as (role, content), oldest first, within the bounds; without what failed."""
    kept: list[tuple[str, str]] = []
    left = CHARACTERS
    for row in reversed([row for row in rows if row.said][-ROWS:]):
        left -= len(row.said)
        if kept and left < 0:
            break
        kept.insert(0, ("user" if row.user else "assistant", row.said))
    return tuple(kept)


def dated(row: Row) -> str:
    """The row as JSON with times by RFC 3339: as on the WebSocket, whose rows end with a new line, and of /transcribe."""
    at = datetime.fromtimestamp(row.at_ms / 1_000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return compact(_told(row, at))


def counted(row: Row) -> dict[str, Any]:
    """The row with times in Unix seconds, as of /message and /reply."""
    return _told(row, row.at_ms // 1_000)


def _told(row: Row, at: str | int) -> dict[str, Any]:
    """In the protocol's order; a row is never changed."""
    return {
        "id": row.id,
        "session_id": row.session,
        "user_id": row.user,
        "data": row.data,
        "create_time": at,
        "update_time": at,
        "audio_key": row.audio,
    }


def notice(event: str, why: str) -> str:
    """What only clients of `?v=2` are told; it is no row."""
    return compact({"message_type": "onair", "event_type": f"onair.{event}", "reason": why})


def compact(told: Mapping[str, Any]) -> str:
    """JSON without spaces, in raw UTF-8."""
    return json.dumps(told, ensure_ascii=False, separators=(",", ":"))
