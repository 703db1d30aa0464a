"""Judges an engine by the sound it makes: engines answer "200 OK" with silence, with half a sentence, with babble."""

import re
import unicodedata
from enum import StrEnum

from services.contract.tts import AIR_RATE
from services.runtime import sound

SHORTEST_MS = 25
"""A letter, digit or character is never spoken faster: twice the pace of the fastest intelligible English (20 letters
a second) and five times that of Chinese."""
LONGEST_MS = 1_200
"""Nor slower: a digit of a number read in full, or an emoji read by its name, takes about a second."""
LONGEST_FLOOR_MS = 3_000
"""What any text may take, however short: engines put silence around a single word."""
LEAD_MS = 100
"""Silence that is left before the first sound."""
PATIENCE_MS = 3_000
"""Silence after which no voice is expected any more."""

_REPEATED = re.compile(r"(.)\1{2,}")
_WINDOW = AIR_RATE * sound.WINDOW_MS // 1_000 * sound.SAMPLE_BYTES


class Bad(StrEnum):
    """Why sound is refused: stable words."""

    NO_AUDIO = "no_audio"
    SILENT = "silent"
    TOO_SHORT = "too_short"
    TOO_LONG = "too_long"
    ODD_BYTES = "odd_bytes"


def letters(text: str) -> int:
    """Letters, digits and characters that are pronounced; a drawn-out "nooooo" counts two of each run."""
    return sum(mark.isalnum() for mark in _REPEATED.sub(r"\1\1", text))


def _signs(text: str) -> int:
    """The same with all symbols and repetitions, which an engine may read one by one."""
    return sum(unicodedata.category(mark)[0] in "LNSM" for mark in text)


def bounds_ms(text: str) -> tuple[int, int]:
    """Shortest and longest plausible length of the text's sound, in milliseconds."""
    return letters(text) * SHORTEST_MS, max(LONGEST_FLOOR_MS, _signs(text) * LONGEST_MS)


class Judge:
    """Feed it an engine's bytes; it releases what may be heard.

    Nothing is released before a voice is in it, and of the silence before that at most 100 ms. What is released of good
    sound does not depend on how its bytes were cut. `bad` is set as soon as the sound is refused; nothing is released
    from then on.
    """

    def __init__(self, text: str) -> None:
        self._shortest, self._longest = bounds_ms(text)
        self._held = bytearray()
        self._voiced = False
        self._bytes = 0
        self.bad: Bad | None = None

    def feed(self, data: bytes) -> bytes:
        """The bytes that may be heard now."""
        self._bytes += len(data)
        if self.bad is None and self._millis() > self._longest:
            self.bad = Bad.TOO_LONG
        if self.bad:
            return b""
        if self._voiced:
            return data
        self._held += data
        return self._onset(len(self._held) - len(self._held) % _WINDOW)

    def close(self) -> bytes:
        """The last bytes; `bad` is final afterwards."""
        rest = b"" if self._voiced or self.bad else self._onset(len(self._held))
        self.bad = self.bad or self._verdict()
        return rest

    def _onset(self, upto: int) -> bytes:
        """Look for the first voice in what is held, up to there."""
        whole = bytes(self._held[:upto])
        voiced = sound.voiced_at(whole)
        if (sound.count(whole) if voiced is None else voiced) * 1_000 >= PATIENCE_MS * AIR_RATE:
            self.bad = Bad.SILENT
        if voiced is None or self.bad:
            return b""
        self._voiced = True
        released = bytes(self._held[sound.leading_silence(whole, keep_ms=LEAD_MS) * sound.SAMPLE_BYTES :])
        self._held.clear()
        return released

    def _millis(self) -> int:
        return self._bytes // sound.SAMPLE_BYTES * 1_000 // AIR_RATE

    def _verdict(self) -> Bad | None:
        if not self._bytes:
            return Bad.NO_AUDIO
        if not self._voiced:
            return Bad.SILENT
        if self._millis() < self._shortest:
            return Bad.TOO_SHORT
        return Bad.ODD_BYTES if self._bytes % sound.SAMPLE_BYTES else None
