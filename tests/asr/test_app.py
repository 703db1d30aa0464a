"""The whole service on real brokers, and its settings."""

import asyncio
from contextlib import aclosing
from pathlib import Path

import pytest

from bench.upstream.schedule import MACHINERY
from bench.upstream.server import Upstream, serving
from services.asr import settings
from services.asr.adapters.offline import Offline
from services.asr.app import build, make_recogniser
from services.contract import streams
from services.contract.asr import Transcribed
from services.contract.failure import Failure
from services.contract.gateway import ClipHeard
from services.runtime import envelope
from services.runtime.clock import now_ms
from services.runtime.sessions import Sessions
from tests.asr.caller import Caller
from tests.asr.speech import silence, speech
from tests.asr.test_handlers import CLIP


def environ(folder: Path, yaml: str = "", **more: str) -> dict[str, str]:
    path = folder / "onair.yaml"
    path.write_text(yaml)
    return {"ONAIR_CONFIG": str(path), "ONAIR_DATA": str(folder), **more}


@pytest.mark.parametrize("yaml", ["", "engines: {asr: {scripted: {texts: [what is the weather today]}}}"])
async def test_a_clip_from_stream_to_session(broker_url: str, live_url: str, tmp_path: Path, yaml: str) -> None:
    """A clip on live is recognised by the offline and by the scripted ears; the text is on the session."""
    service = build(settings.read(environ(tmp_path, yaml, WORK_REDIS_URL=broker_url, LIVE_REDIS_URLS=live_url)))
    assert service.delivery
    await service.bus.ready()
    await service.delivery.start()
    await service.bus.live("s").set(streams.CLIP.of("s"), CLIP, ex=streams.CLIP_KEPT_S)
    heard = ClipHeard(session="s", utterance="u", deadline_ms=now_ms() + 20_000)
    await service.bus.work.xadd(streams.LISTEN.key(), {"__data__": envelope.encode(heard)})
    async with (
        asyncio.timeout(20),
        aclosing(Sessions(service.bus).read("s", "0-0")) as items,
    ):
        told = (await anext(items)).message
    assert isinstance(told, Transcribed)
    assert (told.text, told.final, told.language) == ("what is the weather today", True, "en")
    assert [await check() for check in service.checks.values()] == [""]
    await service.delivery.drain()
    assert await service.bus.work.xlen(streams.LISTEN.key()) == 0
    for close in [*service.closers, service.bus.close]:
        await close()


@pytest.mark.parametrize("yaml", ["", "engines: {asr: {scripted: {texts: [what is the weather today]}}}"])
async def test_a_call_from_microphone_to_session(broker_url: str, live_url: str, tmp_path: Path, yaml: str) -> None:
    """A sentence spoken at its pace is told to begin, then its text, with its end in the call and in time."""
    service = build(settings.read(environ(tmp_path, yaml, WORK_REDIS_URL=broker_url, LIVE_REDIS_URLS=live_url)))
    said = await speech("hello my good old friend")
    assert service.delivery
    await service.bus.ready()
    await service.delivery.start()
    loops = [asyncio.ensure_future(loop()) for loop in service.loops]
    caller = Caller(service.bus, "call-a")
    await caller.order()
    assert [await check() for check in service.checks.values()] == [""]
    await caller.say(silence(500) + said + silence(1_800))
    (final,) = await caller.heard(1)
    began, *_ = await caller.began()
    assert began.utterance == final.utterance
    assert abs(began.at_sample - 500 * 16) <= 100 * 16
    assert final.text
    assert 0 <= final.until_sample - (500 * 16 + len(said) // 2) <= 900 * 16
    assert final.until_sample % 512 == 0
    (voiced_ms, over_ms) = (
        next(ms for at, ms in caller.written if at >= 500 * 16 + part) for part in (0, len(said) // 2)
    )
    assert voiced_ms < final.ended_ms <= over_ms + 100
    for loop in loops:
        loop.cancel()
    await asyncio.gather(*loops, return_exceptions=True)
    await service.delivery.drain()
    assert await caller.attended() is None
    for close in [*service.closers, service.bus.close]:
        await close()


async def test_defaults(tmp_path: Path) -> None:
    """Without a word of the configuration the ears are the offline ones, one clip at a time."""
    read = settings.read(environ(tmp_path))
    assert (read.workers, read.calls) == (1, 16)
    assert (read.config.asr.end_of_turn_ms, read.config.asr.adaptive) == (500, True)
    engine = make_recogniser(read)
    assert isinstance(engine, Offline)
    await engine.close()


def test_wrong_settings(tmp_path: Path) -> None:
    """A number of workers that cannot be is refused by name."""
    with pytest.raises(Failure, match="ASR_WORKERS is 'many'"):
        settings.read(environ(tmp_path, ASR_WORKERS="many"))


OPENAI = "engines: {asr: {openai: {model: whisper-1, base_url: %s}}}"


async def test_a_server_is_asked_with_its_own_key(tmp_path: Path) -> None:
    """The configuration's address and the service's own key go before those of the model that answers."""
    app = Upstream(MACHINERY)
    async with serving(app) as url:
        given = {"OPENAI_API_KEY": "of-llm", "ASR_OPENAI_API_KEY": "of-asr", "OPENAI_BASE_URL": "http://127.0.0.1:1/v1"}
        engine = make_recogniser(settings.read(environ(tmp_path, OPENAI % url, **given)))
        assert await engine.recognise(b"\0\x40" * 16_000, "en") == "This is turn 1."
        assert app.requests[0].headers["authorization"] == "Bearer of-asr"
        assert app.requests[0].body["model"] == "whisper-1"
        await engine.close()


def test_a_server_without_an_address_of_its_own(tmp_path: Path) -> None:
    """It is the one that answers, with its key; an address that is none is refused by name."""
    read = settings.read(environ(tmp_path, OPENAI % "''", OPENAI_API_KEY="of-llm", OPENAI_BASE_URL="http://x/v1"))
    assert (read.key, read.base_url) == ("of-llm", "http://x/v1")
    with pytest.raises(Failure, match=r"engines\.asr\.openai\.base_url must begin with http"):
        settings.read(environ(tmp_path, OPENAI % "whisper"))


def test_a_server_needs_a_model(tmp_path: Path) -> None:
    """Without one the service does not begin."""
    with pytest.raises(Failure, match="name the model that shall listen"):
        make_recogniser(settings.read(environ(tmp_path, "engines: {asr: {openai: {}}}")))
