"""A source that gives the frames it was made with, at once: needs nothing, and is the test double."""

from collections.abc import Iterable

from services.ingest.core.ports import Emit, Frame


class Scripted:
    """Emits `frames` in order and ends."""

    def __init__(self, frames: Iterable[Frame], name: str = "scripted") -> None:
        self.name = name
        self._frames = tuple(frames)

    async def run(self, emit: Emit) -> None:
        """Emit all frames without a pause."""
        for frame in self._frames:
            await emit(frame)
