"""Cuts an engine's stream of bytes into chunks with exact positions."""

from dataclasses import dataclass

from services.contract.tts import AIR_RATE
from services.runtime.sound import SAMPLE_BYTES

FIRST_MS = 80
"""The first chunk is short, so that the first sound leaves early."""
THEN_MS = 200
"""Later ones are longer, so that they cost less."""


@dataclass(frozen=True)
class Piece:
    """The payload of one `SpeechChunk`."""

    number: int
    offset: int
    """Position of its first sample in the sentence."""
    pcm: bytes


class Chunker:
    """Feed it bytes as they come; it gives whole chunks, and at the end what is left.

    The stream's first sample lies at `base` in the sentence; samples below `from_sample` were heard before and are
    dropped. Half a sample waits for its other half.
    """

    def __init__(
        self,
        first_ms: int = FIRST_MS,
        then_ms: int = THEN_MS,
        from_sample: int = 0,
        *,
        base: int = 0,
        rate: int = AIR_RATE,
    ) -> None:
        self._first = max(1, rate * first_ms // 1_000) * SAMPLE_BYTES
        self._then = max(1, rate * then_ms // 1_000) * SAMPLE_BYTES
        self._drop = max(0, from_sample - base) * SAMPLE_BYTES
        self._buffer = bytearray()
        self._number = 0
        self.position = max(from_sample, base)
        """Where the next chunk begins, in samples of the sentence."""

    def feed(self, data: bytes) -> list[Piece]:
        """The chunks that are complete with these bytes."""
        fresh = data[self._drop :]
        self._drop -= len(data) - len(fresh)
        self._buffer += fresh
        pieces: list[Piece] = []
        while len(self._buffer) >= (size := self._then if self._number else self._first):
            pieces.append(self._cut(size))
        return pieces

    def close(self) -> list[Piece]:
        """What is left: at most one chunk; half a sample is no sound."""
        size = len(self._buffer) - len(self._buffer) % SAMPLE_BYTES
        return [self._cut(size)] if size else []

    def _cut(self, size: int) -> Piece:
        piece = Piece(self._number, self.position, bytes(self._buffer[:size]))
        del self._buffer[:size]
        self._number += 1
        self.position += size // SAMPLE_BYTES
        return piece
