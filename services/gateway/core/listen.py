"""The listener's protocol: which conversation a client wants, a room's words in the shape of Daily's app-messages, and Daily's own."""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

from services.contract.failure import Code
from services.contract.ingest import (
    AppMessageHeard,
    ConversationEnded,
    ConversationFailed,
    ConversationJoined,
    Kind,
    LiveEvent,
)
from services.contract.message import Message
from services.runtime import words
from services.runtime.timeline import Caption, Opened, Timeline

WANT, GO = "conversation_id:", "disconnect"
_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
NOBODY = (
    "nobody has taken this conversation over yet: does ingest run, is it in too many conversations? "
    "It is joined as soon as one does"
)
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


@dataclass(frozen=True)
class Notice:
    """What only clients of `?v=2` are told."""

    event: Literal["joined", "left", "error"]
    conversation: str
    why: str = ""
    code: Code | None = None
    """Of an error."""
    waits: bool = False
    """The client goes on waiting for the conversation; after any other error it listens to nothing."""

    @property
    def text(self) -> str:
        """As it is sent."""
        told: dict[str, Any] = {
            "message_type": "onair",
            "event_type": f"onair.{self.event}",
            "conversation_id": self.conversation,
        }
        more = {"reason": self.why, "code": self.code, "waits": self.waits}
        properties = {name: value for name, value in more.items() if value}
        return _text(told | ({"properties": properties} if properties else {}))


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
                told.append(self._utterance("replica", words.joined(self._said)))
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


@dataclass(frozen=True)
class Stand:
    """How a conversation of Daily stands, besides what its session says."""

    call: str = ""
    """Names the stay of the process that is in it; '' while none is."""
    silent: bool = False
    """Nobody has taken it over for longer than that takes."""


class Conversation:
    """A conversation of Daily for one listener: its app-messages as they are, and notices."""

    def __init__(self, conversation: str, rooms: Iterable[str] = ()) -> None:
        """`rooms`: what the client may have meant where nobody can join conversations of Daily."""
        self._name = conversation
        self._rooms = ", ".join(sorted(rooms)) or "none"
        self._call = ""
        self._silent = False
        self.over = False
        """Nothing more comes."""

    def stands(self, stand: Stand) -> list[Notice]:
        """Feed how it stands."""
        told = self._joined(stand.call) if stand.call else []
        if stand.silent and not self._silent:
            told.append(Notice("error", self._name, NOBODY, Code.ENGINE_SILENT, waits=True))
        self._silent = stand.silent
        return told

    def feed(self, message: Message, blob: bytes = b"") -> list[str | Notice]:
        """Feed an entry of its session; texts are sent to every client."""
        match message:
            case AppMessageHeard():
                return [blob.decode("utf-8", "replace")]
            case ConversationJoined(call=call):
                return [*self._joined(call)]
            case ConversationFailed(code=code, sentence=sentence):
                self.over = True
                hint = f"; if a room was meant, known are: {self._rooms}" if code is Code.ENGINE_MISSING else ""
                return [Notice("error", self._name, sentence + hint, code)]
            case ConversationEnded(reason=reason):
                self.over = True
                return [Notice("error", self._name, reason, Code.EXPIRED)]
            case _:
                return []

    def _joined(self, call: str) -> list[Notice]:
        """Told once for each stay: between two of them something may have been missed."""
        if call == self._call:
            return []
        self._call = call
        return [Notice("joined", self._name)]


def _words(event: LiveEvent) -> bool:
    return event.kind in SPOKEN and bool(event.text.strip())


def _text(told: dict[str, Any]) -> str:
    return json.dumps(told, ensure_ascii=False)
