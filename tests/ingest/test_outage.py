"""A room whose work broker refuses writes, dies, or is emptied: what was paid for waits on the disk, then is answered."""

import asyncio
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from services.contract import streams
from services.contract.ingest import TurnAired
from services.ingest.core.ports import Emit, Frame
from services.runtime.bus import Bus
from services.runtime.sessions import Item
from tests.conftest import LIVE, WORK
from tests.ingest.test_handlers import ROOM, Studio, paid_id, super_chat
from tests.redis.broker import Broker

pytestmark = pytest.mark.slow


class Wire:
    """A platform: gives what the test sends, for ever."""

    name = "wire"

    def __init__(self) -> None:
        self._frames: asyncio.Queue[Frame] = asyncio.Queue()
        self._taken = asyncio.Event()

    async def run(self, emit: Emit) -> None:
        """Emit what comes."""
        while True:
            await emit(await self._frames.get())
            self._frames.task_done()

    async def send(self, *frames: Frame) -> None:
        """Returns when they are taken in."""
        for frame in frames:
            self._frames.put_nowait(frame)
        async with asyncio.timeout(20):
            await self._frames.join()


class Room(Studio):
    """A studio with brokers of its own."""

    def __init__(self, bus: Bus, data: Path, work: Broker, live: Broker) -> None:
        super().__init__(bus, data)
        self.broker, self.live, self.wire = work, live, Wire()
        self.replaying = asyncio.ensure_future(self.keeper.replay())

    async def spooled(self, count: int) -> None:
        async with asyncio.timeout(20):
            while self.spool.count != count:
                await asyncio.sleep(0.02)

    async def paid_order(self) -> list[str]:
        return [waiting.event.id for waiting in await self.desk.show.waiting(ROOM)]


@pytest.fixture
async def room(tmp_path: Path) -> AsyncIterator[Room]:
    work, live = Broker(tmp_path / "work", *WORK), Broker(tmp_path / "live", *LIVE)
    work.start()
    live.start()
    bus = Bus(work.url, [live.url])
    studio = Room(bus, tmp_path, work, live)
    yield studio
    work.signal(signal.SIGCONT)
    for task in [*studio.tasks, studio.replaying]:
        await studio.stop(task)
    await studio.spool.close()
    await bus.close()
    work.kill()
    live.kill()


@pytest.mark.parametrize("state", ["oom", "readonly", "dead", "frozen"])
async def test_what_is_paid_while_work_is_away_is_answered_in_its_order(room: Room, state: str) -> None:
    """Spooled and warned of while it lasts; then in the lane in the order of coming, before what comes later."""
    room.play(room.wire)
    await room.wire.send(super_chat(1))
    await room.seen(TurnAired)
    enter, leave = {
        "oom": (lambda: room.broker.ask("CONFIG", "SET", "maxmemory", 1), lambda: _unbounded(room)),
        "readonly": (lambda: room.broker.ask("REPLICAOF", "127.0.0.1", 1), lambda: _primary(room)),
        "dead": (room.broker.kill, room.broker.start),
        "frozen": (lambda: room.broker.signal(signal.SIGSTOP), lambda: room.broker.signal(signal.SIGCONT)),
    }[state]
    await asyncio.to_thread(enter)
    await room.wire.send(*(super_chat(number) for number in (2, 3, 2, 4)))
    assert room.spool.count == 3
    assert (await room.keeper.warning()).startswith("3 paid events wait in ")
    await asyncio.to_thread(leave)
    await room.bus.healed()
    await room.wire.send(super_chat(5), super_chat(3))
    await room.spooled(0)
    assert await room.paid_order() == [paid_id(number) for number in (1, 2, 3, 4, 5)]
    assert await room.keeper.warning() == ""
    await room.answer(await room.aired(0))
    await room.settled(1, "spoken")
    await room.seen(TurnAired, 2)


def _unbounded(room: Room) -> None:
    room.broker.ask("CONFIG", "SET", "maxmemory", 0)


def _primary(room: Room) -> None:
    room.broker.ask("REPLICAOF", "NO", "ONE")


async def test_a_director_goes_on_after_work_was_emptied(room: Room) -> None:
    """It begins afresh in a new term; numbers and the epoch go on where the session's readers are."""
    room.play(room.wire)
    await room.wire.send(super_chat(1))
    await room.seen(TurnAired)
    for _ in range(3):
        await room.desk.sessions.interrupt(room.desk.work, ROOM, "operator")
    await room.wire.send(super_chat(2))
    await room.seen(TurnAired, 2)
    last = (await room.told(TurnAired))[-1]
    room.broker.ask("FLUSHALL")
    async with asyncio.timeout(20):
        while not await room.raw.exists(streams.LEASE.of(ROOM)):
            await asyncio.sleep(0.02)
    await room.wire.send(super_chat(9))
    await room.until("a turn after the flush", lambda items: _fresh(items, last.no))
    fresh = next(message for message in await room.told(TurnAired) if message.no > last.no)
    assert fresh.epoch == 3
    assert [turn.causes for turn in await room.turns()] == [(paid_id(9),)]


def _fresh(items: list[Item], no: int) -> bool:
    return any(isinstance(item.message, TurnAired) and item.message.no > no for item in items)


async def test_a_turn_that_was_given_the_floor_untold_is_aired_again(room: Room) -> None:
    """The director ended between its commit and the session: the next one tells the session."""
    first = room.play(room.wire)
    await room.wire.send(super_chat(1))
    await room.seen(TurnAired)
    await room.stop(first)
    room.live.ask("DEL", streams.SESSION.of(ROOM))
    room.play(room.wire)
    await room.seen(TurnAired)
    assert len(await room.turns()) == 1


async def test_a_live_broker_that_dies_stops_no_source(room: Room) -> None:
    """What was paid for is kept on work meanwhile, and answered when live is back."""
    room.play(room.wire)
    await room.wire.send(super_chat(1))
    await room.seen(TurnAired)
    await asyncio.to_thread(room.live.kill)
    await room.wire.send(super_chat(2), super_chat(3))
    assert (await room.paid_order(), room.spool.count) == ([paid_id(1), paid_id(2), paid_id(3)], 0)
    await asyncio.to_thread(room.live.start)
    await room.bus.healed()
    await room.seen(TurnAired)
