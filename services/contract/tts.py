"""What tts says: the sound of each sentence, in chunks."""

from pydantic import Field

from services.contract.message import Message

AIR_RATE = 24_000
"""Samples a second of everything on air: s16le, mono. Engines with another rate are resampled where they are called."""


class SpeechStarted(Message):
    """An attempt at a sentence begins; from this entry on, chunks of lower attempts are ignored."""

    turn: str
    no: int
    epoch: int
    index: int = Field(ge=0)
    attempt: int = Field(ge=1)
    rate: int = AIR_RATE
    text: str
    emotion: str = ""
    engine: str = ""
    from_sample: int = Field(default=0, ge=0)
    """Position in the sentence, in samples, where this attempt takes over."""


class SpeechChunk(Message):
    """Sound: s16le mono in the entry's raw field `b`, never in the JSON."""

    turn: str
    index: int
    attempt: int
    chunk: int = Field(ge=0)
    sample_offset: int = Field(ge=0)
    """Position of its first sample in the sentence."""


class SpeechEnded(Message):
    """The sentence is complete."""

    turn: str
    index: int
    attempt: int
    samples: int = Field(ge=0)
    """Length of the whole sentence, all attempts together."""


class SentenceSkipped(Message):
    """The sentence will not be heard; written once, readers obey."""

    turn: str
    index: int
    reason: str
