"""An answer for clients that may lose their connection: events with a position, so that a stream goes on where it was."""

import re
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, Self

from services.contract.failure import Failed
from services.contract.gateway import Interrupted
from services.contract.ingest import TurnAired, TurnDropped
from services.contract.llm import AnswerEnded
from services.contract.message import Message
from services.contract.tts import AIR_RATE, SentenceSkipped, SpeechEnded
from services.gateway.core.chat import joined
from services.gateway.core.ports import Entry, Made
from services.runtime import words
from services.runtime.timeline import Caption, Closed, Cut, Lost, Out, SentenceOver, Sound, Speech, Timeline

Name = Literal["turn", "sentence", "audio", "lost", "sentence_end", "done", "error"]
END = 2**53
"""A position behind all samples."""
_CURSOR = re.compile(r"(chat-[0-9a-f]{16})\.([0-9a-f]{1,16})\.(\d{1,16}-\d{1,16})\.(\d{1,6})\.(\d{1,16})")


@dataclass(frozen=True, order=True)
class Position:
    """How far a client has come: a sentence, and within it 1 for its caption, 2 + samples of its sound, or `END`."""

    index: int = 0
    reached: int = 0


@dataclass(frozen=True)
class Cursor:
    """What a client sends back as `Last-Event-ID`: `<session>.<generation>.<entry>.<index>.<reached>`."""

    session: str
    generation: str
    """Of what live holds of the session: another one has forgotten what this cursor counts on."""
    entry: str
    at: Position

    def __str__(self) -> str:
        return f"{self.session}.{self.generation}.{self.entry}.{self.at.index}.{self.at.reached}"

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """The cursor; None for what is none of ours."""
        if (found := _CURSOR.fullmatch(text)) is None:
            return None
        session, generation, entry, index, reached = found.groups()
        return cls(session, generation, entry, Position(int(index), int(reached)))

    def within(self, generation: str, kept: Sequence[Entry]) -> bool:
        """Whether nothing between the cursor and now has been forgotten."""
        return self.generation == generation and bool(kept) and self.has(kept[0].id)

    def has(self, entry: str) -> bool:
        """Whether the client has what that entry told."""
        return _order(entry) <= _order(self.entry)


@dataclass(frozen=True)
class Event:
    """One event of the stream."""

    name: Name
    data: dict[str, Any]
    at: Position
    pcm: bytes = b""
    """Of `audio`: s16le mono at `AIR_RATE`; stands in the data as base64."""

    @property
    def body(self) -> dict[str, Any]:
        """What is sent of it."""
        return {**self.data, "pcm": b64encode(self.pcm).decode()} if self.name == "audio" else self.data


class Reply:
    """The answer to the only turn of a session, as events behind a position."""

    def __init__(self, session: str, turn: str, after: Position | None = None) -> None:
        self.over = False
        self._session = session
        self._turn = turn
        self._after = after or Position()
        self._timeline = Timeline()
        self._text = ""
        self._reason = ""
        self._reached = 0
        """Of the sentence that is told now, in samples."""

    def begin(self, *, recovered: bool) -> Event:
        """The first event of each connection; `recovered` is false where a client's place was forgotten."""
        data = {"session": self._session, "turn": self._turn, "rate": AIR_RATE, "recovered": recovered}
        return Event("turn", data, self._after)

    def feed(self, message: Message, blob: bytes = b"") -> list[Event]:
        """What the client is sent because of this entry; nothing more after `done`."""
        if self.over:
            return []
        told = [self._failed(message)] if isinstance(message, Failed) else []
        if isinstance(message, AnswerEnded) and message.turn == self._turn and not self._reason:
            self._text, self._reason = words.ellipses(message.text), message.reason
        events = [event for out in self._timeline.feed(message, blob) for event in self._hear(out)]
        if not self.over and (reason := self._ended_by(message)):
            events.append(self.end(reason))
        return [*told, *(new for event in events if (new := self._new(event)))]

    def end(self, reason: str) -> Event:
        """It is over here, and why."""
        self.over = True
        data = {"turn": self._turn, "text": self._text, "reason": reason}
        return Event("done", data, Position(END, END))

    def _failed(self, failed: Failed) -> Event:
        data = {"code": failed.code.value, "message": failed.sentence, "retryable": failed.retryable}
        return Event("error", data, self._after)

    def _hear(self, out: Out) -> list[Event]:
        match out:
            case Caption(index=index, text=text, emotion=emotion):
                self._reached = 0
                return [self._event("sentence", index, 1, text=text, emotion=emotion)]
            case Sound(index=index, offset=offset, pcm=pcm):
                self._reached = offset + len(pcm) // 2
                return [self._event("audio", index, 2 + self._reached, pcm, sample_offset=offset, rate=AIR_RATE)]
            case Lost(index=index, samples=samples):
                self._reached += samples
                return [self._event("lost", index, 2 + self._reached, samples=samples)]
            case SentenceOver(index=index, reason=reason, samples=samples):
                return [self._event("sentence_end", index, END, samples=samples, reason=reason)]
            case Closed() | Cut():
                return [self.end(out.reason if isinstance(out, Cut) else self._reason or "done")]
            case _:
                return []

    def _event(self, name: Name, index: int, reached: int, pcm: bytes = b"", **data: Any) -> Event:  # noqa: ANN401  JSON
        return Event(name, {"turn": self._turn, "index": index, **data}, Position(index, reached), pcm)

    def _new(self, event: Event) -> Event | None:
        """The event, or what of its sound lies behind the client's position; None for what he has."""
        before, self._after = self._after, max(self._after, event.at)
        if event.at <= before:
            return None
        offset = int(event.data.get("sample_offset", 0))
        had = before.reached - 2 - offset if before.index == event.at.index else 0
        if event.name != "audio" or had <= 0:
            return event
        return Event("audio", {**event.data, "sample_offset": offset + had}, event.at, event.pcm[2 * had :])

    def _ended_by(self, message: Message) -> str:
        """Why the turn is over though it never had the floor; '' if it is not."""
        match message:
            case Interrupted(by=by):
                return by
            case TurnDropped(turn=self._turn, reason=reason):
                return reason
            case _:
                return ""


def forgotten(turn: str, made: Made, kept: Sequence[Message]) -> list[Message]:
    """What a session whose beginning was trimmed no longer says, as far as work knows it.

    The turn was aired, sentences of which nothing is there were over, the answer had ended. Sentences are spoken side by
    side: one may be forgotten whole while an earlier one goes on.
    """
    there = {message.index for message in kept if isinstance(message, Speech) and message.turn == turn}
    over = sorted(({*made.ends} | {*range(min(there, default=0))}) - there)
    told: list[Message] = [TurnAired(turn=turn, no=1, epoch=0)]
    told += [_over(turn, index, made.ends.get(index, "")) for index in over]
    if made.count is not None and not any(isinstance(message, AnswerEnded) for message in kept):
        text = joined([made.sentences.get(index, "") for index in range(made.count)])
        ended = {"turn": turn, "count": made.count, "text": text, "reason": made.reason or "done"}
        told.append(AnswerEnded.model_validate(ended))
    return told


def _over(turn: str, index: int, value: str) -> Message:
    if value.startswith("spoken:"):
        return SpeechEnded(turn=turn, index=index, attempt=1, samples=int(value.removeprefix("spoken:")))
    return SentenceSkipped(turn=turn, index=index, reason=value.removeprefix("skipped:"))


def _order(id_: str) -> tuple[int, int]:
    ms, _, number = id_.partition("-")
    return int(ms), int(number)
