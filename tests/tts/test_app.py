"""The whole service on real brokers, and its settings."""

import asyncio
from pathlib import Path

import pytest

from bench.upstream.schedule import MACHINERY
from bench.upstream.server import Upstream, serving
from services.contract import streams
from services.contract.failure import Code, Failure
from services.contract.llm import SentenceReady
from services.contract.tts import SpeechEnded, SpeechStarted
from services.runtime import envelope, sound
from services.runtime.clock import now_ms
from services.runtime.sessions import Item, Sessions
from services.tts import settings
from services.tts.app import build, make_engine
from services.tts.core.ports import Voice

YAML = """
voices:
  xiaoyi: {engines: [{scripted: {fault: silence}}, {espeak: {voice: cmn}}]}
"""


def environ(folder: Path, yaml: str = YAML, **more: str) -> dict[str, str]:
    path = folder / "onair.yaml"
    path.write_text(yaml)
    return {"ONAIR_CONFIG": str(path), "ONAIR_DATA": str(folder), **more}


async def spoken(sessions: Sessions) -> list[Item]:
    """The session's entries up to the end of the sentence."""
    items: list[Item] = []
    async with asyncio.timeout(10):
        async for item in sessions.read("s", "0-0"):
            items.append(item)
            if isinstance(item.message, SpeechEnded):
                break
    return items


async def test_a_sentence_from_stream_to_session(broker_url: str, live_url: str, tmp_path: Path) -> None:
    """A sentence of a call whose first engine gives silence is spoken by the second; both loops say the pools live."""
    env = environ(
        tmp_path, WORK_REDIS_URL=broker_url, LIVE_REDIS_URLS=live_url, TTS_ENGINES="espeak, scripted", TTS_WORKERS="1"
    )
    service = build(settings.read(env))
    assert service.delivery
    await service.bus.ready()
    await service.delivery.start()
    loops = [asyncio.ensure_future(loop()) for loop in service.loops]
    text = "你好，今天过得怎么样？"
    ready = SentenceReady(
        turn="t", no=1, session="s", epoch=0, kind="call", index=0, text=text, speak=text, voice="xiaoyi",
        deadline_ms=now_ms() + 1_000,
    )  # fmt: skip
    await service.bus.work.xadd("speak:scripted:call", {"__data__": envelope.encode(ready)})
    items = await spoken(Sessions(service.bus))
    engines = [item.message.engine for item in items if isinstance(item.message, SpeechStarted)]
    assert engines == ["scripted", "scripted", "espeak"]
    pcm = b"".join(item.blob for item in items)
    assert 1_500 < sound.millis(pcm) < 4_000
    assert [await check() for check in (*service.checks.values(), *service.warns.values())] == ["", "", ""]
    assert await service.bus.work.exists(streams.POOL.of("espeak"), streams.POOL.of("scripted")) == 2
    await service.delivery.drain()
    for loop in loops:
        loop.cancel()
    await asyncio.gather(*loops, return_exceptions=True)
    assert await service.bus.work.xlen("speak:espeak:call") == 0
    for close in [*service.closers, service.bus.close]:
        await close()


def test_settings_have_defaults(tmp_path: Path) -> None:
    """Without a word of the environment one worker speaks two sentences at a time with espeak."""
    read = settings.read(environ(tmp_path))
    assert (read.engines, read.workers) == (("espeak",), 2)


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"TTS_ENGINES": "espeak,polly"}, "TTS_ENGINES names polly; known: "),
        ({"TTS_ENGINES": " , "}, "TTS_ENGINES names none; known: "),
        ({"TTS_WORKERS": "0"}, "TTS_WORKERS is '0'"),
    ],
)
def test_wrong_settings(tmp_path: Path, more: dict[str, str], words: str) -> None:
    """What cannot be is refused by the variable's name and what is known."""
    with pytest.raises(Failure, match=words) as caught:
        settings.read(environ(tmp_path, **more))
    assert caught.value.code is Code.BAD_CONFIG


def test_a_wrong_voice_ends_the_start(tmp_path: Path) -> None:
    """A voice's setting that its engine does not understand is said before the service begins."""
    env = environ(tmp_path, "voices:\n  x: {engines: [{espeak: {rate: fast}}]}\n")
    with pytest.raises(Failure, match="voice 'x': espeak: rate is 'fast'"):
        build(settings.read(env))


OPENAI = """
voices: {x: {engines: [{openai: {voice: alloy}}, {scripted: {}}]}}
engines: {tts: {openai: {model: tts-1, base_url: %s, format: wav}}}
"""


async def test_a_server_is_asked_with_its_own_key(tmp_path: Path) -> None:
    """The configuration's address and the service's own key go before those of the model that answers."""
    app = Upstream(MACHINERY)
    async with serving(app) as url:
        given = {"OPENAI_API_KEY": "of-llm", "TTS_OPENAI_API_KEY": "of-tts", "OPENAI_BASE_URL": "http://127.0.0.1:1/v1"}
        engine = make_engine("openai", settings.read(environ(tmp_path, OPENAI % url, **given)))
        pcm = b"".join([piece async for piece in engine.speak("hi", Voice("x", {"voice": "alloy"}), "")])
        assert not sound.is_silent(pcm)
        assert app.requests[0].headers["authorization"] == "Bearer of-tts"
        assert (app.requests[0].body["model"], app.requests[0].body["response_format"]) == ("tts-1", "wav")
        await engine.close()


async def test_ready_as_long_as_one_can_speak(tmp_path: Path) -> None:
    """A server that is away is a warning while another engine speaks, and keeps a worker from being ready alone."""
    yaml = OPENAI % "http://127.0.0.1:1/v1"
    for engines, problem in (("openai,scripted", ""), ("openai", "cannot be reached")):
        service = build(settings.read(environ(tmp_path, yaml, TTS_ENGINES=engines)))
        assert "cannot be reached" in await service.warns["engine openai"]()
        said = await service.checks["engines"]()
        assert problem in said
        assert bool(said) == bool(problem)
        for close in [*service.closers, service.bus.close]:
            await close()


def test_a_voice_of_a_server_is_checked(tmp_path: Path) -> None:
    """A voice that the engine cannot have is said before the service begins."""
    yaml = "voices: {x: {engines: [{openai: {voice: alloy}}]}}\n"
    with pytest.raises(Failure, match=r"voice 'x': openai: no model is named; set engines\.tts\.openai\.model"):
        build(settings.read(environ(tmp_path, yaml, TTS_ENGINES="openai")))
