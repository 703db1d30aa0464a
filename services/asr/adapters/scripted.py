"""Ears that need nothing: they hear any loud frame as a voice, and recognise the texts that they were given."""

from collections.abc import Sequence

from services.asr.core.pcm import HEARD_RATE
from services.contract.failure import Failure
from services.runtime import sound

WORD_MS = 300


class ScriptedDetector:
    """A voice is whatever is louder than silence."""

    def probability(self, frame: bytes) -> float:
        """1 for a frame with sound in it, 0 for silence."""
        return float(sound.rms(frame) > sound.SILENT_RMS)


class Scripted:
    """Recognises one given text after the other; without texts it tells the length of what it heard."""

    name = "scripted"
    languages = ("zh", "en")
    parallel = False
    """Each of its texts is heard once."""

    def __init__(self, texts: Sequence[str] = (), *, failure: Failure | None = None, missing: str = "") -> None:
        self._texts = list(texts)
        self._failure = failure
        self._missing = missing
        self.heard: list[bytes] = []
        """What it was asked to recognise."""

    async def recognise(self, pcm16k: bytes, language: str) -> str:
        """The next text; '' for silence."""
        if self._failure:
            raise self._failure
        self.heard.append(pcm16k)
        if sound.is_silent(pcm16k, HEARD_RATE):
            return ""
        length = f"{sound.millis(pcm16k, HEARD_RATE) / 1_000:.1f}"
        said = f"something of {length} seconds" if language == "en" else f"一段 {length} 秒的话"
        return self._texts.pop(0) if self._texts else said

    def listen(self, language: str) -> "Follower":  # noqa: ARG002  the text is given
        """The next text word by word, one each 300 ms; without texts no words."""
        return Follower(self._texts[0] if self._texts else "")

    async def check(self) -> str:
        """'' or what was said to be missing."""
        return self._missing

    async def close(self) -> None:
        """Nothing is held."""


class Follower:
    """Tells the beginning of a text, more of it the more is heard."""

    def __init__(self, text: str) -> None:
        spaced = " " in text
        self._words = text.split() if spaced else list(text)
        self._space = " " if spaced else ""
        self._heard_ms = 0

    async def feed(self, pcm16k: bytes) -> str:
        """The words that would have been spoken by now."""
        self._heard_ms += sound.millis(pcm16k, HEARD_RATE)
        return self._space.join(self._words[: self._heard_ms // WORD_MS])

    def close(self) -> None:
        """Nothing is held."""
