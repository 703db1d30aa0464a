"""A stand-in for the package sounddevice: a person who speaks a WAV file, hears the answer, and speaks into it.

CALLER: a folder with `0.wav`, `1.wav`, … at 16 kHz. The first is spoken at once, each next one when a second of an answer
was heard; what was heard is kept in `heard.raw` (s16le at 24 kHz, silence left out).
"""

import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

from services.runtime.sound import read_wav

FOLDER = Path(os.environ["CALLER"])
VOLUME = {"heard": 0}


class PortAudioError(Exception):
    """What the real one raises where there is no device."""


class _Stream:
    latency = 0.05

    def __init__(
        self, *, samplerate: int, channels: int, dtype: str, callback: Callable[..., None], blocksize: int = 480
    ) -> None:
        assert (channels, dtype) == (1, "int16")
        if (FOLDER / "none").exists():
            raise PortAudioError("no default device")
        self._rate, self._size, self._callback = samplerate, blocksize, callback
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        due = time.monotonic()
        while not self._over.is_set():
            self.beat()
            due += self._size / self._rate
            self._over.wait(max(0.0, due - time.monotonic()))

    def beat(self) -> None:
        raise NotImplementedError


class RawInputStream(_Stream):
    """The person's mouth."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        assert self._rate == 16_000
        files = sorted(FOLDER.glob("[0-9].wav"))
        self._texts = [bytes(read_wav(file.read_bytes()).pcm) for file in files]
        self._saying = bytearray(self._rate) + self._texts.pop(0)

    def beat(self) -> None:
        if VOLUME["heard"] > 48_000 and self._texts:
            VOLUME["heard"] = 0
            self._saying += self._texts.pop(0)
        part = bytes(self._saying[: self._size * 2])
        del self._saying[: len(part)]
        self._callback(part.ljust(self._size * 2, b"\0"), self._size, None, None)


class RawOutputStream(_Stream):
    """The person's ears."""

    def beat(self) -> None:
        data = bytearray(self._size * 2)
        self._callback(memoryview(data), self._size, None, None)
        if any(data):
            VOLUME["heard"] += len(data)
            with (FOLDER / "heard.raw").open("ab") as file:
                file.write(data)
