"""Engines: one suite for all of them, then what is special to each."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing

import numpy as np
import pytest

from bench.upstream.schedule import Delays
from bench.upstream.server import Upstream, serving
from services.contract.failure import Code, Failure
from services.runtime import sound
from services.tts.adapters.espeak import Espeak, parse, runs
from services.tts.adapters.openai import OpenAISpeech, Options
from services.tts.adapters.scripted import Scripted
from services.tts.adapters.soxr import Resampler
from services.tts.core.ports import Engine, Voice
from services.tts.core.validate import Judge

ZH = "你好，今天过得怎么样？"
EN = "Hello there, how are you today?"
MIXED = "今天我们来聊聊 machine learning，好不好？"
VOICES = {
    "espeak": Voice("x", {"voice": "cmn"}),
    "scripted": Voice("x"),
    "openai": Voice("x", {"voice": "alloy"}),
}


@pytest.fixture(params=["espeak", "scripted", "openai"])
async def engine(request: pytest.FixtureRequest) -> AsyncGenerator[Engine, None]:
    async with serving(Upstream(Delays(0, 0, 0, 0, speech_pace=20))) as url:
        makers: dict[str, Callable[[], Engine]] = {
            "espeak": Espeak,
            "scripted": Scripted,
            "openai": lambda: OpenAISpeech(Options("m", base_url=url)),
        }
        made = makers[request.param]()
        yield made
        await made.close()


async def speak(engine: Engine, text: str, voice: Voice | None = None) -> bytes:
    pieces = [pcm async for pcm in engine.speak(text, voice or VOICES[engine.name], "")]
    return b"".join(pieces)


def alike(one: bytes, other: bytes) -> bool:
    """The same rendition: of one length to 25 ms and with one envelope. espeak's noise differs from call to call."""
    if abs(len(one) - len(other)) > 25 * 48:
        return False
    levels = [sound.envelope(pcm, window_ms=50) for pcm in (one, other)]
    size = min(map(len, levels))
    return bool(np.corrcoef(levels[0][:size], levels[1][:size])[0, 1] > 0.9)


@pytest.mark.parametrize("text", [ZH, EN, MIXED, "好", "I", "2024年12345678", "GPT-4o <b>&amp;</b>"])
async def test_speaks(engine: Engine, text: str) -> None:
    """Chinese, English, both, one letter, numbers and markup give a plausible, audible sound of whole samples."""
    judge = Judge(text)
    heard = judge.feed(await speak(engine, text)) + judge.close()
    assert judge.bad is None
    assert sound.peak(heard) > 0.05


async def test_is_ready(engine: Engine) -> None:
    """An engine that can speak says so, and has a name and a pool."""
    assert await engine.check() == ""
    assert engine.name == engine.pool != ""


async def test_is_steady(engine: Engine) -> None:
    """The same text in the same voice gives the same rendition, also after another one."""
    first = await speak(engine, MIXED)
    other = await speak(engine, EN)
    assert alike(await speak(engine, MIXED), first)
    assert not alike(other, first)


async def test_sound_comes_in_pieces(engine: Engine) -> None:
    """The first sound is there long before the last: no piece is longer than 200 ms."""
    pieces = [pcm async for pcm in engine.speak(EN, VOICES[engine.name], "")]
    assert len(pieces) > 5
    assert max(map(len, pieces)) <= 200 * 48


async def test_two_at_once(engine: Engine) -> None:
    """Two sentences asked for at once do not mix."""
    alone = [await speak(engine, text) for text in (ZH, EN)]
    together = await asyncio.gather(speak(engine, ZH), speak(engine, EN))
    assert all(alike(*pair) for pair in zip(alone, together, strict=True))


async def test_can_be_stopped(engine: Engine) -> None:
    """Closing the stream in the middle stops the engine, which then speaks the next sentence as ever."""
    expected = await speak(engine, ZH)
    async with aclosing(engine.speak(EN * 60, VOICES[engine.name], "")) as pieces:
        assert await anext(pieces)
    assert alike(await speak(engine, ZH), expected)


async def test_can_be_cancelled(engine: Engine) -> None:
    """A task that is cancelled while it listens ends at once."""
    task = asyncio.ensure_future(speak(engine, EN * 60))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_espeak_streams_and_stops(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first sound leaves while the synthesis goes on, which ends early when nobody listens any more."""
    made: list[int] = []

    class Counting(Resampler):
        def feed(self, pcm: bytes, *, last: bool = False) -> bytes:
            made.append(len(pcm) // 2)
            return super().feed(pcm, last=last)

    monkeypatch.setattr("services.tts.adapters.espeak.Resampler", Counting)
    engine = Espeak()
    whole_s = len(await speak(engine, EN)) / 48_000 * 400
    made.clear()
    async with aclosing(engine.speak(EN * 400, VOICES["espeak"], "")) as pieces:
        await anext(pieces)
    assert await engine.check() == ""
    assert 0 < sum(made) / 22_050 < whole_s / 2
    await engine.close()


def test_espeak_voices_by_script() -> None:
    """Each run of a script is read by a voice that can; the home voice reads all that it can, its variant is kept."""
    assert runs("今天 machine learning，好！", "cmn") == [
        ("cmn", "今天 "),
        ("en-us", "machine learning，"),
        ("cmn", "好！"),
    ]
    assert runs("Hi 你好", "en-gb+f3") == [("en-gb+f3", "Hi "), ("cmn+f3", "你好")]
    assert runs("2024年", "en-us") == [("cmn", "2024年")]
    assert runs("42", "cmn") == [("cmn", "42")]
    assert runs("…", "fr") == [("fr", "…")]
    assert runs("日本 abc", "ja") == [("ja", "日本 "), ("en-us", "abc")]
    assert runs("", "cmn") == []


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"rate": 20}, "rate is 20; it must be a number from 80 to 450"),
        ({"pitch": "high"}, "pitch is 'high'"),
        ({"volume": True}, "volume is True"),
        ({"speed": 3}, "has no setting 'speed'; known: voice, rate, pitch, volume"),
    ],
)
def test_espeak_settings_are_checked(settings: dict[str, object], words: str) -> None:
    """A wrong setting is refused when the engine is made, with the voice's name and what it may be."""
    with pytest.raises(Failure, match=words) as caught:
        Espeak([Voice("xiaoyi", settings)])
    assert caught.value.code is Code.BAD_CONFIG
    assert "xiaoyi" in caught.value.sentence


async def test_espeak_rate_and_pitch_are_heard() -> None:
    """A faster rate makes a shorter sound, another volume a softer one."""
    engine = Espeak()
    usual = await speak(engine, EN)
    fast = await speak(engine, EN, Voice("x", {"rate": 350}))
    soft = await speak(engine, EN, Voice("x", {"volume": 30}))
    assert len(fast) < len(usual) * 0.7
    assert sound.rms(soft) < sound.rms(usual) * 0.6
    assert parse(Voice("x", {"voice": "zh"})).voice == "cmn"
    await engine.close()


async def test_espeak_unknown_voice() -> None:
    """A voice that espeak does not have is a failure that names it."""
    engine = Espeak()
    with pytest.raises(Failure, match="no voice 'klingonese'"):
        await speak(engine, EN, Voice("x", {"voice": "klingonese"}))
    await engine.close()


async def test_espeak_missing_library() -> None:
    """A library that cannot be loaded is said by name with the remedy, by the check and by speaking."""
    engine = Espeak(library="/nowhere/libespeak-ng.so")
    assert "/nowhere/libespeak-ng.so" in await engine.check()
    with pytest.raises(Failure, match="uv sync --extra tts") as caught:
        await speak(engine, EN)
    assert caught.value.code is Code.ENGINE_MISSING
    await engine.close()


def test_espeak_outlives_its_loop() -> None:
    """A process whose loop ends in the middle of a synthesis ends cleanly."""
    code = (
        "import asyncio\n"
        "from services.tts.adapters.espeak import Espeak\n"
        "from services.tts.core.ports import Voice\n"
        "async def main():\n"
        "    async for _ in Espeak().speak('Hello there. ' * 400, Voice('x'), ''):\n"
        "        return\n"
        "asyncio.run(main())\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("settings", "bad"),
    [
        ({"fault": "silence"}, "silent"),
        ({"fault": "nothing"}, "no_audio"),
        ({"fault": "short"}, "too_short"),
        ({"fault": "long"}, "too_long"),
        ({"fault": "odd"}, "odd_bytes"),
    ],
)
async def test_scripted_faults(settings: dict[str, object], bad: str) -> None:
    """Each fault of the scripted engine is one that the judge finds."""
    judge = Judge(EN)
    judge.feed(await speak(Scripted(), EN, Voice("x", settings)))
    judge.close()
    assert judge.bad == bad


async def test_scripted_stops_and_recovers() -> None:
    """A fault can come in the middle and hit only some calls; the sound before it is the sound of a good call."""
    engine = Scripted()
    voice = Voice("x", {"fault": "stop", "after": 3, "times": 1})
    pieces: list[bytes] = []
    with pytest.raises(Failure) as caught:
        pieces.extend([pcm async for pcm in engine.speak(EN, voice, "")])
    assert caught.value.code is Code.ENGINE_BROKEN
    assert (await speak(engine, EN, voice)).startswith(b"".join(pieces))
    assert engine.calls == [EN, EN]


async def test_scripted_never_answers() -> None:
    """The mute fault waits until it is cancelled, and lets go then."""
    engine = Scripted()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05), aclosing(engine.speak(EN, Voice("x", {"fault": "mute"}), "")) as pieces:
            await anext(pieces)
    assert engine.open == 0


async def test_scripted_missing() -> None:
    """A scripted engine can be missing, with its remedy."""
    engine = Scripted(missing="start the server")
    assert await engine.check() == "start the server"
    with pytest.raises(Failure, match="start the server"):
        await speak(engine, EN)


@pytest.mark.parametrize("rate", [16_000, 22_050, 24_000, 32_000, 48_000])
def test_resampler(rate: int) -> None:
    """A second of any rate becomes a second at the rate on air with the same tone, however its bytes come."""
    tone = np.rint(np.sin(np.arange(rate) * 2 * np.pi * 440 / rate) * 16_000).astype("<i2").tobytes()
    whole, parts = Resampler(rate), Resampler(rate)
    expected = whole.feed(tone) + whole.feed(b"", last=True)
    got = b"".join(parts.feed(tone[at : at + 333]) for at in range(0, len(tone), 333)) + parts.feed(b"", last=True)
    assert abs(sound.count(expected) - 24_000) <= 1
    assert got == expected
    spectrum = np.abs(np.fft.rfft(sound.samples(expected)))
    assert int(spectrum.argmax()) == pytest.approx(440, abs=1)
