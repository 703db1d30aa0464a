"""When each byte is due, counted from the moment at which the whole request was there. Pure."""

from dataclasses import dataclass
from itertools import count, takewhile


@dataclass(frozen=True)
class Delays:
    """How long each endpoint takes; a rate or pace of 0 is: at once."""

    chat_first_ms: float = 200
    """To the first token of an answer."""
    chat_rate: float = 50
    """Tokens a second from then on."""
    transcription_ms: float = 150
    speech_first_ms: float = 120
    """To the first byte of sound."""
    speech_pace: float = 10
    """Times real time from then on."""


MACHINERY = Delays(0, 0, 0, 0, 0)
"""Nothing takes time: what is left is the machinery."""


def tokens(at: float, number: int, delays: Delays) -> list[float]:
    """When each of so many tokens is due, in seconds on the clock of `at`."""
    return [at + delays.chat_first_ms / 1_000 + _part(token, delays.chat_rate) for token in range(number)]


def transcription(at: float, delays: Delays) -> float:
    """When the text is due."""
    return at + delays.transcription_ms / 1_000


def speech(at: float, size: int, piece: int, byte_rate: int, delays: Delays) -> list[tuple[float, int, int]]:
    """When each piece of `size` bytes is due, and from where to where it goes; `byte_rate` of them are a second of sound.

    A piece is due when all before it could have been played at the pace.
    """
    first = at + delays.speech_first_ms / 1_000
    starts = takewhile(lambda start: start < size, count(0, piece))
    return [(first + _part(start / byte_rate, delays.speech_pace), start, min(start + piece, size)) for start in starts]


def _part(amount: float, rate: float) -> float:
    return amount / rate if rate else 0.0
