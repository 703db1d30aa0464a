"""`onair try avatar`: lets the puppet speak a WAV file and draws its mouth."""

import asyncio
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from onair.demo import RECORDING, shipped
from onair.drive import DONE, say, tell
from onair.ready import page
from onair.tryout import EXAMPLES, ROOM, Bench, alone, bytes_of
from services.contract.failure import Code, Failure
from services.contract.ingest import TurnAired
from services.contract.llm import AnswerEnded
from services.contract.tts import AIR_RATE, SpeechChunk, SpeechEnded, SpeechStarted
from services.runtime.sound import BadSoundError, read_wav, samples, to_mono

TURN = "try-1"
CHUNK = AIR_RATE // 5
"""Samples of 200 ms."""
BARS = " ▁▂▃▄▅▆▇█"
FRAME_S = 0.04
LAG_S = 1.0
"""The mouth moves on the playback clock, a little after the sound was said."""
_MOUTH = re.compile(r"^onair_puppet_mouth\{[^}]*\} ([0-9.e+-]+)$", re.MULTILINE)


def to_air(body: bytes) -> bytes:
    """A WAV file's sound as it would be on air; raises Failure(BAD_AUDIO). Linear interpolation is enough for a mouth."""
    try:
        wav = read_wav(body)
    except BadSoundError as error:
        raise Failure(Code.BAD_AUDIO, str(error)) from error
    values = samples(to_mono(wav.pcm, wav.channels))
    count = len(values) * AIR_RATE // wav.rate
    if not count:
        raise Failure(Code.BAD_AUDIO, "the WAV file has no sound in it")
    at = np.arange(count) * (wav.rate / AIR_RATE)
    return np.interp(at, np.arange(len(values)), values).astype("<i2").tobytes()


def curve(mouths: Sequence[float], width: int = 76) -> str:
    """How far the mouth is open over time: each character is the widest of its share of the frames."""
    if not mouths:
        return ""
    step = max(1, -(-len(mouths) // width))
    widest = [max(mouths[at : at + step]) for at in range(0, len(mouths), step)]
    return "".join(BARS[min(len(BARS) - 1, round(value * (len(BARS) - 1)))] for value in widest)


async def avatar(file: Path | None, config: Path | None) -> int:
    """Print the mouth as a small curve."""
    pcm = to_air(await bytes_of(shipped(file or EXAMPLES / "weather-en.wav")))
    seconds = len(pcm) / 2 / AIR_RATE
    async with alone("avatar", config, shipped(RECORDING)) as bench:
        watch = asyncio.create_task(mouths(bench.health_port, seconds + LAG_S))
        await speak(bench, pcm)
        seen = await watch
    if max(seen, default=0) == 0:
        raise Failure(Code.ENGINE_SILENT, f"the mouth did not move in {seconds:.1f} s of sound; is there speech in it?")
    say(curve(seen))
    tell(f"{seconds:.1f} s of sound; the mouth opens to {max(seen):.2f} and ends at {seen[-1]:.2f}")
    return DONE


async def mouths(port: int, seconds: float) -> list[float]:
    """How far the puppet's mouth is open, looked at every `FRAME_S`, where it is shown to all: at `/metrics`."""
    loop, seen = asyncio.get_running_loop(), list[float]()
    until = loop.time() + seconds
    while (now := loop.time()) < until:
        seen.append(mouth_in(await page(port, "/metrics")))
        await asyncio.sleep(max(0.0, now + FRAME_S - loop.time()))
    return seen


def mouth_in(metrics: str) -> float:
    """The widest mouth among the puppets in this text; 0 if there is none."""
    return max((float(value) for value in _MOUTH.findall(metrics)), default=0.0)


async def speak(bench: Bench, pcm: bytes) -> None:
    """Say on the session what tts would say: one sentence, in chunks."""
    say_ = bench.sessions.publish
    count = len(pcm) // 2
    await say_(ROOM, TurnAired(turn=TURN, no=1, epoch=0), room=True)
    await say_(ROOM, SpeechStarted(turn=TURN, no=1, epoch=0, index=0, attempt=1, text="…"), room=True)
    for chunk, at in enumerate(range(0, count, CHUNK)):
        message = SpeechChunk(turn=TURN, index=0, attempt=1, chunk=chunk, sample_offset=at)
        await say_(ROOM, message, pcm[2 * at : 2 * (at + CHUNK)], room=True)
    await say_(ROOM, SpeechEnded(turn=TURN, index=0, attempt=1, samples=count), room=True)
    await say_(ROOM, AnswerEnded(turn=TURN, count=1, text="…"), room=True)
