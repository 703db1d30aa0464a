"""What a call shows in the terminal."""

import sys

from onair.drive import say, tame, tell
from onair.frames import Event

PARTS = (("recognised_ms", "understood"), ("first_sentence_ms", "first sentence"), ("first_audio_ms", "first sound"))
WIDE = 100
"""Characters of what is being said that are shown: one line."""


class Screen:
    """Lines: what you said, what is answered, how long that took. What you say is shown while you say it."""

    def __init__(self) -> None:
        self._live = sys.stderr.isatty()
        self._open = False

    def partial(self, text: str) -> None:
        """So far you say."""
        if self._live:
            self._open = True
            sys.stderr.write(f"\r\x1b[Kyou: {tame(text)[-WIDE:]} …")
            sys.stderr.flush()

    def recognised(self, text: str) -> None:
        """You said."""
        self._line(f"you: {tame(text)}")

    def caption(self, text: str) -> None:
        """This is heard now."""
        self._clear()
        say(tame(text))

    def interrupted(self) -> None:
        """You did."""
        self._line("  (interrupted)")

    def latency(self, found: Event) -> None:
        """How long the answer took to begin, and of what that was."""
        if total := found.number("total_ms"):
            parts = ", ".join(f"{word} {found.number(key)} ms" for key, word in PARTS if key in found.payload)
            self._line(f"  answered after {total} ms ({parts})")

    def complaint(self, text: str) -> None:
        """Something failed; the call goes on."""
        self._line(f"onair: {tame(text)}")

    def _line(self, text: str) -> None:
        self._clear()
        tell(text)

    def _clear(self) -> None:
        if self._open:
            self._open = False
            sys.stderr.write("\r\x1b[K")
