"""Speech to call with: made by espeak-ng, as s16le mono at 16 kHz."""

from functools import cache

import numpy as np

from services.asr.adapters.soxr import resample
from services.asr.core.pcm import HEARD_RATE
from services.contract.tts import AIR_RATE
from services.runtime.sound import samples, voiced_at
from services.tts.adapters.espeak import Espeak
from services.tts.core.ports import Voice


@cache
def _made() -> dict[str, bytes]:
    return {}


async def speech(text: str, voice: str = "en-us") -> bytes:
    """The text as that voice speaks it, from its first sound on."""
    if (known := _made().get(text + voice)) is None:
        engine = Espeak()
        pcm = b"".join([part async for part in engine.speak(text, Voice("test", {"voice": voice}), "")])
        await engine.close()
        heard = resample(pcm, AIR_RATE, HEARD_RATE)
        known = _made()[text + voice] = heard[(voiced_at(heard, HEARD_RATE) or 0) * 2 :]
    return known


def silence(ms: int) -> bytes:
    return bytes(ms * HEARD_RATE // 1_000 * 2)


def hiss(ms: int, level: int, seed: int = 1) -> bytes:
    """Noise; `level` is its loudest sample."""
    count = ms * HEARD_RATE // 1_000
    return np.random.default_rng(seed).integers(-level, level + 1, count).astype("<i2").tobytes()


def mixed(one: bytes, other: bytes) -> bytes:
    """Both at once, as long as the first."""
    both = samples(one).astype(np.int32)
    both += np.resize(samples(other), len(both))
    return np.clip(both, -32_768, 32_767).astype("<i2").tobytes()
