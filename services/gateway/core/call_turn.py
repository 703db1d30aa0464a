"""A turn of a call as its client sees it."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from services.contract.ingest import TurnRequested
from services.contract.tts import AIR_RATE
from services.gateway.core.call_words import Config

SILENCE = bytes(AIR_RATE // 10 * 2)
"""100 ms: the original client listens again only when it has played something."""


OPENING = "-opening"
"""The end of the key of a turn that nobody's words asked for."""


@dataclass(frozen=True)
class Position:
    """How far a client has got that comes back."""

    turn: str
    index: int
    samples: int


@dataclass(frozen=True)
class Spoken:
    """When what is answered was said and understood, Unix milliseconds; 0 where it is not known."""

    ended_ms: int
    decided_ms: int
    """When its end was decided."""
    recognised_ms: int


@dataclass
class Turn:
    """The turn on the floor, as far as its client was sent it."""

    request: TurnRequested
    config: Config
    spoken: Spoken | None
    news_ms: int
    first: int = 0
    """The first sentence that the client lacks."""
    samples: int = 0
    """Samples of it that the client has."""
    started: int = -1
    """The sentence that was announced last."""
    reached: int = 0
    """How far the client was sent it."""
    pcm: bytearray = field(default_factory=bytearray)
    sounded: bool = False
    """A sound was sent since the beginning, or since the last failure."""
    complained: bool = False
    sentence_ms: int = 0
    audio_ms: int = 0
    reason: str = "done"
    texts: dict[int, str] = field(default_factory=dict[int, str])


def said(keys: Sequence[str], ask: str) -> str:
    """What the client said that the turn of these keys answers; '' where the persona speaks first."""
    return "" if any(key.endswith(OPENING) for key in keys) else ask


def latency(turn: Turn) -> dict[str, int]:
    """From the last voiced sample, or from what was typed, to the first sound sent, in milliseconds, and its parts."""
    spoken = turn.spoken or Spoken(0, 0, turn.request.requested_ms)
    said_ms, last_ms = spoken.ended_ms or spoken.recognised_ms, spoken.recognised_ms
    parts = dict[str, int]()
    if spoken.ended_ms:
        parts["recognised_ms"] = last_ms - (spoken.decided_ms or said_ms)
    if spoken.ended_ms and spoken.decided_ms:
        parts["end_of_turn_ms"] = spoken.decided_ms - said_ms
    if turn.sentence_ms:
        parts["first_sentence_ms"] = turn.sentence_ms - last_ms
        if turn.audio_ms:
            parts["first_audio_ms"] = turn.audio_ms - turn.sentence_ms
    if turn.audio_ms:
        parts["total_ms"] = turn.audio_ms - said_ms
    return {name: max(0, value) for name, value in parts.items()}
