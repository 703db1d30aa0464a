"""A room on air, on real brokers: the shell around the director."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from services.contract import streams
from services.contract.ingest import (
    Decided,
    Kind,
    Lane,
    LiveEvent,
    ShowEnded,
    SourceEnded,
    TurnAired,
    TurnDropped,
    TurnRequested,
    Viewer,
)
from services.contract.llm import AnswerEnded
from services.contract.message import Message
from services.contract.tts import AIR_RATE, SpeechChunk, SpeechEnded, SpeechStarted
from services.ingest.adapters.replay import Replay
from services.ingest.adapters.scripted import Scripted
from services.ingest.adapters.spool import SqliteSpool
from services.ingest.core.policy import Policy
from services.ingest.core.ports import Frame, Source
from services.ingest.core.requests import Cast
from services.ingest.handlers import room as handlers
from services.ingest.handlers.keeper import Keeper
from services.ingest.handlers.room import Desk
from services.ingest.handlers.standby import direct
from services.runtime import envelope
from services.runtime.archive import Archive
from services.runtime.bus import Bus
from services.runtime.clock import now_ms
from services.runtime.sessions import Item, Sessions
from services.runtime.show import Show
from services.runtime.work import Work

ROOM = "demo"
CAST = Cast(ROOM, "host", "v", "zh", "all", {}, Policy())


def super_chat(number: int, price: int = 30) -> Frame:
    data = {
        "id": number,
        "message": "hello",
        "price": price,
        "time": 60,
        "start_time": 1,
        "uid": 5,
        "user_info": {"uname": "viewer"},
    }
    return Frame(now_ms(), "bilibili", json.dumps({"cmd": "SUPER_CHAT_MESSAGE", "data": data}), recorded=True)


def deletion(number: int) -> Frame:
    body = json.dumps({"cmd": "SUPER_CHAT_MESSAGE_DELETE", "data": {"ids": [number]}})
    return Frame(now_ms(), "bilibili", body, recorded=True)


def paid_id(number: int) -> str:
    return f"bilibili:super_chat:{number}"


class Studio:
    """One ingest process, and someone who answers the turns it asks for."""

    def __init__(self, bus: Bus, data: Path) -> None:
        self.bus = bus
        self.desk = Desk(Show(bus.work), Archive(bus.work), Work(bus.work), Sessions(bus))
        self.spool = SqliteSpool(data)
        self.keeper = Keeper(self.desk.show, self.desk.sessions, self.spool)
        self.tasks: set[asyncio.Task[None]] = set()

    @property
    def raw(self) -> Any:
        return self.bus.work

    def go(self, *frames: Frame, cast: Cast = CAST) -> asyncio.Task[None]:
        return self.play(Scripted(list(frames)), cast)

    def play(self, source: Source, cast: Cast = CAST) -> asyncio.Task[None]:
        task = asyncio.ensure_future(direct(cast, self.desk, self.keeper, lambda: [source], self.bus.healed))
        self.tasks.add(task)
        return task

    async def answer(self, turn: TurnRequested, *, seconds: float = 0.1) -> None:
        """Play llm and tts for a turn of one sentence, and take it from the queue."""
        samples = int(AIR_RATE * seconds)
        started = SpeechStarted(turn=turn.turn, no=turn.no, epoch=turn.epoch, index=0, attempt=1, text="hi")
        await self.say(started)
        if samples:
            chunk = SpeechChunk(turn=turn.turn, index=0, attempt=1, chunk=0, sample_offset=0)
            await self.desk.sessions.publish(ROOM, chunk, b"\1\0" * samples)
        await self.say(SpeechEnded(turn=turn.turn, index=0, attempt=1, samples=samples))
        await self.say(AnswerEnded(turn=turn.turn, count=1, text="hi"))

    async def say(self, message: Message) -> None:
        await self.desk.sessions.publish(ROOM, message)

    async def turns(self) -> list[TurnRequested]:
        """What waits for llm."""
        entries = await self.raw.xrange(streams.TURNS.key())
        return [TurnRequested.from_json(envelope.body(fields[b"__data__"])) for _, fields in entries]

    async def told(self, kind: type[Message]) -> list[Any]:
        return [item.message for item in await self.desk.sessions.range(ROOM) if isinstance(item.message, kind)]

    async def aired(self, at: int) -> TurnRequested:
        """The turn that got the floor as number `at`."""
        name = (await self.told(TurnAired))[at].turn
        return {turn.turn: turn for turn in await self.turns()}[name]

    async def until(self, what: str, true: Callable[[list[Item]], bool]) -> None:
        """Wait for something on the session, told by name if it does not come."""
        items: list[Item] = []
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(20):
                async for item in self.desk.sessions.read(ROOM, "0-0"):
                    items.append(item)
                    if true(items):
                        return
        pytest.fail(f"{what}; seen: {[item.message.type for item in items]}")

    async def seen(self, kind: type[Message], count: int = 1) -> None:
        await self.until(f"{count} {kind.__name__}", lambda items: _count(items, kind) >= count)

    async def state(self, number: int) -> str:
        return (await self.desk.show.ledger(ROOM))[paid_id(number)].state

    async def settled(self, number: int, state: str) -> None:
        async with asyncio.timeout(20):
            while paid_id(number) not in await self.desk.show.ledger(ROOM) or await self.state(number) != state:
                await asyncio.sleep(0.02)

    async def stop(self, task: asyncio.Task[None]) -> None:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        self.tasks.discard(task)


def _count(items: list[Item], kind: type[Message]) -> int:
    return sum(isinstance(item.message, kind) for item in items)


@pytest.fixture
async def studio(broker_url: str, live_url: str, tmp_path: Path) -> AsyncIterator[Studio]:
    bus = Bus(broker_url, [live_url])
    studio = Studio(bus, tmp_path)
    yield studio
    for task in list(studio.tasks):
        await studio.stop(task)
    await studio.spool.close()
    await bus.close()


async def test_a_super_chat_is_asked_for_aired_and_settled(studio: Studio) -> None:
    """Received, chosen, aired, spoken: each state stands in the ledger, the paid lane is empty at the end."""
    studio.go(super_chat(1))
    await studio.seen(TurnAired)
    (turn,) = await studio.turns()
    assert turn.causes == (paid_id(1),)
    assert turn.lane is Lane.PAID
    assert await studio.state(1) == "aired"
    await studio.answer(turn)
    await studio.settled(1, "spoken")
    assert (await studio.desk.show.ledger(ROOM))[paid_id(1)].samples == AIR_RATE // 10
    assert await studio.raw.xlen(streams.PAID.of(ROOM)) == 0


async def test_one_super_chat_delivered_five_times_is_one_turn(studio: Studio) -> None:
    """Duplicates are told and counted, and not answered."""
    studio.go(*[super_chat(1)] * 5)
    await studio.seen(TurnAired)
    (turn,) = await studio.turns()
    await studio.answer(turn)
    await studio.seen(ShowEnded)
    assert len(await studio.turns()) == 1
    (end,) = await studio.told(ShowEnded)
    assert (end.received, end.answered, end.dropped) == (5, 1, {"duplicate": 4})


async def test_what_the_platform_takes_back_is_not_spoken(studio: Studio) -> None:
    """A super chat that is deleted while another is on air is withdrawn: its prepared turn is dropped."""
    studio.go(super_chat(1), super_chat(2), deletion(2))
    await studio.seen(TurnAired)
    await studio.settled(2, "withdrawn")
    first = next(turn for turn in await studio.turns() if turn.causes == (paid_id(1),))
    await studio.answer(first)
    await studio.seen(ShowEnded)
    assert set(await studio.desk.show.ledger(ROOM)) == {paid_id(1), paid_id(2)}
    aired = {message.turn for message in await studio.told(TurnAired)}
    dropped = {message.turn for message in await studio.told(TurnDropped)}
    assert not aired & dropped


async def test_a_silent_answer_is_asked_for_again_then_failed_visibly(studio: Studio) -> None:
    """Nothing paid for ends in silence: one more turn, then `failed` with its reason."""
    studio.go(super_chat(1))
    for number in (1, 2):
        await studio.seen(TurnRequested, number)
        await studio.answer((await studio.turns())[-1], seconds=0)
    await studio.settled(1, "failed")
    row = (await studio.desk.show.ledger(ROOM))[paid_id(1)]
    assert row.reason == "nothing_spoken"
    assert len(await studio.turns()) == 2


async def test_the_next_process_goes_on_where_the_last_one_stopped(studio: Studio) -> None:
    """One turn is on air and one waits when the process ends: the first goes on, the second follows, none twice."""
    first = studio.go(super_chat(1), super_chat(2))
    await studio.seen(TurnAired)
    on_air = await studio.aired(0)
    await studio.stop(first)
    studio.go()
    await studio.answer(on_air)
    await studio.settled(1, "spoken")
    await studio.seen(TurnAired, 2)
    other = await studio.aired(1)
    assert other.causes == (paid_id(2),)
    await studio.answer(other)
    await studio.settled(2, "spoken")


async def test_a_process_that_lost_the_lease_commits_nothing(studio: Studio) -> None:
    """Another holder's term is higher: every commit of the old one is refused, and it stands by."""
    studio.go()
    await studio.seen(SourceEnded)
    await studio.raw.set(streams.LEASE.of(ROOM), "another")
    await studio.raw.incr(streams.TERM.of(ROOM))
    event = LiveEvent(
        id=paid_id(9),
        room=ROOM,
        source="api",
        kind=Kind.SUPER_CHAT,
        lane=Lane.PAID,
        viewer=Viewer(id="5"),
        at_ms=now_ms(),
    )
    assert await studio.desk.show.receive(event)
    await asyncio.sleep(handlers.RENEW_S * 1.5)  # the old holder looks at its lease once in that time
    assert await studio.turns() == []
    assert await studio.told(TurnRequested) == []
    await studio.raw.delete(streams.LEASE.of(ROOM))
    await studio.seen(TurnAired)
    assert [turn.causes for turn in await studio.turns()] == [(paid_id(9),)]


async def test_sound_that_live_lost_is_made_again(studio: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work says that all was spoken, the session shows nothing: a turn of which nothing was heard is asked for again."""
    monkeypatch.setattr(handlers, "LOST_MS", 100)
    monkeypatch.setattr(handlers, "RENEW_S", 0.1)
    studio.go(super_chat(1))
    await studio.seen(TurnRequested)
    (turn,) = await studio.turns()
    await studio.raw.hset(streams.ANSWER.of(turn.turn), mapping={"0": "hi", "n": 1, "count": 1, "reason": "done"})
    await studio.raw.hset(streams.SPOKEN.of(turn.turn), "0", "spoken:2400")
    await studio.seen(TurnRequested, 2)
    assert [(d.turn, d.reason) for d in await studio.told(TurnDropped)] == [(turn.turn, "sound_lost")]


async def test_the_kill_switch_lets_nothing_be_asked(studio: Studio) -> None:
    """While `silence` is set what was paid for stays recorded; it is answered when the switch is off."""
    await studio.raw.set(streams.SILENCE, "1")
    studio.go(super_chat(1))
    await studio.settled(1, "received")
    await studio.seen(SourceEnded)
    assert await studio.turns() == []
    await studio.raw.delete(streams.SILENCE)
    await studio.seen(TurnAired)


async def test_an_interrupt_ends_the_turn_on_air(studio: Studio) -> None:
    """The turn is dropped for every reader; what was heard of it in part is not said again."""
    studio.go(super_chat(1))
    await studio.seen(TurnAired)
    (turn,) = await studio.turns()
    started = SpeechStarted(turn=turn.turn, no=turn.no, epoch=0, index=0, attempt=1, text="hi")
    await studio.say(started)
    chunk = SpeechChunk(turn=turn.turn, index=0, attempt=1, chunk=0, sample_offset=0)
    await studio.desk.sessions.publish(ROOM, chunk, b"\1\0" * AIR_RATE)
    await studio.desk.sessions.interrupt(studio.desk.work, ROOM, "operator")
    await studio.settled(1, "failed")
    reasons = {(d.choice, d.reason) for d in await studio.told(Decided)}
    assert ("drop", "stopped") in reasons


async def test_a_paid_turn_of_which_nothing_was_heard_waits_again(studio: Studio) -> None:
    """The kill switch was thrown before its first sound: the ledger says that it waits, not that it is on air."""
    studio.go(super_chat(1))
    await studio.seen(TurnAired)
    await studio.settled(1, "aired")
    await studio.raw.set(streams.SILENCE, "1")
    await studio.desk.sessions.interrupt(studio.desk.work, ROOM, "silence")
    await studio.settled(1, "received")
    (row,) = (await studio.desk.show.ledger(ROOM)).values()
    assert row.reason == "silenced"
    await studio.raw.delete(streams.SILENCE)
    await studio.settled(1, "aired")


async def test_a_source_that_fails_is_told_and_the_show_goes_on(studio: Studio, tmp_path: Any) -> None:
    """A missing recording is a clear word on the session; the room ends its show."""
    studio.play(Replay(tmp_path / "none.jsonl.gz"))
    await studio.seen(ShowEnded)
    kinds = [item.message.type for item in await studio.desk.sessions.range(ROOM)]
    assert kinds[:2] == ["Failed", "SourceEnded"]


async def test_two_rooms_take_in_the_same_id(studio: Studio) -> None:
    """Rooms that listen to one platform, or are posted the same id, each keep the event; none keeps it twice."""
    one = written("same", Lane.PAID)
    two = one.model_copy(update={"room": "other"})
    assert [await studio.desk.show.receive(each) for each in (one, two, one, two)] == [True, True, False, False]
    assert [set(await studio.desk.show.ledger(room)) for room in (ROOM, "other")] == [{one.id}, {one.id}]


def written(name: str, lane: Lane = Lane.CHAT) -> LiveEvent:
    kind = Kind.DANMAKU if lane is Lane.CHAT else Kind.SUPER_CHAT
    amount = 0 if lane is Lane.CHAT else 3_000
    return LiveEvent(
        id=f"api:{kind}:{name}",
        room=ROOM,
        source="api",
        kind=kind,
        lane=lane,
        text=name,
        amount_fen=amount,
        at_ms=now_ms(),
    )


async def test_what_the_gateway_took_in_is_answered_and_counted(studio: Studio) -> None:
    """A comment and a super chat of the API, without any source; the comment's lane is empty when it is taken."""
    show = studio.desk.show
    assert [await show.comment(written("one"), 15), await show.comment(written("one"), 15)] == [True, False]
    assert await show.receive(written("two", Lane.PAID))
    studio.go()
    await studio.seen(TurnAired)
    first = await studio.aired(0)
    assert first.causes == ("api:super_chat:two",)
    await studio.answer(first)
    await studio.seen(TurnAired, 2)
    second = await studio.aired(1)
    assert (second.causes, second.lane) == (("api:danmaku:one",), Lane.CHAT)
    assert await studio.raw.xlen(streams.CHAT.of(ROOM)) == 0


async def test_only_the_newest_comments_wait(studio: Studio) -> None:
    """The oldest are pushed out before anybody reads them."""
    for number in range(5):
        await studio.desk.show.comment(written(str(number)), 2)
    assert await studio.raw.xlen(streams.CHAT.of(ROOM)) == 2
