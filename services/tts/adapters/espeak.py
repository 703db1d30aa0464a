"""espeak-ng, from the wheel that carries its library and voices: speaks about 130 languages with nothing installed."""

import asyncio
import contextlib
import ctypes
import re
import threading
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

import espeakng_loader

from services.contract.failure import Code, Failure
from services.runtime.words import is_cjk
from services.tts.adapters.soxr import Resampler
from services.tts.core.ports import Voice

WIDE: Final = ("cmn", "yue", "hak", "ja", "ko")
"""Voices that can read what is written without spaces; the others name its letters one by one."""
_ALIASES = {"zh": "cmn", "en": "en-us"}
_LIMITS: Final = {"rate": (80, 450, 175), "pitch": (0, 99, 50), "volume": (0, 200, 100)}
"""Least, most and usual: words a minute, and espeak's own scales (speak_lib.h)."""
_PARAMETERS: Final = {"rate": 1, "volume": 2, "pitch": 3}
"""Numbers of `espeak_PARAMETER`."""
_SYNCHRONOUS, _DONT_EXIT, _UTF8, _CHARACTERS, _BUFFER_MS = 2, 0x8000, 1, 1, 60
_CONTROL = re.compile(r"[\x00-\x1f\x7f]+")
_CALLBACK = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p)
_ONE = threading.Lock()
"""The library keeps its state in globals: one synthesis at a time in a process."""
Emit = Callable[[bytes], bool]
"""Takes sound; False: stop."""


@dataclass(frozen=True)
class Settings:
    """How espeak is to sound."""

    voice: str
    parameters: Mapping[str, int]


def parse(voice: Voice) -> Settings:
    """A voice's settings, checked; raises Failure(BAD_CONFIG) which names the voice, the setting and its limits."""
    where = f"voice {voice.name!r}: espeak"
    if unknown := sorted(set(voice.settings) - {"voice", *_LIMITS}):
        raise Failure(Code.BAD_CONFIG, f"{where} has no setting {unknown[0]!r}; known: voice, {', '.join(_LIMITS)}")
    values: dict[str, int] = {}
    for name, (least, most, usual) in _LIMITS.items():
        value = voice.settings.get(name, usual)
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
            raise Failure(Code.BAD_CONFIG, f"{where}: {name} is {value!r}; it must be a number from {least} to {most}")
        values[name] = value
    named = str(voice.settings.get("voice", "cmn"))
    return Settings(_ALIASES.get(named, named), values)


def runs(text: str, home: str) -> list[tuple[str, str]]:
    """The text in runs of one script, each with the voice that can read it; `home` reads all that it can.

    The variant of `home` (as `+f3`) is kept, so that it sounds like one speaker. Digits and marks go with what is
    before them.
    """
    base, plus, variant = home.partition("+")
    wide = base if base in WIDE else "cmn"
    narrow = "en-us" if base in WIDE else base
    found: list[tuple[str, str]] = []
    for mark in text:
        letter = (wide if is_cjk(mark) else narrow) if mark.isalpha() else ""
        if found and letter in {"", found[-1][0]}:
            found[-1] = (found[-1][0], found[-1][1] + mark)
        elif found and not any(known.isalpha() for known in found[-1][1]):
            found[-1] = (letter, found[-1][1] + mark)
        else:
            found.append((letter or base, mark))
    return [(f"{voice}{plus}{variant}", part) for voice, part in found]


class _Library:
    """The C library, initialised; `say` is not re-entrant."""

    def __init__(self, path: str) -> None:
        self._c = ctypes.CDLL(path)
        self._c.espeak_Synth.argtypes = [
            ctypes.c_char_p,
            ctypes.c_size_t,
            ctypes.c_uint,
            ctypes.c_int,
            ctypes.c_uint,
            ctypes.c_uint,
            ctypes.c_void_p,
            ctypes.c_void_p,
        ]
        data = espeakng_loader.get_data_path().encode()
        self.rate = int(self._c.espeak_Initialize(_SYNCHRONOUS, _BUFFER_MS, data, _DONT_EXIT))
        if self.rate <= 0:
            raise OSError(f"espeak_Initialize answered {self.rate} for the voices in {data.decode()}")
        self._emit: Emit = lambda _: False
        self._callback = _CALLBACK(self._heard)
        self._c.espeak_SetSynthCallback(self._callback)

    def _heard(self, wav: int | None, count: int, _: int | None) -> int:
        """Called by the library with each buffer; 1 ends the synthesis."""
        return 0 if not wav or count <= 0 or self._emit(ctypes.string_at(wav, count * 2)) else 1

    def say(self, text: str, voice: str, parameters: Mapping[str, int], emit: Emit) -> None:
        """Speak one run; returns when it has been spoken, or when `emit` answered False."""
        self._emit = emit
        if self._c.espeak_SetVoiceByName(voice.encode()) != 0:
            raise Failure(Code.BAD_CONFIG, f"espeak-ng has no voice {voice!r}; use cmn, en-us, en-gb, ja, … or cmn+f3")
        for name, value in parameters.items():
            self._c.espeak_SetParameter(_PARAMETERS[name], value, 0)
        body = _CONTROL.sub(" ", text).encode("utf-8", "replace") + b"\0"
        if (code := self._c.espeak_Synth(body, len(body), 0, _CHARACTERS, 0, _UTF8, None, None)) != 0:
            raise Failure(Code.ENGINE_BROKEN, f"espeak-ng failed with error {code}")


@lru_cache(maxsize=1)
def _library(path: str) -> _Library:
    """The one library of this process; raises Failure(ENGINE_MISSING) with the remedy."""
    try:
        return _Library(path)
    except (OSError, RuntimeError, AttributeError) as error:
        raise Failure(
            Code.ENGINE_MISSING,
            f"espeak-ng cannot be loaded from {path}: {error}; reinstall it by `uv sync --extra tts`",
        ) from error


class Espeak:
    """Speaks in one worker thread; sound leaves while the synthesis goes on."""

    name = "espeak"
    pool = "espeak"

    def __init__(self, voices: Sequence[Voice] = (), library: str = "") -> None:
        """Check the settings of all voices; raises Failure(BAD_CONFIG)."""
        self._path = library or espeakng_loader.get_library_path()
        self._thread = ThreadPoolExecutor(1, "espeak")
        for voice in voices:
            parse(voice)

    async def speak(self, text: str, voice: Voice, emotion: str) -> AsyncGenerator[bytes, None]:  # noqa: ARG002  espeak has no emotions
        """Sound of `text` as it is made; see `Engine.speak`."""
        settings = parse(voice)
        loop, stop = asyncio.get_running_loop(), threading.Event()
        sound: asyncio.Queue[bytes | None] = asyncio.Queue()

        def emit(pcm: bytes) -> bool:
            with contextlib.suppress(RuntimeError):  # the loop has ended: nobody listens any more
                loop.call_soon_threadsafe(sound.put_nowait, pcm)
                return not stop.is_set()
            return False

        def ended(job: asyncio.Future[None]) -> None:
            if not job.cancelled():
                job.exception()  # looked at, so that a caller who has gone leaves no warning
            sound.put_nowait(None)

        job = loop.run_in_executor(self._thread, self._speak, text, settings, emit)
        job.add_done_callback(ended)
        try:
            while (pcm := await sound.get()) is not None:
                yield pcm
            await job
        finally:
            stop.set()

    def _speak(self, text: str, settings: Settings, emit: Emit) -> None:
        """In the thread: all runs of the text, at the rate on air."""
        with _ONE:
            library = _library(self._path)
            resampler = Resampler(library.rate)
            heard = True

            def pass_on(pcm: bytes) -> bool:
                nonlocal heard
                heard = emit(resampler.feed(pcm))
                return heard

            for voice, run in runs(text, settings.voice):
                if heard:
                    library.say(run, voice, settings.parameters, pass_on)
            emit(resampler.feed(b"", last=True))

    async def check(self) -> str:
        """'' if the library is loaded, otherwise the sentence with the remedy."""
        try:
            await asyncio.get_running_loop().run_in_executor(self._thread, self._load)
        except Failure as failure:
            return failure.sentence
        return ""

    def _load(self) -> Any:  # noqa: ANN401  nobody looks at it
        with _ONE:
            return _library(self._path)

    async def close(self) -> None:
        """End the thread once its synthesis has ended."""
        self._thread.shutdown(wait=False, cancel_futures=True)
