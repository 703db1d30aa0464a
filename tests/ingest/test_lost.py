"""Sound that the session has is never taken for lost, however late the director is with reading it."""

import asyncio
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from services.contract import streams
from services.contract.ingest import TurnAired, TurnDropped
from services.ingest.handlers import room as handlers
from services.ingest.handlers.room import Desk
from services.runtime.bus import Bus
from services.runtime.sessions import Item, Sessions
from tests.ingest.test_handlers import ROOM, Studio, super_chat


class Late(Sessions):
    """Reads nothing until it is let."""

    def __init__(self, bus: Bus) -> None:
        super().__init__(bus)
        self.gate = asyncio.Event()

    async def read(self, session: str, after: str) -> AsyncGenerator[Item]:
        await self.gate.wait()
        async for item in super().read(session, after):
            yield item


@pytest.mark.slow
async def test_a_late_reader_does_not_take_sound_for_lost(
    broker_url: str, live_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Work says that it is spoken and so does the session: the turn is neither dropped nor asked for again."""
    monkeypatch.setattr(handlers, "LOST_MS", 100)
    bus = Bus(broker_url, [live_url])
    studio, late = Studio(bus, tmp_path), Late(bus)
    watcher, studio.desk = studio.desk, Desk(studio.desk.show, studio.desk.archive, studio.desk.work, late)
    studio.go(super_chat(1))
    studio.desk = watcher
    await studio.seen(TurnAired)
    (turn,) = await studio.turns()
    await studio.answer(turn)
    await studio.raw.hset(streams.ANSWER.of(turn.turn), mapping={"0": "hi", "n": 1, "count": 1, "reason": "done"})
    await studio.raw.hset(streams.SPOKEN.of(turn.turn), "0", "spoken:2400")
    renewed = await studio.raw.pttl(streams.LEASE.of(ROOM))
    for _ in range(3):  # lifetimes of the lease, each of which it looks after its turns
        while (left := await studio.raw.pttl(streams.LEASE.of(ROOM))) <= renewed:
            renewed = left
            await asyncio.sleep(0.05)
        renewed = left
    assert await studio.told(TurnDropped) == []
    late.gate.set()
    await studio.settled(1, "spoken")
    assert len(await studio.turns()) == 1
    for task in list(studio.tasks):
        await studio.stop(task)
    await studio.spool.close()
    await bus.close()
