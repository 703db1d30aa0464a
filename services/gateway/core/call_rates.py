"""How much a client of a call may send: sound hardly faster than it is spoken, and so many requests a minute."""

from dataclasses import dataclass

from services.gateway.core.call_words import HEARD_RATE


@dataclass
class Bucket:
    """A number of units at once, and so many more each second."""

    size: float
    a_second: float
    left: float = -1
    at_ms: int = 0

    def take(self, units: float, now_ms: int) -> bool:
        """Take them; False if they are not there."""
        held = self.size if self.left < 0 else self.left
        held = min(self.size, held + max(0, now_ms - self.at_ms) * self.a_second / 1_000)
        self.left, self.at_ms = (held - units if units <= held else held), now_ms
        return units <= held


SPEED = 1.5
BURST_S = 8
"""Sound that a client may catch up with at once, after a stutter of its network."""
REQUESTS = 240
"""Requests a minute."""
MARK = 0.25
"""A PlaybackMark counts for so much of a request: it comes by itself, several times a second."""


def sound_bucket() -> Bucket:
    """In samples."""
    return Bucket(BURST_S * HEARD_RATE, SPEED * HEARD_RATE)


def request_bucket() -> Bucket:
    """In requests."""
    return Bucket(REQUESTS, REQUESTS / 60)
