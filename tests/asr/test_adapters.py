"""Detectors, recognisers and the resampler: one suite for all of a kind, then what is special to each."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from pathlib import Path

import numpy as np
import pytest

from bench.upstream.schedule import MACHINERY
from bench.upstream.server import Upstream, serving
from services.asr.adapters.offline import Offline, SileroDetector, Sphinx
from services.asr.adapters.openai import OpenAIEars, Options
from services.asr.adapters.scripted import Scripted, ScriptedDetector
from services.asr.adapters.soxr import resample
from services.asr.adapters.sphinx import MORE, WHOLE
from services.asr.core.pcm import FRAME_BYTES, HEARD_RATE, frames, heard
from services.asr.core.ports import Detector, Recogniser
from services.asr.core.segments import cut, segments
from services.contract.failure import Code, Failure

CLIP = (Path(__file__).parents[2] / "examples" / "weather-en.wav").read_bytes()
SECOND = bytes(2 * HEARD_RATE)


@pytest.fixture(params=[SileroDetector, ScriptedDetector])
def detector(request: pytest.FixtureRequest) -> Detector:
    make: Callable[[], Detector] = request.param
    return make()


@pytest.fixture(params=["offline", "scripted", "openai"])
async def recogniser(request: pytest.FixtureRequest) -> AsyncGenerator[Recogniser, None]:
    async with serving(Upstream(MACHINERY, "what is the weather today ")) as url:
        makers: dict[str, Callable[[], Recogniser]] = {
            "offline": Offline,
            "scripted": lambda: Scripted(["what is the weather today"]),
            "openai": lambda: OpenAIEars(Options("m", base_url=url)),
        }
        made = makers[request.param]()
        yield made
        await made.close()


def test_detector_hears_the_voice(detector: Detector) -> None:
    """A spoken clip is one utterance, of about its length."""
    pcm = heard(CLIP, resample)
    (segment,) = segments(detector.probability(frame) for frame in frames(pcm))
    assert 35 < segment.end - segment.start < 80


def test_detector_hears_no_voice_in_silence(detector: Detector) -> None:
    """Silence and a faint hiss have no voice."""
    hiss = np.random.default_rng(1).integers(-30, 31, HEARD_RATE).astype("<i2").tobytes()
    assert segments(detector.probability(frame) for frame in frames(SECOND + hiss)) == []


async def test_recogniser_hears_silence(recogniser: Recogniser) -> None:
    """Silence is no text."""
    assert await recogniser.recognise(SECOND, "") == ""
    assert await recogniser.recognise(b"", "en") == ""


async def test_recogniser_hears_the_clip(recogniser: Recogniser) -> None:
    """The example clip is recognised word by word, also after other sound."""
    pcm = heard(CLIP, resample)
    detector = SileroDetector()
    (segment,) = segments(detector.probability(frame) for frame in frames(pcm))
    await recogniser.recognise(SECOND, "en")
    assert await recogniser.recognise(cut(pcm, segment), "en") == "what is the weather today"


async def test_recogniser_tells_words_while_they_are_spoken(recogniser: Recogniser) -> None:
    """Fed piece by piece it tells more and more of the text, if it can; the whole is still recognised as without."""
    pcm, told = heard(CLIP, resample), list[str]()
    hearing = recogniser.listen("en")
    if hearing is None:
        assert isinstance(recogniser, OpenAIEars)
        return
    for at in range(0, len(pcm), HEARD_RATE // 3 * 2):
        told.append(await hearing.feed(pcm[at : at + HEARD_RATE // 3 * 2]))
    hearing.close()
    assert len(told[0].split()) <= 1
    assert "what is" in told[-1]
    assert len(told[-1].split()) >= 4
    assert await recogniser.recognise(pcm, "en")


async def test_recogniser_is_ready(recogniser: Recogniser) -> None:
    """A recogniser that can listen says so, and names itself and its languages."""
    assert await recogniser.check() == ""
    assert await recogniser.check() == ""
    assert recogniser.name
    assert "en" in recogniser.languages


def test_offline_says_what_it_is() -> None:
    """The offline recogniser names its one language and that it is experimental."""
    engine = Offline()
    assert engine.languages == ("en",)
    assert "English only, experimental" in engine.name


async def test_offline_missing_model() -> None:
    """A model that cannot be loaded is said with the remedy, by the check and by recognising."""
    engine = Offline(hmm="/nowhere")
    assert "uv sync --extra asr" in await engine.check()
    with pytest.raises(Failure, match="cannot load its model") as caught:
        await engine.recognise(heard(CLIP, resample), "en")
    assert caught.value.code is Code.ENGINE_MISSING
    await engine.close()


async def test_offline_two_at_once() -> None:
    """Two clips at once are recognised one after the other, each as if alone."""
    engine = Offline()
    pcm = heard(CLIP, resample)
    alone = await engine.recognise(pcm, "en")
    assert await asyncio.gather(engine.recognise(pcm, "en"), engine.recognise(pcm, "en")) == [alone, alone]
    await engine.close()


async def test_offline_follows_one_utterance_at_a_time() -> None:
    """While it follows one, another has no words until its end; each begins anew, also after one that was left."""
    engine, pcm = Offline(), heard(CLIP, resample)
    hearing = engine.listen("")
    assert hearing
    assert engine.listen("") is None
    leaving = asyncio.ensure_future(hearing.feed(pcm))
    await asyncio.sleep(0)
    leaving.cancel()
    await asyncio.gather(leaving, return_exceptions=True)
    hearing.close()
    again = engine.listen("")
    assert again
    assert "what is" in await again.feed(pcm)
    again.close()
    more = engine.listen("")
    assert more
    assert "what is" in await more.feed(pcm)
    await engine.close()


async def test_a_decoder_that_breaks() -> None:
    """An order that ends its process is a failure; the next utterance has a new one."""
    decoder, pcm = Sphinx(), heard(CLIP, resample)
    said = await decoder.ask(WHOLE, pcm)
    with pytest.raises(Failure, match="please say it again") as caught:
        await decoder.ask(MORE, pcm)
    assert caught.value.code is Code.ENGINE_BROKEN
    assert await decoder.ask(WHOLE, pcm) == said != ""
    await decoder.close()


def test_silero_needs_whole_frames() -> None:
    """A frame of another length is refused."""
    with pytest.raises(Failure, match=f"{FRAME_BYTES} are needed"):
        SileroDetector().probability(b"\0\0")


def test_detectors_share_nothing() -> None:
    """Two detectors that listen in turn hear what each would hear alone."""
    voice, quiet = list(frames(heard(CLIP, resample))), list(frames(SECOND * 3))
    expected = list(map(SileroDetector().probability, voice))
    one, other = SileroDetector(), SileroDetector()
    found: list[float] = []
    for loud, soft in zip(voice, quiet, strict=False):
        found.append(one.probability(loud))
        other.probability(soft)
    assert found == expected[: len(found)]


async def test_scripted_texts() -> None:
    """Given texts come in order, then the length in the language that was asked for; a given failure is raised."""
    loud = b"\0\x40" * HEARD_RATE
    engine = Scripted(["一", "二"])
    said = [await engine.recognise(loud, language) for language in ("", "", "zh", "en")]
    assert said == ["一", "二", "一段 1.0 秒的话", "something of 1.0 seconds"]
    broken = Scripted(failure=Failure(Code.ENGINE_BROKEN, "no"), missing="start it")
    assert await broken.check() == "start it"
    with pytest.raises(Failure):
        await broken.recognise(loud, "")


@pytest.mark.parametrize("rate", [8_000, 24_000, 44_100, 48_000])
def test_resample(rate: int) -> None:
    """A second of any rate becomes a second at 16 kHz with the same tone and level."""
    tone = np.rint(np.sin(np.arange(rate) * 2 * np.pi * 440 / rate) * 16_000).astype("<i2").tobytes()
    moved = np.frombuffer(resample(tone, rate, HEARD_RATE), "<i2")
    assert len(moved) == HEARD_RATE
    assert int(np.abs(np.fft.rfft(moved)).argmax()) == 440
    assert np.abs(moved).max() == pytest.approx(16_000, rel=0.05)
    assert resample(b"", rate, HEARD_RATE) == b""
