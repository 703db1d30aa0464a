"""Where a sentence goes on that somebody else began."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from services.contract.message import Message
from services.contract.tts import AIR_RATE, SpeechChunk, SpeechEnded, SpeechStarted
from services.runtime.sound import SAMPLE_BYTES
from services.runtime.words import is_cjk

WIDE_MS = 230
"""Length of a Chinese, Japanese or Korean character at a moderator's pace, about 4.3 a second."""
NARROW_MS = 68
"""Length of a letter or digit: 175 English words of five letters a minute."""


@dataclass(frozen=True)
class Prior:
    """What the session already tells of a sentence."""

    reached: int = 0
    """Samples that were published."""
    ended: int | None = None
    """Length of the sentence, if its end was published."""
    attempt: int = 0
    engine: str = ""
    """Whose sound it is at `reached`."""
    base: int = 0
    """Where that engine's rendition begins."""


def fold(entries: Iterable[tuple[Message, bytes]], turn: str, index: int) -> Prior:
    """Read the session as its readers do: chunks and ends of an attempt that was superseded do not count."""
    prior = Prior()
    for message, blob in entries:
        match message:
            case SpeechStarted() if (message.turn, message.index) == (turn, index):
                prior = _started(prior, message)
            case SpeechChunk() if (message.turn, message.index, message.attempt) == (turn, index, prior.attempt):
                reached = message.sample_offset + len(blob) // SAMPLE_BYTES
                prior = replace(prior, reached=max(prior.reached, reached))
            case SpeechEnded() if (message.turn, message.index, message.attempt) == (turn, index, prior.attempt):
                prior = replace(prior, ended=message.samples)
            case _:
                pass
    return prior


def _started(prior: Prior, message: SpeechStarted) -> Prior:
    """A higher attempt takes over; another engine's rendition begins where it takes over."""
    if prior.ended is not None or message.attempt <= prior.attempt:
        return prior
    base = prior.base if message.engine == prior.engine else message.from_sample
    return replace(prior, attempt=message.attempt, engine=message.engine, base=base)


@dataclass(frozen=True)
class Start:
    """How an attempt begins."""

    text: str
    """What is left to be said by this engine; '' if nothing is."""
    base: int = 0
    """Position in the sentence of the rendition's first sample."""
    from_sample: int = 0
    """Position from which on it is heard."""

    @property
    def fade(self) -> bool:
        """Whether it joins sound that was heard before, and so must rise from nothing."""
        return self.from_sample > 0


def start(text: str, prior: Prior, engine: str) -> Start:
    """The same engine says the same again and is heard from where it stopped; another one says the remaining words."""
    if prior.reached == 0 or prior.engine == engine:
        return Start(remainder(text, prior.base), prior.base, prior.reached)
    return Start(remainder(text, prior.reached), prior.reached, prior.reached)


def remainder(text: str, samples: int) -> str:
    """The words that are left after `samples` of the text's sound, by the pace of an average voice.

    Nobody knows how far another engine's rendition had come in the text but by its length. A word that would be cut is
    said whole.
    """
    left = samples * 1_000 // AIR_RATE
    for at, mark in enumerate(text):
        if left <= 0:
            return text[_word_begins(text, at) :]
        left -= _length_ms(mark)
    return ""


def _length_ms(mark: str) -> int:
    if not mark.isalnum():
        return 0
    return WIDE_MS if is_cjk(mark) else NARROW_MS


def _word_begins(text: str, at: int) -> int:
    """The start of the word in which `at` lies."""
    while at and _narrow(text[at]) and _narrow(text[at - 1]):
        at -= 1
    return at


def _narrow(mark: str) -> bool:
    return mark.isalnum() and not is_cjk(mark)
