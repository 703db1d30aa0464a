"""This machine's microphone and loudspeaker, by the package sounddevice."""

import importlib
from collections.abc import Callable
from contextlib import ExitStack
from types import ModuleType
from typing import Any, Protocol, Self

from services.contract.failure import Code, Failure
from services.contract.tts import AIR_RATE

HEARD_RATE = 16_000
FRAME = 512
"""Samples of one frame of the microphone: 32 ms, as long as those of the detector."""
INSTALL = "install it by `pip install 'onair[mic]'`; `onair talk` without --mic needs none"


def library() -> ModuleType:
    """The package; raises Failure(ENGINE_MISSING) which says what to install."""
    try:
        return importlib.import_module("sounddevice")
    except ImportError as error:
        raise Failure(Code.ENGINE_MISSING, f"--mic needs the package sounddevice: {INSTALL}") from error
    except OSError as error:  # it has no wheel of the library for Linux
        remedy = "install it (Debian and Ubuntu: apt install libportaudio2); `onair talk` without --mic needs none"
        raise Failure(Code.ENGINE_MISSING, f"--mic needs the library PortAudio: {remedy}") from error


class Buffer(Protocol):
    """What the library hands over."""

    def __buffer__(self, flags: int, /) -> memoryview:
        """Its bytes."""
        ...

    def __setitem__(self, key: slice, value: bytes, /) -> None:
        """Fill it."""
        ...


class Devices:
    """Both, from the beginning of the block to its end. The callbacks are called by threads of the library."""

    def __init__(self, heard: Callable[[bytes], None], wanted: Callable[[int], bytes]) -> None:
        """`heard`: takes a frame of the microphone; `wanted`: gives so many bytes for the loudspeaker."""
        self._heard = heard
        self._wanted = wanted
        self._streams = ExitStack()
        self.latency_samples = 0
        """What the loudspeaker was given and is not heard yet."""

    def __enter__(self) -> Self:
        """Open them; raises Failure(ENGINE_MISSING) where there are none."""
        sounds = library()
        mono: dict[str, Any] = {"channels": 1, "dtype": "int16"}
        try:
            ear = sounds.RawInputStream(samplerate=HEARD_RATE, blocksize=FRAME, callback=self._hear, **mono)
            mouth = sounds.RawOutputStream(samplerate=AIR_RATE, callback=self._speak, **mono)
            self._streams.enter_context(mouth)
            self._streams.enter_context(ear)
        except (sounds.PortAudioError, ValueError) as error:
            self._streams.close()
            remedy = "plug them in and allow the terminal to use the microphone; `onair talk` without --mic needs none"
            raise Failure(Code.ENGINE_MISSING, f"no microphone and loudspeaker here ({error}): {remedy}") from error
        self.latency_samples = int(mouth.latency * AIR_RATE)
        return self

    def __exit__(self, *_: object) -> None:
        """Close them."""
        self._streams.close()

    def _hear(self, data: Buffer, frames: int, time: object, status: object) -> None:
        del frames, time, status  # sound that was lost is a gap like any other
        self._heard(bytes(data))

    def _speak(self, data: Buffer, frames: int, time: object, status: object) -> None:
        del time, status
        data[:] = self._wanted(frames * 2)
