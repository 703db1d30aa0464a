"""Answering a conversation of Daily: which of its app-messages ask something, and in which ones the answer is sent.

Tavus sends what a user said once; others send it while it grows. So an utterance asks as soon as nothing has been added to
it for a moment, or something else is said.
"""

import json
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal, cast

from services.contract.llm import AnswerEnded, SentenceReady
from services.contract.message import Message
from services.runtime import words

GROW_MS = 500
"""An utterance that grows is added to within this time."""
ASK = 8_000
"""Characters of what is asked: the contract's own limit."""
SENT_BYTES = 3_000
"""Of the text of one app-message: Daily takes 4 KiB of JSON."""
REMEMBERED = 32
"""So many of our own words are known again when they come back as a user's."""
UTTERANCE = "conversation.utterance"


@dataclass(frozen=True)
class Question:
    """What a user said, to its end."""

    text: str
    at_ms: int
    """When the last of it came, Unix milliseconds."""


class Questions:
    """One conversation's app-messages, fed in order; time is Unix milliseconds."""

    def __init__(self) -> None:
        self._open: Question | None = None
        self._own: deque[str] = deque(maxlen=REMEMBERED)

    def heard(self, body: bytes, now_ms: int) -> list[Question]:
        """What is asked now that this app-message came."""
        text = _said_by_user(body)
        if not text or _bare(text) in self._own:
            return []
        before, self._open = self._open, Question(text, now_ms)
        grown = before is None or _bare(text).startswith(_bare(before.text))
        return [] if before is None or grown else [before]

    @property
    def due_ms(self) -> int | None:
        """When `tick` has something to say; None: not before somebody speaks."""
        return self._open.at_ms + GROW_MS if self._open else None

    def tick(self, now_ms: int) -> list[Question]:
        """What has stopped growing."""
        if self._open is None or now_ms < self._open.at_ms + GROW_MS:
            return []
        done, self._open = self._open, None
        return [done]

    def sent(self, text: str) -> None:
        """We had the replica take this for a user's words: it is none when it comes back."""
        self._own.append(_bare(text))


def _said_by_user(body: bytes) -> str:
    """What a user said, as one line; '' for every other app-message."""
    try:
        found: Any = json.loads(body)
    except (ValueError, RecursionError):
        return ""
    if not isinstance(found, dict) or cast("dict[str, Any]", found).get("event_type") != UTTERANCE:
        return ""
    properties: Any = cast("dict[str, Any]", found).get("properties")
    if not isinstance(properties, dict) or cast("dict[str, Any]", properties).get("role") != "user":
        return ""
    speech: Any = cast("dict[str, Any]", properties).get("speech")
    return " ".join(words.whole(speech).split())[:ASK] if isinstance(speech, str) else ""


def _bare(text: str) -> str:
    """Its letters and digits: what is added to an utterance may replace its last mark."""
    return "".join(char for char in text.casefold() if char.isalnum())


class Reply:
    """The answer to one turn, as its session tells it."""

    def __init__(self, turn: str) -> None:
        self.turn = turn
        self._sentences: dict[int, str] = {}

    def feed(self, message: Message) -> list[str] | None:
        """The sentences, in order, once the answer has ended; none where nothing was said."""
        if isinstance(message, SentenceReady) and message.turn == self.turn:
            self._sentences[message.index] = message.text
        if isinstance(message, AnswerEnded) and message.turn == self.turn:
            return [self._sentences[index] for index in sorted(self._sentences) if index < message.count]
        return None


def messages(conversation: str, by: Literal["echo", "respond"], sentences: Iterable[str]) -> list[dict[str, Any]]:
    """The app-messages that say it: as few as Daily's limit allows, each of whole sentences where they fit."""
    return [_message(conversation, by, text) for text in _packed(sentences)]


def _message(conversation: str, by: str, text: str) -> dict[str, Any]:
    properties = {"modality": "text", "text": text} if by == "echo" else {"text": text}
    return {
        "message_type": "conversation",
        "event_type": f"conversation.{by}",
        "conversation_id": conversation,
        "properties": properties,
    }


def _packed(sentences: Iterable[str]) -> list[str]:
    packs: list[list[str]] = []
    for piece in (piece for sentence in sentences for piece in _pieces(sentence)):
        if packs and _size(words.joined([*packs[-1], piece])) <= SENT_BYTES:
            packs[-1].append(piece)
        else:
            packs.append([piece])
    return [text for pack in packs if (text := words.joined(pack))]


def _pieces(sentence: str) -> list[str]:
    """The sentence, cut where it alone is too long: a character is at most 12 bytes of JSON."""
    step = SENT_BYTES // 12
    return (
        [sentence]
        if _size(sentence) <= SENT_BYTES
        else [sentence[at : at + step] for at in range(0, len(sentence), step)]
    )


def _size(text: str) -> int:
    """Bytes of its JSON, whichever way it is written."""
    return len(json.dumps(text))
