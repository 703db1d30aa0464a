"""What asr says: what was heard."""

from pydantic import Field

from services.contract.message import Message


class VoiceBegan(Message):
    """Somebody on the call began to speak: told before there is any text."""

    utterance: str
    at_sample: int = Field(ge=0)
    """Position in the call of the first voiced sample."""


class Transcribed(Message):
    """Text of an utterance; a later one of the same utterance replaces it until `final`."""

    utterance: str
    text: str
    final: bool
    language: str = ""
    engine: str = ""
    until_sample: int = Field(default=0, ge=0)
    """Position in the call up to which it is done with, once `final`: who takes the call over goes on from there."""
    ended_ms: int = 0
    """Of a call, Unix milliseconds by the live broker: when its last voiced sample was written."""
    decided_ms: int = 0
    """Of a call, Unix milliseconds by asr's clock: when its end was decided, after which it was recognised."""
    speaker: str = ""
    """Empty: not verified. `rejected`: not the enrolled one."""
