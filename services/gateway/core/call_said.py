"""What a caller says, until it is asked for: each utterance once, and who speaks on is waited for."""

from dataclasses import dataclass, replace

from services.contract.asr import Transcribed
from services.gateway.core.call_turn import Spoken
from services.runtime import words

HEARD = 64
"""Utterances that are remembered."""
LONGEST_MS = 40_000
"""Who speaks on is waited for so long after the last that was heard of him: longer than an utterance can be."""


@dataclass(frozen=True)
class Saying:
    """What was said, and waits to be asked for."""

    key: str
    """The last utterance of it."""
    text: str
    at_ms: int
    goes_on: bool
    """The caller spoke on when it was understood."""


class Said:
    """The utterances of one call. Times are Unix milliseconds."""

    def __init__(self) -> None:
        self.until = -1
        """Up to which sample the call was understood."""
        self.saying: Saying | None = None
        self._voice = -1
        """Where the voice began that is heard now; -1: there is none."""
        self._known: dict[str, Spoken] = {}

    @property
    def speaking(self) -> bool:
        """Whether a voice is heard whose words are still to come."""
        return self._voice >= 0

    def began(self, at_sample: int, now_ms: int) -> None:
        """A voice began; one that is told of again, after a listener was lost, may be over."""
        if at_sample >= self.until:
            self._voice = at_sample
        self.heard(now_ms)

    def heard(self, now_ms: int) -> None:
        """The caller speaks on."""
        if self.saying and self.saying.goes_on:
            self.saying = replace(self.saying, at_ms=now_ms)

    def ended(self, message: Transcribed, ms: int) -> bool:
        """An utterance is understood, told at `ms`; False if it was told before."""
        if message.utterance in self._known or message.until_sample <= self.until:
            return False
        self.until = message.until_sample
        if self._voice < self.until:
            self._voice = -1
        self._known[message.utterance] = Spoken(message.ended_ms, message.decided_ms, ms)
        if len(self._known) > HEARD:
            del self._known[next(iter(self._known))]
        return True

    def add(self, utterance: str, text: str, now_ms: int) -> None:
        """It is to be answered, with what he said before if he has not stopped since; '' adds nothing."""
        old = self.saying
        if text:
            before = old.text if old and old.goes_on else ""
            self.saying = Saying(utterance, _joined(before, text), now_ms, goes_on=self.speaking)
        elif old:
            self.saying = replace(old, at_ms=now_ms, goes_on=old.goes_on and self.speaking)

    def take(self) -> Saying | None:
        """What is to be answered now, if he has stopped; it waits no more."""
        if self.speaking:
            return None
        saying, self.saying = self.saying, None
        return saying

    def due_ms(self) -> int | None:
        """When `tick` has something to do; None: never."""
        return self.saying.at_ms + LONGEST_MS if self.saying else None

    def tick(self, now_ms: int) -> Saying | None:
        """What is to be answered though nobody told how it goes on."""
        due = self.due_ms()
        if due is None or now_ms < due:
            return None
        self._voice = -1
        return self.take()

    def asked(self, causes: tuple[str, ...]) -> Spoken | None:
        """Somebody asked for what was said; when it was said, if it was."""
        if self.saying and self.saying.key in causes:
            self.saying = None
        return next((self._known[key] for key in causes if key in self._known), None)

    def forget(self) -> None:
        """What waits is not asked for."""
        self.saying = None


def _joined(before: str, text: str) -> str:
    """Both, with a space between them unless the second begins in a script without spaces."""
    return f"{before}{'' if not before or words.is_cjk(text[0]) else ' '}{text}"
