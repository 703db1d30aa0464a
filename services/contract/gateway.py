"""What the gateway says: what clients want, what they heard."""

from pydantic import Field

from services.contract.message import Message


class ClipHeard(Message):
    """Recognise this clip: complete WAV bytes lie at `clip:<session>` on live. Answered by `Transcribed` there."""

    session: str = Field(max_length=64)
    utterance: str = Field(max_length=64)
    language: str = ""
    deadline_ms: int
    """Unix milliseconds after which nobody waits for the text."""
    trace: str = ""


class Interrupted(Message):
    """All turns below `epoch` are over: nothing of them is heard after this entry."""

    epoch: int = Field(ge=1)
    by: str
    """Who: client, operator, speech, disconnect, silence."""


class Mark(Message):
    """What a player really played."""

    turn: str
    index: int
    played_ms: int = Field(ge=0)
    player: str = ""
