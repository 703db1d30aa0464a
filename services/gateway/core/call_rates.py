"""How much a client of a call may send: sound hardly faster than it is spoken, and so many requests a minute."""

from services.gateway.core.call_words import HEARD_RATE
from services.gateway.core.rates import Bucket

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
