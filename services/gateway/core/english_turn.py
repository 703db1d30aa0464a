"""One turn of the English partner: what the teacher is asked, and what became of the answer."""

from collections.abc import Sequence
from dataclasses import dataclass

from services.contract.failure import Failed
from services.contract.gateway import Interrupted
from services.contract.ingest import TurnRequested
from services.contract.message import Message
from services.gateway.core.chat import Chat, Done, Piece
from services.gateway.core.english import SILENCE, Row, clean, history
from services.runtime.sound import WAV_LIMIT

PERSONA, LANGUAGE = "teacher", "en"
"""Of onair.yaml, and what is spoken with it."""
AGAIN = "Sorry, I did not hear anything. Please say it again."
"""What is spoken where a recording is silent: the model is not asked."""
MOST_PCM = WAV_LIMIT - 64
"""Bytes of sound of one answer; what comes after them is left out."""
UNSPOKEN = "it could not be spoken; are the tts service and the teacher's voice all right?"
WHY = {
    "deadline": "no answer came in time; are the llm and tts services running?",
    "expired": "the answer did not begin in time; are the services too busy?",
    "failed": "the model failed; the log of llm says why",
    "cut": "the answer broke off",
    "silence": "an operator has silenced the show",
    "operator": "an operator stopped it",
}
"""Reason → a sentence, where nobody told a better one."""


@dataclass(frozen=True)
class Told:
    """What became of a turn."""

    text: str
    pcm: bytes
    """s16le mono at `AIR_RATE`; empty where nothing was spoken."""
    problem: str
    """What went wrong, whatever was spoken before; '' for nothing."""
    asked: bool = True
    """The model was asked: what it answered belongs to the conversation."""

    def row(self, session: int, at_ms: int, audio: str) -> Row:
        """The teacher's row; `audio` is the recording of what was spoken."""
        said = self.text if self.asked else ""
        return Row(session, 0, self._data(), at_ms, audio if self.pcm else SILENCE, said)

    def _data(self) -> str:
        if not self.problem:
            return self.text
        return f"{self.text} ({self.problem})" if self.text else failed(self.problem)


def failed(sentence: str) -> str:
    """What a row says of a turn that failed."""
    return f"This did not work: {clean(sentence)}"


def request(name: str, rows: Sequence[Row], ask: str, at_ms: int, patience_ms: int) -> TurnRequested:
    """The only turn of a session of its own, with the rows as its history, which end with what is asked.

    Where nothing is asked the teacher says so, and nobody remembers it.
    """
    return TurnRequested(
        turn=f"english-{name}-1",
        no=1,
        session=f"english-{name}",
        epoch=0,
        kind="chat",
        ask=ask,
        say="{gpt}" if ask else AGAIN,
        persona=PERSONA,
        language=LANGUAGE,
        spoken="all",
        messages=history(rows) if ask else (),
        requested_ms=at_ms,
        deadline_ms=at_ms + patience_ms,
        trace=name,
    )


class Answer:
    """Folds the entries of a turn's session into what was told."""

    def __init__(self, turn: TurnRequested) -> None:
        self._turn = turn
        self._chat = Chat(turn.turn, turn.epoch)
        self._pcm = bytearray()
        self._failure = self._by = ""
        self._done = Done("", "")

    @property
    def over(self) -> bool:
        """Nothing more comes."""
        return self._chat.over

    def feed(self, message: Message, blob: bytes = b"") -> None:
        """One entry."""
        if isinstance(message, Failed) and message.turn in {"", self._turn.turn}:
            self._failure = message.sentence
        if isinstance(message, Interrupted):
            self._by = message.by
        self._hear(self._chat.feed(message, blob))

    def end(self, reason: str) -> Told:
        """End it here if it is not over; what became of it."""
        self._hear(self._chat.end(reason))
        text = clean(self._done.text if self._turn.ask else self._turn.say).strip()
        return Told(text, bytes(self._pcm), self._problem(), asked=bool(self._turn.ask))

    def _hear(self, said: Sequence[Piece | Done]) -> None:
        for each in said:
            if isinstance(each, Done):
                self._done = each
            elif len(self._pcm) + len(each.pcm) <= MOST_PCM:
                self._pcm += each.pcm

    def _problem(self) -> str:
        if self._done.reason:
            reason = self._by or self._done.reason
            return self._failure or WHY.get(reason, f"it ended early ({reason})")
        return "" if self._pcm else self._failure or UNSPOKEN
