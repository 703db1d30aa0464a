"""What llm says: the sentences of an answer, and its end."""

from typing import Literal

from pydantic import Field

from services.contract.message import Message


class SentenceReady(Message):
    """Speak this. Work of tts on `speak:<pool>:call|show`, and a fact on the session."""

    turn: str
    no: int
    session: str
    epoch: int
    kind: Literal["room", "call", "chat"] = "room"
    index: int = Field(ge=0)
    text: str = Field(max_length=2_000)
    """What captions show."""
    speak: str = Field(max_length=2_000)
    """What is pronounced."""
    before: str = Field(default="", max_length=64)
    """The last characters spoken before it in this turn, for the gate against split words."""
    voice: str
    engine_at: int = Field(default=0, ge=0)
    """Which of the voice's engines."""
    emotion: str = ""
    deadline_ms: int
    """Unix milliseconds at which its first sound is due."""
    from_sample: int = 0
    trace: str = ""


class AnswerEnded(Message):
    """The answer is complete: `count` sentences, then nothing more."""

    turn: str
    count: int = Field(ge=0)
    text: str
    """The whole raw answer: quotes, tags and parentheses kept."""
    reason: Literal["done", "cut", "failed", "expired"] = "done"
