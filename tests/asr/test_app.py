"""The whole service on real brokers, and its settings."""

import asyncio
from contextlib import aclosing
from pathlib import Path

import pytest

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


async def test_defaults(tmp_path: Path) -> None:
    """Without a word of the configuration the ears are the offline ones, one clip at a time."""
    read = settings.read(environ(tmp_path))
    assert read.workers == 1
    engine = make_recogniser(read)
    assert isinstance(engine, Offline)
    await engine.close()


def test_wrong_settings(tmp_path: Path) -> None:
    """A number of workers that cannot be is refused by name."""
    with pytest.raises(Failure, match="ASR_WORKERS is 'many'"):
        settings.read(environ(tmp_path, ASR_WORKERS="many"))
