"""What a room leaves on the record, on real brokers."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from services.contract import streams
from services.contract.ingest import Counted, TurnAired, TurnSettled
from services.contract.tts import AIR_RATE, SpeechChunk, SpeechStarted
from services.runtime.bus import Bus
from services.runtime.clock import now_ms
from tests.ingest.test_handlers import ROOM, Studio, paid_id, super_chat


@pytest.fixture
async def studio(broker_url: str, live_url: str, tmp_path: Path) -> AsyncIterator[Studio]:
    bus = Bus(broker_url, [live_url])
    studio = Studio(bus, tmp_path)
    await studio.raw.delete(streams.SHOW.of(ROOM))
    yield studio
    for task in list(studio.tasks):
        await studio.stop(task)
    await studio.spool.close()
    await bus.close()


async def record(studio: Studio) -> list[TurnSettled | Counted]:
    return [each async for each in studio.desk.archive.record(ROOM)]


async def test_a_turn_is_on_the_record_with_what_was_heard(studio: Studio) -> None:
    """Who was answered, what was said and when; it stands there as soon as the ledger says that it was spoken."""
    began = now_ms()
    studio.go(super_chat(1))
    await studio.seen(TurnAired)
    await studio.answer((await studio.turns())[0], seconds=0.3)
    await studio.settled(1, "spoken")
    (told,) = [each for each in await record(studio) if isinstance(each, TurnSettled)]
    (said,) = told.captions
    assert told.event
    assert (told.event.id, told.event.raw, told.amount_fen, told.state) == (paid_id(1), "", 3_000, "spoken")
    assert (said.text, said.to_ms - said.from_ms) == ("hi", 300)
    assert began <= said.from_ms < said.to_ms <= now_ms()


async def test_an_interrupted_turn_was_heard_in_part(studio: Studio) -> None:
    """Its record ends where it was cut, and says why."""
    studio.go(super_chat(1))
    await studio.seen(TurnAired)
    (turn,) = await studio.turns()
    await studio.say(SpeechStarted(turn=turn.turn, no=turn.no, epoch=0, index=0, attempt=1, text="hi"))
    chunk = SpeechChunk(turn=turn.turn, index=0, attempt=1, chunk=0, sample_offset=0)
    await studio.desk.sessions.publish(ROOM, chunk, b"\1\0" * AIR_RATE * 5)
    await studio.desk.sessions.interrupt(studio.desk.work, ROOM, "operator")
    await studio.settled(1, "failed")
    (told,) = [each for each in await record(studio) if isinstance(each, TurnSettled)]
    assert (told.state, told.reason) == ("failed", "stopped")
    assert sum(said.to_ms - said.from_ms for said in told.captions) < 5_000


@pytest.mark.slow
async def test_what_came_is_counted(studio: Studio) -> None:
    """Within ten seconds it is on the record how much came, was answered and dropped."""
    studio.go(super_chat(1), super_chat(1))
    await studio.seen(TurnAired)
    await studio.answer((await studio.turns())[0])
    counted: list[Counted] = []
    async with asyncio.timeout(30):
        while sum(each.answered for each in counted) < 1:
            await asyncio.sleep(0.2)
            counted = [each for each in await record(studio) if isinstance(each, Counted)]
    assert sum(each.received for each in counted) == 2
    assert [each.dropped for each in counted if each.dropped] == [{"duplicate": 1}]
