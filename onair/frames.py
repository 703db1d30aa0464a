"""Frames of the live call as a client writes and reads them: four bytes of header, a u32 big-endian size, a payload. Pure."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from services.contract.failure import Code, Failure

REQUEST, SOUND = bytes.fromhex("11101000"), bytes.fromhex("11201000")
EVENT, AUDIO = bytes.fromhex("11901000"), bytes.fromhex("11b00000")
HEAD = 8


@dataclass(frozen=True)
class Event:
    """Something that the server says; the payload's fields are asked for by type: what is of another one is absent."""

    name: str
    payload: Mapping[str, Any]

    def text(self, key: str) -> str:
        """That field, if it is a text; else ''."""
        value = self.payload.get(key)
        return value if isinstance(value, str) else ""

    def number(self, key: str) -> int:
        """That field, if it is a whole number; else 0."""
        value = self.payload.get(key)
        return value if isinstance(value, int) and not isinstance(value, bool) else 0

    def part(self, key: str) -> "Event":
        """That field, if it is an object; else an empty one."""
        value = self.payload.get(key)
        return Event(key, cast("dict[str, Any]", value) if isinstance(value, dict) else {})


@dataclass(frozen=True)
class Audio:
    """Sound of the sentence that was announced last."""

    pcm: bytes


def request(event: str, payload: Mapping[str, Any]) -> bytes:
    """Something that the client wants."""
    return _framed(REQUEST, json.dumps({"event": event, "payload": payload}).encode())


def sound(pcm: bytes) -> bytes:
    """The microphone: s16le mono at 16 kHz."""
    return _framed(SOUND, pcm)


def parse(data: bytes | str) -> Event | Audio:
    """What the server says; raises Failure(ENGINE_BROKEN) for bytes that are no frame."""
    if not isinstance(data, bytes) or len(data) < HEAD or int.from_bytes(data[4:HEAD], "big") != len(data) - HEAD:
        raise _broken("a frame that is none")
    head, body = data[:4], data[HEAD:]
    if head == AUDIO:
        return Audio(body)
    if head != EVENT:
        raise _broken(f"a frame of the kind {head.hex()}")
    try:
        found: object = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise _broken("an event that is no JSON") from error
    whole = Event("", cast("dict[str, Any]", found) if isinstance(found, dict) else {})
    if not (name := whole.text("event")):
        raise _broken("an event without a name")
    return Event(name, whole.part("payload").payload)


def _framed(head: bytes, body: bytes) -> bytes:
    return head + len(body).to_bytes(4, "big") + body


def _broken(what: str) -> Failure:
    return Failure(Code.ENGINE_BROKEN, f"the server sent {what}; is it an OnAir gateway of this version?")
