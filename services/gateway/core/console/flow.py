"""Work streams as an operator sees them: what waits, who has it, how much comes and goes in a second."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

MINUTE = 60
"""Samples that are kept of each stream, one a second."""


@dataclass(frozen=True)
class Group:
    """A consumer group."""

    name: str
    consumers: int
    pending: int
    """Delivered and not finished."""
    lag: int | None
    """Not delivered yet; None where the broker cannot say."""


@dataclass(frozen=True)
class Seen:
    """A stream in one moment."""

    key: str
    length: int
    """Unfinished work: what is done is deleted."""
    added: int
    """Entries that were ever written."""
    oldest_ms: int | None
    """When the oldest entry was written, by the broker's clock; None: it is empty."""
    groups: tuple[Group, ...] = ()


@dataclass(frozen=True)
class _Sample:
    at_ms: int
    added: int
    length: int


class Meter:
    """Feed it all streams once a second; it counts what came and went meanwhile and keeps the last minute."""

    def __init__(self) -> None:
        self._last: dict[str, _Sample] = {}
        self._minute: dict[str, deque[tuple[float, int]]] = {}

    def feed(self, seen: Sequence[Seen], now_ms: int) -> list[dict[str, Any]]:
        """A row for each stream and group. A stream that is gone is forgotten."""
        keys = {stream.key for stream in seen}
        for gone in self._last.keys() - keys:
            del self._last[gone], self._minute[gone]
        return [row for stream in seen for row in self._rows(stream, now_ms)]

    def minutes(self) -> dict[str, list[tuple[float, int]]]:
        """By stream: (in a second, length) of the last minute, the oldest first."""
        return {key: list(samples) for key, samples in self._minute.items()}

    def _rows(self, seen: Seen, now_ms: int) -> list[dict[str, Any]]:
        came, went = self._rates(seen, now_ms)
        self._last[seen.key] = _Sample(now_ms, seen.added, seen.length)
        self._minute.setdefault(seen.key, deque(maxlen=MINUTE)).append((came, seen.length))
        stream = {"key": seen.key, "length": seen.length, "oldest_ms": seen.oldest_ms, "in": came, "out": went}
        return [
            {
                **stream,
                "group": group.name,
                "consumers": group.consumers,
                "pending": group.pending,
                "lag": seen.length - group.pending if group.lag is None else group.lag,
            }
            for group in seen.groups or (Group("", 0, 0, None),)
        ]

    def _rates(self, seen: Seen, now_ms: int) -> tuple[float, float]:
        """Entries a second in and out since the last look; none where it is the first, or the stream was made anew."""
        last = self._last.get(seen.key)
        if last is None or now_ms <= last.at_ms or seen.added < last.added:
            return 0.0, 0.0
        came = seen.added - last.added
        went = max(0, last.length + came - seen.length)
        seconds = (now_ms - last.at_ms) / 1_000
        return round(came / seconds, 1), round(went / seconds, 1)
