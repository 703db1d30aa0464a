"""A puppet that needs nothing: it remembers how it stood, and shows it at `/metrics`."""

from collections import deque

import structlog
from prometheus_client import Counter, Gauge

from services.contract.avatar import Posed

log = structlog.get_logger(__name__)
HISTORY = 1_000
"""Poses that are remembered: 40 seconds of speech."""
MOUTH = Gauge("onair_puppet_mouth", "How far the mouth is open, 0 to 1", ["room"])
FACE = Gauge("onair_puppet_expression", "1 for the face that the puppet makes", ["room", "expression"])
POSES = Counter("onair_puppet_poses_total", "Poses that the puppet took", ["room"])
CHANGES = Counter("onair_puppet_expression_changes_total", "Changes of the puppet's face", ["room"])


class Scripted:
    """The puppet of one room."""

    name = "scripted"

    def __init__(self, room: str) -> None:
        self.history: deque[Posed] = deque(maxlen=HISTORY)
        """The newest poses, oldest first."""
        self._room = room

    @property
    def newest(self) -> Posed | None:
        """How it stands; None before the first pose."""
        return self.history[-1] if self.history else None

    async def check(self) -> str:
        """It can always be posed."""
        return ""

    async def pose(self, pose: Posed) -> None:
        """Stand like this."""
        before = self.newest.expression if self.newest else ""
        self.history.append(pose)
        MOUTH.labels(self._room).set(pose.mouth)
        POSES.labels(self._room).inc()
        if pose.expression != before:
            log.debug("face", room=self._room, expression=pose.expression, turn=pose.turn)
            CHANGES.labels(self._room).inc()
            FACE.labels(self._room, before or pose.expression).set(0)
            FACE.labels(self._room, pose.expression).set(1)

    async def close(self) -> None:
        """Nothing is held."""
