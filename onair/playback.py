"""What a call plays: sentences in order, sample by sample, held and let go exactly. Fed by one thread, drawn by another."""

import threading
from collections import deque
from dataclasses import dataclass, field

from services.contract.tts import AIR_RATE


@dataclass(frozen=True)
class Place:
    """How far an answer was played."""

    turn: str
    index: int
    samples: int
    """Of that sentence."""


@dataclass
class _Sentence:
    turn: str
    index: int
    text: str
    at: int
    """Samples of it that were played, here or on a connection before."""
    pcm: bytearray = field(default_factory=bytearray)
    """What was not played yet."""


class Playback:
    """One answer after the other."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: deque[_Sentence] = deque()
        self._now: _Sentence | None = None
        self._captions: deque[str] = deque()
        self._paused = False

    def start(self, turn: str, index: int, text: str, from_sample: int) -> None:
        """The sound that comes is that sentence's, from there on; the same sentence again is no new one."""
        with self._lock:
            last = self._waiting[-1] if self._waiting else self._now
            if last is None or (last.turn, last.index) != (turn, index):
                self._waiting.append(_Sentence(turn, index, text, from_sample))

    def add(self, pcm: bytes) -> None:
        """Sound of the sentence that was started last; what belongs to none is not played."""
        with self._lock:
            last = self._waiting[-1] if self._waiting else self._now
            if last:
                last.pcm += pcm

    def pull(self, size: int) -> bytes:
        """The next bytes for the loudspeaker; silence where there is nothing, or it is held."""
        out = bytearray()
        with self._lock:
            while len(out) < size and not self._paused and self._next():
                sentence = self._now
                if sentence is None:
                    break
                part = sentence.pcm[: size - len(out)]
                del sentence.pcm[: len(part)]
                sentence.at += len(part) // 2
                out += part
        return bytes(out.ljust(size, b"\0"))

    def _next(self) -> bool:
        """Whether there is something to play; a sentence without sound is passed over."""
        while (self._now is None or not self._now.pcm) and self._waiting:
            self._now = self._waiting.popleft()
            self._captions.append(self._now.text)
        return self._now is not None and bool(self._now.pcm)

    def pause(self) -> None:
        """Nothing is played from the next sample on."""
        with self._lock:
            self._paused = True

    def resume(self) -> None:
        """It goes on at the sample where it was held."""
        with self._lock:
            self._paused = False

    def flush(self) -> None:
        """What was not played is not played."""
        with self._lock:
            self._waiting.clear()
            self._now, self._paused = None, False

    def captions(self) -> list[str]:
        """The sentences that began since this was asked last."""
        with self._lock:
            told = list(self._captions)
            self._captions.clear()
        return told

    def place(self) -> Place | None:
        """What is played now, or was last; None: nothing since the last `flush`."""
        with self._lock:
            return Place(self._now.turn, self._now.index, self._now.at) if self._now else None


def millis(samples: int) -> int:
    """At the rate of all answers."""
    return samples * 1_000 // AIR_RATE
