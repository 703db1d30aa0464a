"""`POST /api/chat?v=2` on a real socket, over real brokers: two gateways, cuts, and what is kept."""

import asyncio
import json
from base64 import b64decode
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx2
import pytest

from services.contract import streams
from services.contract.failure import Code, Failed
from services.contract.gateway import Interrupted
from services.contract.ingest import TurnRequested
from services.gateway.core.caps import Caps
from tests.gateway.studio import Gateway, running

PCM = bytes(range(200))
ASK = {"msg": [{"role": "user", "content": "你好"}]}
RICH = {"accept": "text/event-stream; profile=onair"}


@dataclass(frozen=True)
class Event:
    """One event, as it came."""

    id: str
    name: str
    data: dict[str, Any]


class Listener:
    """A client that reads events as the standard says."""

    def __init__(self, response: httpx2.Response) -> None:
        self.response = response
        self.beats = 0
        self._lines = response.aiter_lines()

    async def next(self) -> Event | None:
        """The next event; None at the end of the stream."""
        fields = dict[str, str]()
        async for line in self._lines:
            name, _, value = line.partition(": ")
            if not line and fields:
                return Event(fields["id"], fields["event"], json.loads(fields["data"]))
            if line.startswith(":"):
                self.beats += 1
            elif line:
                fields[name] = value
        return None

    async def rest(self) -> list[Event]:
        events = list[Event]()
        while event := await self.next():
            events.append(event)
        return events


@asynccontextmanager
async def asking(gateway: Gateway, last: str = "", method: str = "POST", **more: Any) -> AsyncGenerator[Listener]:
    headers = {**RICH, **({"last-event-id": last} if last else {})}
    body = {"json": ASK} if method == "POST" else {}
    async with (
        gateway.client() as client,
        client.stream(method, "/api/chat", headers=headers, **body, **more) as response,
    ):
        yield Listener(response)


def sound(events: list[Event]) -> list[tuple[int, int, bytes]]:
    """(index, offset, samples) of each audio event."""
    heard = [event.data for event in events if event.name == "audio"]
    return [(data["index"], data["sample_offset"], b64decode(data["pcm"])) for data in heard]


async def answered(gateway: Gateway) -> TurnRequested:
    """Two sentences in three chunks, whole."""
    turn = await gateway.studio.turn()
    await gateway.studio.speak(turn, 0, "你好呀，", PCM, PCM)
    await gateway.studio.speak(turn, 1, "再见。", PCM)
    await gateway.studio.end(turn, 2, "你好呀，再见。")
    return turn


async def test_an_answer_is_events(broker_url: str, live_url: str) -> None:
    """Named events with ids, sound chunk by chunk in base64; everything is spoken; then the stream ends."""
    async with running(broker_url, live_url) as gateway, asking(gateway) as listener:
        turn = await answered(gateway)
        events = await listener.rest()
    assert listener.response.headers["content-type"] == "text/event-stream; charset=utf-8"
    names = "turn sentence audio audio sentence_end sentence audio sentence_end done"
    assert [event.name for event in events] == names.split()
    assert events[0].data == {"session": turn.session, "turn": turn.turn, "rate": 24_000, "recovered": True}
    assert sound(events) == [(0, 0, PCM), (0, 100, PCM), (1, 0, PCM)]
    assert events[-1].data == {"turn": turn.turn, "text": "你好呀，再见。", "reason": "done"}
    assert turn.spoken == "all"
    assert len({event.id for event in events}) == len(events)


async def test_sound_is_sent_while_it_is_made(broker_url: str, live_url: str) -> None:
    """The first chunk is heard before the sentence has its second."""
    async with running(broker_url, live_url) as gateway, asking(gateway) as listener:
        turn = await gateway.studio.turn()
        half = gateway.studio
        await half.speak(turn, 0, "你好呀，", PCM)
        events = [await listener.next() for _ in range(3)]
        assert [event.name for event in events if event] == ["turn", "sentence", "audio"]
        await half.end(turn, 1, "你好呀，")
        assert [event.name for event in await listener.rest()] == ["sentence_end", "done"]


@pytest.mark.parametrize("method", ["POST", "GET"])
async def test_a_cut_stream_goes_on_at_another_gateway(broker_url: str, live_url: str, method: str) -> None:
    """Behind each event in turn the rest is the same, byte for byte, and no turn is asked for anew."""
    async with running(broker_url, live_url) as gateway, running(broker_url, live_url) as other:
        async with asking(gateway) as listener:
            turn = await answered(gateway)
            whole = await listener.rest()
        for at, event in enumerate(whole[:-1]):
            more = {"params": {"v": "2"}} if method == "GET" else {}
            async with asking(other, event.id, method, **more) as listener:
                again = await listener.rest()
            assert again[0].data["recovered"] is True
            assert (again[1:] if at else again) == (whole[at + 1 :] if at else whole)
        assert await gateway.studio.bus.work.xlen(streams.TURNS.key()) == 1
        assert turn.session in whole[0].id


async def test_who_comes_back_in_time_ends_nothing(broker_url: str, live_url: str) -> None:
    """The old connection's gateway sees that another has the session, and lets the turn go on."""
    async with running(broker_url, live_url, Caps(return_ms=1_000)) as gateway, running(broker_url, live_url) as other:
        async with asking(gateway) as listener:
            turn = await gateway.studio.turn()
            first = await listener.next()
        assert first
        async with asking(other, first.id) as listener:
            await listener.next()
            await asyncio.sleep(2)  # twice the time in which the old one would have ended it
            await gateway.studio.end(turn, 0, "x")
            events = await listener.rest()
        held = [item.message for item in await gateway.studio.sessions.range(turn.session)]
    assert [event.data.get("reason") for event in events] == ["done"]
    assert not [message for message in held if isinstance(message, Interrupted)]


async def test_who_does_not_come_back_ends_the_turn(broker_url: str, live_url: str) -> None:
    """After the time to come back it is ended down to the engines."""
    async with running(broker_url, live_url, Caps(return_ms=50)) as gateway:
        async with asking(gateway) as listener:
            turn = await gateway.studio.turn()
            await listener.next()
        told = await gateway.studio.interrupted(turn.session)
    assert (told.epoch, told.by) == (1, "disconnect")


async def test_a_second_connection_takes_the_session(broker_url: str, live_url: str) -> None:
    """The first ends without a `done`: it has lost its place, not its answer."""
    async with running(broker_url, live_url) as gateway, asking(gateway) as first:
        turn = await gateway.studio.turn()
        begun = await first.next()
        assert begun
        async with asking(gateway, begun.id) as second:
            await second.next()
            assert await first.rest() == []
            await gateway.studio.end(turn, 0, "x")
            assert [event.name for event in await second.rest()] == ["done"]


async def test_a_forgotten_place_is_told(broker_url: str, live_url: str) -> None:
    """Where live has trimmed the client's entry, `recovered` is false and all that is kept comes: no silent hole."""
    async with running(broker_url, live_url) as gateway:
        async with asking(gateway) as listener:
            turn = await answered(gateway)
            whole = await listener.rest()
        items = await gateway.studio.sessions.range(turn.session)
        live = gateway.studio.bus.live(turn.session)
        await live.xtrim(streams.SESSION.of(turn.session), minid=items[5].id, approximate=False)
        async with asking(gateway, whole[2].id) as listener:
            again = await listener.rest()
        async with asking(gateway, whole[5].id) as listener:
            later = await listener.rest()
    assert again[0].data["recovered"] is False
    assert [event.name for event in again if event.name == "lost"]
    assert sound(again)[-1] == (1, 0, PCM)
    assert later[0].data["recovered"] is True
    assert later[1:] == whole[6:]


async def test_another_generation_is_told(broker_url: str, live_url: str) -> None:
    """A live broker that forgot the session and was told it anew has another generation."""
    async with running(broker_url, live_url) as gateway:
        async with asking(gateway) as listener:
            turn = await answered(gateway)
            whole = await listener.rest()
        live = gateway.studio.bus.live(turn.session)
        await live.delete(streams.GENERATION.of(turn.session))
        async with asking(gateway, whole[2].id) as listener:
            again = await listener.rest()
    assert again[0].data["recovered"] is False
    assert [(event.name, event.data) for event in again[1:]] == [(event.name, event.data) for event in whole[1:]]


async def test_an_answer_that_is_gone(broker_url: str, live_url: str) -> None:
    """404 with the remedy; an id that is none of ours is 422, and so is no id where one is needed."""
    async with running(broker_url, live_url) as gateway, gateway.client() as client:
        headers = {"last-event-id": "chat-0123456789abcdef.a1.5-0.0.0"}
        gone = await client.post("/api/chat?v=2", json=ASK, headers=headers)
        wrong = await client.post("/api/chat?v=2", json=ASK, headers={"last-event-id": "../../etc"})
        none = await client.get("/api/chat")
    assert (gone.status_code, wrong.status_code, none.status_code) == (404, 422, 422)
    assert "ask anew" in gone.json()["detail"]


async def test_a_silent_answer(broker_url: str, live_url: str) -> None:
    """Beats while nothing comes; after the patience for something new the turn is ended, and so is the stream."""
    async with (
        running(broker_url, live_url, Caps(patience_ms=300, pulse_ms=50)) as gateway,
        asking(gateway) as listener,
    ):
        events = await listener.rest()
        told = await gateway.studio.interrupted((await gateway.studio.turn()).session)
    assert [event.name for event in events] == ["turn", "done"]
    assert (events[1].data["reason"], told.by) == ("deadline", "deadline")
    assert listener.beats >= 2


async def test_a_failure_is_an_event_once(broker_url: str, live_url: str) -> None:
    """Code, sentence and whether trying again helps; who comes back is not told a second time."""
    async with running(broker_url, live_url) as gateway:
        async with asking(gateway) as listener:
            turn = await gateway.studio.turn()
            failed = Failed(turn=turn.turn, code=Code.ENGINE_BROKEN, sentence="cut in mid-stream")
            await gateway.studio.tell(turn.session, failed)
            await gateway.studio.end(turn, 0, "", "failed")
            whole = await listener.rest()
        async with asking(gateway, whole[1].id) as listener:
            again = await listener.rest()
    assert [event.name for event in whole] == ["turn", "error", "done"]
    assert whole[1].data == {"code": "engine_broken", "message": "cut in mid-stream", "retryable": False}
    assert [event.name for event in again] == ["turn", "done"]
    assert again[1].data["reason"] == "failed"
