"""`/ws` for conversations of Daily, over real brokers: gateways on sockets, and ingest with conversations of this process."""

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect

from services.contract import streams
from services.contract.gateway import ConversationWanted
from services.gateway.core.caps import Caps
from services.gateway.handlers import conversations as waiting
from services.ingest.adapters.scripted import ScriptedConversations
from services.ingest.core.ports import Conversations
from services.ingest.handlers import conversations
from services.ingest.handlers.conversations import Meetings
from services.runtime import envelope
from services.runtime.bus import Bus
from services.runtime.clock import now_ms
from services.runtime.delivery import Delivery
from services.runtime.line import Line
from services.runtime.sessions import Sessions
from services.runtime.wanted import Stay
from services.runtime.work import Work
from tests.gateway.studio import running

PATIENCE_S = 20
ODD: dict[str, Any] = {"event_type": "x.never.seen", "text": "你好 🎉 \\u4f60 \u2028", "deep": [{"a": None}]}


@pytest.fixture
async def bus(broker_url: str, live_url: str) -> AsyncIterator[Bus]:
    bus = Bus(broker_url, [live_url])
    yield bus
    await bus.close()


def nobody(line: Line, conversation: str) -> None:
    """Nobody answers there."""
    assert line.session == streams.conversation(conversation)


@dataclass
class Ingest:
    """What ingest does with conversations, without its process."""

    bus: Bus
    place: Conversations = field(default_factory=ScriptedConversations)
    most: int = 8

    @asynccontextmanager
    async def attending(self) -> AsyncGenerator["Ingest"]:
        """Until the end of the block, where it is told to end."""
        work, sessions = Work(self.bus.work), Sessions(self.bus)
        self.delivery = Delivery(self.bus, work, "ingest")
        me = self.delivery.me
        self.meetings = Meetings(
            work, sessions, lambda session: Stay(self.bus.work, session, me), self.most, self.place, nobody
        )
        conversations.attach(self.delivery, self.meetings)
        await self.delivery.start()
        loop = asyncio.create_task(self.meetings.run())
        await asyncio.sleep(0)
        try:
            yield self
        finally:
            loop.cancel()
            await asyncio.gather(loop, return_exceptions=True)
            await self.delivery.drain()


@dataclass
class Listener:
    """A client as the original one is: it says what it wants to hear, and reads texts."""

    socket: ClientConnection

    async def wants(self, conversation: str) -> None:
        await self.socket.send(f"conversation_id:{conversation}")

    async def text(self) -> str:
        async with asyncio.timeout(PATIENCE_S):
            text = await self.socket.recv()
        assert isinstance(text, str)
        return text

    async def notice(self) -> tuple[str, str]:
        """What kind, and why."""
        told = json.loads(await self.text())
        return told["event_type"].removeprefix("onair."), told.get("properties", {}).get("reason", "")


@asynccontextmanager
async def listener(port: int, query: str = "?v=2") -> AsyncGenerator[Listener]:
    async with connect(f"ws://127.0.0.1:{port}/ws{query}", proxy=None) as socket:
        yield Listener(socket)


async def until(holds: Any) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not holds():
            await asyncio.sleep(0.02)


async def test_app_messages_verbatim(broker_url: str, live_url: str, bus: Bus) -> None:
    """A thousand of any type, in order, each as the text that it is; nothing else reaches the original client."""
    place = ScriptedConversations()
    async with Ingest(bus, place).attending(), running(broker_url, live_url) as gateway:
        async with listener(gateway.port, "") as original:
            await original.wants("c70ed8f4")
            await until(lambda: place.stays.get("c70ed8f4"))
            said: list[Any] = [ODD, "a text", *({"n": number} for number in range(1_000))]
            for message in said:
                place.say("c70ed8f4", message)
            heard = [await original.text() for _ in said]
            assert heard == [json.dumps(message, ensure_ascii=False) for message in said]
            await original.socket.send("disconnect")
            await original.socket.wait_closed()
            assert original.socket.close_code == 1000
        await until(lambda: not place.stays["c70ed8f4"])


async def test_two_gateways_share_one_stay(broker_url: str, live_url: str, bus: Bus) -> None:
    """Whoever comes later is told at once that it is joined; the last to leave ends it, within seconds."""
    place = ScriptedConversations()
    async with (
        Ingest(bus, place).attending(),
        running(broker_url, live_url) as one,
        running(broker_url, live_url) as other,
        listener(one.port) as first,
        listener(one.port) as second,
        listener(other.port) as third,
    ):
        for each in (first, second, third):
            await each.wants("c1")
            assert await each.notice() == ("joined", "")
        place.say("c1", ODD)
        assert [json.loads(await each.text()) for each in (first, second, third)] == [ODD] * 3
        assert place.joins == 1
        await first.wants("c2")
        assert [await first.notice() for _ in range(2)] == [("left", ""), ("joined", "")]
        await second.socket.send("disconnect")
        await second.socket.wait_closed()
        await asyncio.sleep(2 * waiting.BEAT_S)
        assert len(place.stays["c1"]) == 1
        await third.socket.close()
        begun = asyncio.get_running_loop().time()
        await until(lambda: not place.stays["c1"])
        assert asyncio.get_running_loop().time() - begun < 3
        assert len(place.stays["c2"]) == 1
        assert place.joins == 2
    await until(lambda: not place.stays["c2"])


async def test_a_join_that_fails(broker_url: str, live_url: str, bus: Bus) -> None:
    """It is told where `?v=2` asks for it, and nowhere else; both may ask for another one then."""
    place = ScriptedConversations()
    place.refusal = "the meeting does not exist"
    async with (
        Ingest(bus, place).attending(),
        running(broker_url, live_url) as gateway,
        listener(gateway.port) as told,
        listener(gateway.port, "") as original,
    ):
        await told.wants("c1")
        assert await told.notice() == ("error", "could not join c1: the meeting does not exist")
        await original.wants("c1")
        await until(lambda: place.joins == 2)
        place.refusal = ""
        for each in (told, original):
            await each.wants("c2")
        assert await told.notice() == ("joined", "")
        place.say("c2", ODD)
        assert json.loads(await original.text()) == ODD


async def test_a_meeting_that_ends(broker_url: str, live_url: str, bus: Bus) -> None:
    """Its end is told with its reason, and it is not joined again until somebody asks."""
    place = ScriptedConversations()
    async with (
        Ingest(bus, place).attending(),
        running(broker_url, live_url) as gateway,
        listener(gateway.port) as client,
    ):
        await client.wants("c1")
        assert await client.notice() == ("joined", "")
        place.close("c1", "the room was deleted")
        assert await client.notice() == ("error", "the room was deleted")
        assert await bus.work.exists(streams.WANTED.of("daily:c1")) == 0
        await client.wants("c1")
        assert await client.notice() == ("joined", "")
        assert place.joins == 2


@pytest.mark.parametrize(
    "hostile", ["../../etc/passwd", "a/b", "a b", "", "x" * 65, "a?b=c", "daily:c1", "名字", "a\nb", "%2e"]
)
async def test_hostile_ids(broker_url: str, live_url: str, bus: Bus, hostile: str) -> None:
    """What cannot be an id becomes part of nothing: nobody is asked to join it."""
    async with running(broker_url, live_url) as gateway, listener(gateway.port) as client:
        await client.wants(hostile)
        kind, why = await client.notice()
        assert (kind, "1 to 64 letters" in why) == ("error", True)
        assert await bus.work.xlen(streams.JOINS.key()) == 0


async def test_nobody_takes_it(broker_url: str, live_url: str, bus: Bus, monkeypatch: pytest.MonkeyPatch) -> None:
    """That is told, and waited for: it is joined as soon as ingest is there, and orders do not pile up meanwhile."""
    monkeypatch.setattr(waiting, "PATIENCE_S", 0.2)
    monkeypatch.setattr("services.runtime.wanted.MOST_ORDERS", 2)
    monkeypatch.setattr(waiting, "BEAT_S", 0.1)
    async with running(broker_url, live_url) as gateway, listener(gateway.port) as client:
        await client.wants("c1")
        kind, why = await client.notice()
        assert (kind, "does ingest run" in why) == ("error", True)
        await asyncio.sleep(0.5)
        assert await bus.work.xlen(streams.JOINS.key()) == 2
        async with Ingest(bus).attending():
            assert await client.notice() == ("joined", "")
            await client.socket.close()


async def test_ingest_that_leaves(broker_url: str, live_url: str, bus: Bus) -> None:
    """Another one goes on, and the listener is told that it was joined anew."""
    first, second = ScriptedConversations(), ScriptedConversations()
    async with running(broker_url, live_url) as gateway, listener(gateway.port) as client:
        async with Ingest(bus, first).attending():
            await client.wants("c1")
            assert await client.notice() == ("joined", "")
        assert first.stays["c1"] == []
        assert await bus.work.exists(streams.ATTEND.of("daily:c1"), streams.JOINED.of("daily:c1")) == 0
        async with Ingest(bus, second).attending():
            assert await client.notice() == ("joined", "")
            second.say("c1", ODD)
            assert json.loads(await client.text()) == ODD
            await client.socket.close()


async def test_a_stay_that_lost_its_lease(broker_url: str, live_url: str, bus: Bus) -> None:
    """Whoever finds that another has it says nothing more, and leaves."""
    place = ScriptedConversations()
    async with (
        Ingest(bus, place).attending(),
        running(broker_url, live_url) as gateway,
        listener(gateway.port) as client,
    ):
        await client.wants("c1")
        assert await client.notice() == ("joined", "")
        await bus.work.set(streams.ATTEND.of("daily:c1"), "another", px=1_500)
        place.say("c1", "of the old one")
        await until(lambda: not place.stays["c1"])
        assert await client.notice() == ("joined", "")
        assert place.joins == 2


async def test_what_breaks_in_a_conversation_is_told(broker_url: str, live_url: str, bus: Bus) -> None:
    """A fault of ours too."""

    class Broken(ScriptedConversations):
        async def join(self, conversation: str) -> Any:
            raise ValueError(f"a bug at {conversation}")

    async with (
        Ingest(bus, Broken()).attending(),
        running(broker_url, live_url) as gateway,
        listener(gateway.port) as client,
    ):
        await client.wants("c1")
        assert await client.notice() == ("error", "ValueError: a bug at c1")


async def test_only_so_many_conversations(broker_url: str, live_url: str, bus: Bus) -> None:
    """One too many at a gateway is refused by name; listeners of the same one are no more."""
    async with (
        Ingest(bus).attending(),
        running(broker_url, live_url, Caps(conversations=1)) as gateway,
        listener(gateway.port) as one,
        listener(gateway.port) as other,
    ):
        for each in (one, other):
            await each.wants("c1")
            assert await each.notice() == ("joined", "")
        await other.wants("c2")
        assert await other.notice() == ("left", "")
        assert await other.notice() == ("error", "1 conversations are listened to already; try again soon")


async def test_a_full_ingest_leaves_conversations_to_others(broker_url: str, live_url: str, bus: Bus) -> None:
    """A conversation too many is taken by who has room."""
    small, roomy = ScriptedConversations(), ScriptedConversations()
    async with (
        Ingest(bus, small, most=1).attending(),
        Ingest(bus, roomy, most=3).attending(),
        running(broker_url, live_url) as gateway,
        listener(gateway.port) as a,
        listener(gateway.port) as b,
        listener(gateway.port) as c,
    ):
        for number, each in enumerate((a, b, c)):
            await each.wants(f"c{number}")
            assert await each.notice() == ("joined", "")
        assert sum(map(len, small.stays.values())) <= 1
        assert sum(map(len, [*small.stays.values(), *roomy.stays.values()])) == 3


async def test_an_order_that_nobody_wants_any_more(bus: Bus) -> None:
    """It is not joined: whoever ordered it has gone."""
    place = ScriptedConversations()
    async with Ingest(bus, place).attending():
        order = ConversationWanted(session="daily:c1", conversation="c1", deadline_ms=now_ms() + 5_000)
        await bus.work.xadd(streams.JOINS.key(), {"__data__": envelope.encode(order)})
        async with asyncio.timeout(PATIENCE_S):
            while await bus.work.xlen(streams.JOINS.key()) or await bus.work.exists(streams.ATTEND.of("daily:c1")):
                await asyncio.sleep(0.02)
        assert place.joins == 0
