"""The listening side of a call whose client may interrupt: does a voice during an answer mean to?"""

from collections import deque
from enum import StrEnum

from services.gateway.core.backchannel import Backchannels
from services.gateway.core.call_words import HEARD_RATE
from services.runtime import sound

GRACE_MS = 250
"""After an answer's sound begins, a voice is likely its echo."""
MEANT_MS = 600
"""A voice that goes on for so long means to interrupt."""
DOUBT_MS = 5_000
"""An answer is not held for a voice of which nothing has been heard for so long."""
LOUD = 0.25
"""Part of a voice's peak above which a frame is voice, and not what is behind it."""
KEPT_MS = 3_000
"""How far back frames are remembered: a voice is told of only after it began."""


class Do(StrEnum):
    """What to do with the answer."""

    NOTHING = "nothing"
    PAUSE = "pause"
    RESUME = "resume"
    STOP = "stop"


class Ear:
    """Follows the voice that speaks while the client is being answered."""

    def __init__(self, backchannels: Backchannels) -> None:
        self.paused = False
        """The answer is held until it is clear what the voice means."""
        self._backchannels = backchannels
        self._utterance: str | None = None
        self._since = 0
        self._loud_ms = 0
        self._heard = 0
        self._frames: deque[tuple[int, int, float]] = deque()
        """Where each frame begins and ends, in samples, and its level."""

    def frame(self, at_sample: int, pcm: bytes, now_ms: int) -> Do:
        """The caller's microphone."""
        self._heard = at_sample + len(pcm) // 2
        self._frames.append((at_sample, self._heard, sound.rms(pcm)))
        while self._heard - self._frames[0][1] > KEPT_MS * HEARD_RATE // 1_000:
            self._frames.popleft()
        return self._judge(now_ms)

    def began(self, utterance: str, at_sample: int, now_ms: int, playing_ms: int | None) -> Do:
        """A voice began while the client is being answered; `playing_ms`: for how long it has heard the answer.

        Of a voice in the first moment of the answer only what goes on after it counts.
        """
        grace = max(0, GRACE_MS - playing_ms) if playing_ms is not None else 0
        after = self._heard + grace * HEARD_RATE // 1_000 if grace else 0
        self._utterance, self._since, self._loud_ms = utterance, max(at_sample, after), now_ms
        if grace:
            return self._judge(now_ms)
        self.paused = True
        return Do.STOP if self._judge(now_ms) is Do.STOP else Do.PAUSE

    def words(self, utterance: str, text: str, *, final: bool) -> Do:
        """What the voice says. Words that are no back-channel mean to interrupt, unless it was the answer's echo."""
        empty = not any(char.isalnum() for char in text)
        if not empty and not self._backchannels.only(text) and not self._echo(utterance):
            return self._over(Do.STOP)
        if not final:
            return Do.NOTHING
        if utterance != self._utterance:
            return Do.NOTHING
        return self._over(Do.RESUME if self.paused else Do.NOTHING)

    def due_ms(self) -> int | None:
        """When to ask again what to do; None: there is nothing to wait for."""
        return self._loud_ms + DOUBT_MS if self.paused else None

    def tick(self, now_ms: int) -> Do:
        """A voice that was never understood holds the answer only so long."""
        if self.paused and now_ms - self._loud_ms >= DOUBT_MS:
            return self._over(Do.RESUME)
        return Do.NOTHING

    def forget(self) -> None:
        """The answer is over."""
        self._over(Do.NOTHING)

    def _over(self, do: Do) -> Do:
        self._utterance, self.paused = None, False
        return do

    def _echo(self, utterance: str) -> bool:
        """Whether nothing of this voice was heard after the first moment of the answer."""
        return utterance == self._utterance and not self.paused

    def _judge(self, now_ms: int) -> Do:
        """By how long the voice has gone on."""
        if self._utterance is None:
            return Do.NOTHING
        voiced = [(end, level) for _, end, level in self._frames if end > self._since]
        least = max((level for _, level in voiced), default=0) * LOUD
        loud = max((end for end, level in voiced if level > max(least, sound.SILENT_RMS)), default=0)
        if not loud:
            return Do.NOTHING
        if loud == self._heard:
            self._loud_ms = now_ms
        if loud - self._since >= MEANT_MS * HEARD_RATE // 1_000:
            return self._over(Do.STOP)
        if self.paused:
            return Do.NOTHING
        self.paused = True
        return Do.PAUSE
