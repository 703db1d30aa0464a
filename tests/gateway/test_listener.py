"""`/ws` on a real socket, over real brokers."""

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from services.contract.ingest import Kind, Lane, LiveEvent, TurnAired, TurnRequested
from services.gateway.core.caps import Caps
from services.gateway.handlers import conversations
from tests.gateway.studio import Gateway, running

ROOMS = ("demo", "other")
PATIENCE_S = 20


@asynccontextmanager
async def listening(gateway: Gateway, query: str = "") -> AsyncGenerator[ClientConnection]:
    async with connect(f"ws://127.0.0.1:{gateway.port}/ws{query}", proxy=None) as socket:
        yield socket


async def hears(socket: ClientConnection) -> dict[str, Any]:
    async with asyncio.timeout(PATIENCE_S):
        text = await socket.recv()
    assert isinstance(text, str)
    return json.loads(text)


def comment(text: str, room: str = "demo") -> LiveEvent:
    return LiveEvent(id=f"e:{text}", room=room, source="api", kind=Kind.DANMAKU, lane=Lane.CHAT, text=text, at_ms=1)


async def told_until(gateway: Gateway, socket: ClientConnection, room: str = "demo") -> dict[str, Any]:
    """Say something in the room until the listener, who joins without an answer, hears it."""
    for number in range(200):
        await gateway.studio.tell(room, comment(f"ping {number}", room))
        try:
            async with asyncio.timeout(0.1):
                return json.loads(await socket.recv())
        except TimeoutError:
            continue
    raise AssertionError


async def test_a_room_is_heard_as_a_conversation(broker_url: str, live_url: str) -> None:
    """What viewers write and what the persona says, in the shape of Daily's app-messages, and nothing else."""
    async with running(broker_url, live_url, rooms=ROOMS) as gateway, listening(gateway) as socket:
        await socket.send("conversation_id:demo")
        first = await told_until(gateway, socket)
        assert (first["event_type"], first["properties"]["role"]) == ("conversation.utterance", "user")
        turn = TurnRequested(
            turn="t", no=1, session="demo", epoch=0, kind="room", ask="x", persona="h", requested_ms=1, deadline_ms=2
        )
        await gateway.studio.tell("demo", turn, TurnAired(turn="t", no=1, epoch=0))
        await gateway.studio.speak(turn, 0, "你好。", b"aabb")
        await gateway.studio.speak(turn, 1, "再见。", b"aabb")
        while (heard := await hears(socket))["properties"]["role"] == "user":
            pass
        assert heard["properties"] == {"role": "replica", "speech": "你好。"}
        assert (await hears(socket))["properties"]["speech"] == "你好。再见。"
        await socket.send("disconnect")
        with pytest.raises(ConnectionClosed) as closed:
            await hears(socket)
    assert closed.value.rcvd
    assert closed.value.rcvd.code == 1000


async def test_another_conversation_leaves_the_first(broker_url: str, live_url: str) -> None:
    """After it only the new one is heard; other texts change nothing."""
    async with running(broker_url, live_url, rooms=ROOMS) as gateway, listening(gateway, "?v=2") as socket:
        await socket.send("conversation_id:demo")
        assert (await hears(socket))["event_type"] == "onair.joined"
        await socket.send("hello")
        await socket.send("conversation_id: other ")
        assert [(await hears(socket))["event_type"] for _ in range(2)] == ["onair.left", "onair.joined"]
        await gateway.studio.tell("demo", comment("not heard"))
        await gateway.studio.tell("other", comment("heard", "other"))
        heard = await hears(socket)
    assert (heard["conversation_id"], heard["properties"]["speech"]) == ("other", "heard")


async def test_what_came_before_is_not_told(broker_url: str, live_url: str) -> None:
    """A listener hears from the moment on at which it joined."""
    async with running(broker_url, live_url, rooms=ROOMS) as gateway:
        await gateway.studio.tell("demo", comment("before"))
        async with listening(gateway, "?v=2") as socket:
            await socket.send("conversation_id:demo")
            await hears(socket)
            await gateway.studio.tell("demo", comment("after"))
            assert (await hears(socket))["properties"]["speech"] == "after"


@pytest.mark.parametrize(("wanted", "why"), [("nowhere", "does ingest run"), ("../etc", "letters")])
async def test_what_cannot_be_joined_is_told(
    broker_url: str, live_url: str, monkeypatch: pytest.MonkeyPatch, wanted: str, why: str
) -> None:
    """With `?v=2` in words; the original client hears nothing, and its socket stays open for another try."""
    monkeypatch.setattr(conversations, "PATIENCE_S", 0.2)
    async with running(broker_url, live_url, rooms=ROOMS) as gateway:
        async with listening(gateway, "?v=2") as socket:
            await socket.send(f"conversation_id:{wanted}")
            told = await hears(socket)
            assert told["event_type"] == "onair.error"
            assert why in told["properties"]["reason"]
        async with listening(gateway) as socket:
            await socket.send(f"conversation_id:{wanted}")
            await socket.send("conversation_id:demo")
            assert (await told_until(gateway, socket))["event_type"] == "conversation.utterance"


async def test_only_so_many_listen(broker_url: str, live_url: str) -> None:
    """Who comes after them is told to try again."""
    one = Caps(viewers=1)
    async with (
        running(broker_url, live_url, one, rooms=ROOMS) as gateway,
        listening(gateway),
        listening(gateway) as second,
    ):
        with pytest.raises(ConnectionClosed) as closed:
            await hears(second)
    assert closed.value.rcvd
    assert closed.value.rcvd.code == 1013
