"""Where a sentence goes on that somebody else began."""

from collections.abc import Sequence
from dataclasses import dataclass

from services.contract.message import Message
from services.contract.tts import AIR_RATE, SpeechChunk, SpeechStarted
from services.runtime.timeline import heard
from services.runtime.words import is_cjk

WIDE_MS = 230
"""Length of a Chinese, Japanese or Korean character at a moderator's pace, about 4.3 a second."""
NARROW_MS = 68
"""Length of a letter or digit: 175 English words of five letters a minute."""
Told = tuple[int, Message, bytes]
"""An entry of a session: when it was written in Unix milliseconds, the message, its bytes."""


@dataclass(frozen=True)
class Prior:
    """What the session already tells of a sentence."""

    reached: int = 0
    """Samples that its readers have."""
    over: bool = False
    """Whether it is over for them."""
    engine: str = ""
    """Whose sound it is at `reached`."""
    base: int = 0
    """Where that engine's rendition begins."""
    sound_ms: int = 0
    """Until when it was being made for certain, Unix milliseconds: when its newest sound was written, or, where an attempt
    makes again what was heard before, which nobody is told of, as long after its start as that sound lasts; 0 if never."""


def fold(entries: Sequence[Told], turn: str, index: int) -> Prior:
    """Read the session as its readers do; another engine's rendition begins where it takes over."""
    mine = [told for told in entries if _is_of(told[1], turn, index)]
    reached, over = heard([(message, blob) for _, message, blob in mine], turn, index)
    attempt, engine, base = 0, "", 0
    for _, message, _ in mine:
        if isinstance(message, SpeechStarted) and message.attempt > attempt:
            base = base if message.engine == engine else message.from_sample
            attempt, engine = message.attempt, message.engine
    return Prior(reached, over, engine, base, max((_made_ms(ms, message) for ms, message, _ in mine), default=0))


def _made_ms(ms: int, message: Message) -> int:
    match message:
        case SpeechChunk():
            return ms
        case SpeechStarted(from_sample=again) if again > 0:
            return ms + again * 1_000 // AIR_RATE
        case _:
            return 0


def _is_of(message: Message, turn: str, index: int) -> bool:
    return (getattr(message, "turn", None), getattr(message, "index", None)) == (turn, index)


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
