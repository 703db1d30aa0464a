"""The listener's protocol: which conversation a client wants, and a room's words in the shape of Daily's app-messages."""

import json
import re
from dataclasses import dataclass
from typing import Any, Literal

from services.contract.ingest import Kind, LiveEvent
from services.contract.message import Message
from services.runtime.timeline import Caption, Opened, Timeline

WANT, GO = "conversation_id:", "disconnect"
_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
SPOKEN = frozenset({Kind.DANMAKU, Kind.SUPER_CHAT})
"""What viewers say in a room, as words of their own."""


@dataclass(frozen=True)
class Wanted:
    """The client listens to this conversation from now on; an id that cannot be one is empty."""

    conversation: str


class Leave:
    """The client has heard enough."""


def wish(text: str) -> Wanted | Leave | None:
    """What a client's text wants; None for any other, which is ignored."""
    text = text.strip()
    if text == GO:
        return Leave()
    if not text.startswith(WANT):
        return None
    conversation = text.removeprefix(WANT).strip()
    return Wanted(conversation if _ID.fullmatch(conversation) else "")


def notice(event: Literal["joined", "left", "error"], conversation: str, why: str = "") -> str:
    """What only clients of `?v=2` are told."""
    told = {"message_type": "onair", "event_type": f"onair.{event}", "conversation_id": conversation}
    return _text(told | ({"properties": {"reason": why}} if why else {}))


class Utterances:
    """A room's session as utterances: what viewers write is the user's, what is heard the replica's.

    An answer's utterance grows sentence by sentence: a later one of the same answer replaces it.
    """

    def __init__(self, room: str) -> None:
        self._room = room
        self._timeline = Timeline()
        self._said: list[str] = []

    def feed(self, message: Message, blob: bytes = b"") -> list[str]:
        """What listeners are sent because of this entry: one JSON text each."""
        told = [self._utterance("user", message.text)] if isinstance(message, LiveEvent) and _words(message) else []
        for out in self._timeline.feed(message, blob):
            if isinstance(out, Opened):
                self._said = []
            elif isinstance(out, Caption):
                self._said.append(out.text)
                told.append(self._utterance("replica", _joined(self._said)))
        return told

    def _utterance(self, role: str, speech: str) -> str:
        return _text(
            {
                "message_type": "conversation",
                "event_type": "conversation.utterance",
                "conversation_id": self._room,
                "properties": {"role": role, "speech": speech},
            }
        )


def _words(event: LiveEvent) -> bool:
    return event.kind in SPOKEN and bool(event.text.strip())


def _joined(sentences: list[str]) -> str:
    """Sentences of spaced scripts need a space between them."""
    return "".join(f"{text} " if text[-1:].isascii() else text for text in sentences).strip()


def _text(told: dict[str, Any]) -> str:
    return json.dumps(told, ensure_ascii=False)
