"""A room's puppet, over real brokers."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing, asynccontextmanager, suppress

import pytest
from structlog.testing import capture_logs

from services.avatar.adapters.scripted import Scripted
from services.avatar.app import build
from services.avatar.handlers import Player
from services.avatar.settings import Settings, read
from services.contract.avatar import Posed
from services.contract.failure import Code, Failure
from services.contract.ingest import TurnAired
from services.contract.llm import AnswerEnded
from services.contract.tts import SpeechChunk, SpeechEnded, SpeechStarted
from services.runtime.bus import Bus
from services.runtime.config import Config, Persona, Room, Voice
from services.runtime.sessions import Sessions
from services.runtime.settings import Common
from tests.avatar.core.test_lipsync import tone

ROOM = "main"
LOUD = tone(0.3, 5)


@asynccontextmanager
async def playing(url: str, puppet: Scripted) -> AsyncGenerator[Sessions]:
    """A player of the room with that puppet."""
    bus = Bus(url, [url])
    task = asyncio.ensure_future(Player(Sessions(bus), ROOM, puppet).run())
    try:
        yield Sessions(bus)
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        await bus.close()


async def speak(sessions: Sessions, turn: str = "t", no: int = 1) -> None:
    """A turn of one sentence of 200 ms."""
    await sessions.publish(ROOM, TurnAired(turn=turn, no=no, epoch=0))
    started = SpeechStarted(turn=turn, no=no, epoch=0, index=0, attempt=1, text="谢谢！")
    await sessions.publish(ROOM, started)
    await sessions.publish(ROOM, SpeechChunk(turn=turn, index=0, attempt=1, chunk=0, sample_offset=0), LOUD)
    await sessions.publish(ROOM, SpeechEnded(turn=turn, index=0, attempt=1, samples=len(LOUD) // 2))
    await sessions.publish(ROOM, AnswerEnded(turn=turn, count=1, text="谢谢！"))


async def told(sessions: Sessions, poses: int) -> list[Posed]:
    """The first poses that the room's session hears of."""
    found: list[Posed] = []
    items = sessions.read(ROOM, "0-0")
    async with asyncio.timeout(20), aclosing(items):
        async for item in items:
            if isinstance(item.message, Posed):
                found.append(item.message)
            if len(found) == poses:
                return found
    raise AssertionError


async def test_the_puppet_speaks_and_the_room_hears_when(live_url: str) -> None:
    """Its mouth opens and closes; the session is told of the face and the turn, at the beginning and at the end."""
    puppet = Scripted(ROOM)
    async with playing(live_url, puppet) as sessions:
        await speak(sessions)
        begin, end = await told(sessions, 2)
        await speak(sessions, "u", 2)
        *_, again = await told(sessions, 3)
    mouths = [pose.mouth for pose in puppet.history if pose.turn == "t"]
    assert (begin.turn, begin.expression) == ("t", "happy")
    assert (end.turn, end.expression, end.mouth) == ("", "neutral", 0)
    assert max(mouths) > 0.4
    assert mouths[-1] == 0
    assert again.turn == "u"


class Stubborn(Scripted):
    """A puppet that refuses its first pose."""

    refused = 0

    async def pose(self, pose: Posed) -> None:
        if not self.refused:
            self.refused += 1
            raise Failure(Code.ENGINE_BROKEN, "the model is not loaded")
        await super().pose(pose)


async def test_a_puppet_that_refuses_does_not_stop_the_show(live_url: str) -> None:
    """The lost pose is told in the log; the next ones are taken."""
    puppet = Stubborn(ROOM)
    with capture_logs() as logs:
        async with playing(live_url, puppet) as sessions:
            await speak(sessions)
            await told(sessions, 2)
    assert [line["puppet"] for line in logs if line["event"] == "a pose was lost"] == ["scripted"]
    assert puppet.newest is not None


async def test_a_player_that_breaks_says_so(live_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is a fault of ours ends the service instead of freezing the puppet."""
    puppet = Scripted(ROOM)

    async def pose(_: Posed) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(puppet, "pose", pose)
    bus = Bus(live_url, [live_url])
    player = asyncio.ensure_future(Player(Sessions(bus), ROOM, puppet).run())
    await speak(Sessions(bus))
    with pytest.RaisesGroup(ZeroDivisionError):
        await player
    await bus.close()


def configured(rooms: int, **avatar: dict[str, object]) -> Settings:
    config = Config(
        personas={"host": Persona(voice="plain")},
        voices={"plain": Voice(engines=[{"scripted": {}}])},
        rooms={f"r{number}": Room(persona="host", sources=[{"replay": "x"}]) for number in range(rooms)},
        avatar=avatar,
    )
    return Settings(Common(service="avatar"), config)


@pytest.mark.parametrize("rooms", [0, 1, 2])
async def test_every_room_has_its_puppet(rooms: int) -> None:
    """A loop, a check and an end for each; without a room there is nothing to move."""
    service = build(configured(rooms))
    assert (len(service.loops), len(service.checks), len(service.closers)) == (rooms, rooms, rooms)
    assert [await check() for check in service.checks.values()] == [""] * rooms
    await service.bus.close()


def test_an_unknown_puppet_is_refused_at_the_start() -> None:
    """By name; the known ones are told."""
    with pytest.raises(Failure, match="unknown puppet 'ghost'; known: scripted") as caught:
        build(configured(1, ghost={}))
    assert caught.value.code is Code.BAD_CONFIG


def test_the_avatar_reads_the_same_file_as_all(tmp_path: object) -> None:
    """The configuration that ONAIR_CONFIG names."""
    with pytest.raises(Failure, match="ONAIR_CONFIG"):
        read({"ONAIR_CONFIG": f"{tmp_path}/none.yaml"})
