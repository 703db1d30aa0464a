"""An engine that needs nothing: a tone for each letter, always the same; and, where asked, the faults of real engines."""

import asyncio
from collections.abc import AsyncGenerator
from enum import StrEnum

import numpy as np

from services.contract.failure import Code, Failure
from services.contract.tts import AIR_RATE
from services.tts.core.ports import Voice

LETTER_MS = 90
PAUSE_MS = 40
PIECE_BYTES = AIR_RATE // 50 * 2
"""Sound comes in pieces of 20 ms."""


class Fault(StrEnum):
    """What can be wrong with an engine."""

    NONE = "none"
    SILENCE = "silence"
    """A second of zeros, as if all were well."""
    NOTHING = "nothing"
    """No sound at all, as if all were well."""
    SHORT = "short"
    """Ends after `after` pieces, as if all were well."""
    LONG = "long"
    """Never stops talking."""
    STOP = "stop"
    """Fails after `after` pieces."""
    MUTE = "mute"
    """Never answers."""
    ODD = "odd"
    """Half a sample at the end."""


def render(text: str) -> bytes:
    """The whole sound of a text: a tone by letter, silence for everything else."""
    parts = [_tone(mark) if mark.isalnum() else bytes(AIR_RATE * PAUSE_MS // 1_000 * 2) for mark in text]
    return b"".join(parts)


def _tone(mark: str) -> bytes:
    times = np.arange(AIR_RATE * LETTER_MS // 1_000) / AIR_RATE
    swell = np.sin(np.pi * np.arange(len(times)) / len(times))
    wave = np.sin(2 * np.pi * (220 + 20 * (ord(mark) % 32)) * times) * swell * 0.4
    return np.rint(wave * 32_767).astype("<i2").tobytes()


class Scripted:
    """Speaks in tones.

    A voice's settings may ask for a fault: `fault` (a word of `Fault`), `after` (pieces of 20 ms before it, default 10),
    `times` (how many calls it hits, default all), and `pace` (seconds that each piece takes, default 0).
    """

    def __init__(self, pool: str = "scripted", *, missing: str = "") -> None:
        self.name = pool
        self.pool = pool
        self.calls: list[str] = []
        """Texts that were asked for."""
        self.open = 0
        """Calls that have not ended."""
        self._missing = missing
        self._faults: dict[str, int] = {}

    async def speak(self, text: str, voice: Voice, emotion: str) -> AsyncGenerator[bytes, None]:  # noqa: ARG002  tones have no emotions
        """Sound of `text` piece by piece; see `Engine.speak`."""
        if self._missing:
            raise Failure(Code.ENGINE_MISSING, self._missing)
        self.calls.append(text)
        fault, after = self._fault(voice), int(str(voice.settings.get("after", 10)))
        pace = float(str(voice.settings.get("pace", 0)))
        self.open += 1
        try:
            if fault is Fault.MUTE:
                await asyncio.Event().wait()
            sound = _faulty(render(text), fault, after * PIECE_BYTES)
            for at in range(0, len(sound), PIECE_BYTES):
                await asyncio.sleep(pace)
                yield sound[at : at + PIECE_BYTES]
            if fault is Fault.STOP:
                raise Failure(Code.ENGINE_BROKEN, "the scripted engine stopped, as its voice asks for")
        finally:
            self.open -= 1

    def _fault(self, voice: Voice) -> Fault:
        """The fault of this call."""
        fault = Fault(str(voice.settings.get("fault", "none")))
        hit = self._faults[voice.name] = self._faults.get(voice.name, 0) + 1
        return fault if hit <= int(str(voice.settings.get("times", hit))) else Fault.NONE

    async def check(self) -> str:
        """'' or what was said to be missing."""
        return self._missing

    async def close(self) -> None:
        """Nothing is held."""


def _faulty(sound: bytes, fault: Fault, upto: int) -> bytes:
    """The sound with its fault."""
    match fault:
        case Fault.SILENCE:
            return bytes(AIR_RATE * 2)
        case Fault.NOTHING:
            return b""
        case Fault.SHORT | Fault.STOP:
            return sound[:upto]
        case Fault.LONG:
            return (sound or bytes(2)) * (AIR_RATE * 2 * 120 // max(2, len(sound)) + 1)
        case Fault.ODD:
            return sound + b"\1"
        case _:
            return sound
