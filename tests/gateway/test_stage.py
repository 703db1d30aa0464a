"""A room's page, its events and its stage, on a real socket."""

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any, cast

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from services.contract import streams
from services.contract.gateway import Interrupted
from services.contract.ingest import LiveEvent, TurnAired, TurnRequested
from services.contract.message import Message
from services.contract.tts import AIR_RATE, SpeechChunk, SpeechEnded, SpeechStarted
from services.gateway.api.stage import Hall, Seat
from services.gateway.core.access import Rules
from services.gateway.core.caps import Caps
from services.gateway.core.ports import Entry
from services.gateway.handlers.desk import BusDesk
from services.runtime.bus import Bus
from services.runtime.show import Show
from tests.gateway.studio import Gateway, running

ROOMS = ("demo", "other")
TONE = b"\1\2" * AIR_RATE
PATIENCE_S = 20


@asynccontextmanager
async def joined(gateway: Gateway, path: str = "/api/rooms/demo/stage", **how: Any) -> AsyncGenerator[ClientConnection]:
    async with connect(f"ws://127.0.0.1:{gateway.port}{path}", proxy=None, **how) as page:
        yield page


async def hears(page: ClientConnection, kind: str) -> dict[str, Any]:
    """The next event of that kind; sound as its header with the samples' bytes under `pcm`."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            said = await page.recv()
            if isinstance(said, bytes):
                length = int.from_bytes(said[:4], "big")
                event = {**json.loads(said[4 : 4 + length]), "pcm": said[4 + length :]}
            else:
                event = json.loads(said)
            if event["type"] == kind:
                return event


async def speak(gateway: Gateway, turn: str = "t", no: int = 1) -> None:
    """One second of sound on air."""
    request = TurnRequested(
        turn=turn, no=no, session="demo", epoch=0, kind="room", ask="嗨", persona="h", requested_ms=1, deadline_ms=2
    )
    started = SpeechStarted(turn=turn, no=no, epoch=0, index=0, attempt=1, text="你好。")
    await gateway.studio.tell("demo", request, TurnAired(turn=turn, no=no, epoch=0), started)
    chunk = SpeechChunk(turn=turn, index=0, attempt=1, chunk=0, sample_offset=0)
    await gateway.studio.sessions.publish("demo", chunk, TONE)
    await gateway.studio.tell("demo", SpeechEnded(turn=turn, index=0, attempt=1, samples=AIR_RATE))


async def test_a_page_is_told_what_happens(broker_url: str, live_url: str) -> None:
    """How things stand, a comment, the turn, its caption, its sound; and the cut."""
    async with (
        running(broker_url, live_url, rooms=ROOMS) as gateway,
        gateway.client() as client,
        joined(gateway) as page,
    ):
        assert (await hears(page, "present"))["cards"] == []
        body = {"kind": "danmaku", "text": "你好", "viewer": "小明"}
        assert (await client.post("/api/rooms/demo/events", json=body)).status_code == 202
        card = await hears(page, "card")
        assert (card["viewer"], card["text"], card["state"]) == ("小明", "你好", "waiting")
        await speak(gateway)
        turn, caption, sound = [await hears(page, kind) for kind in ("turn", "caption", "sound")]
        assert (turn["turn"], caption["text"], sound["pcm"], sound["offset"]) == ("t", "你好。", TONE, 0)
        await gateway.studio.tell("demo", Interrupted(epoch=1, by="operator"))
        assert (await hears(page, "cut"))["reason"] == "operator"


async def test_a_page_that_joins_late_gets_no_stale_tail(broker_url: str, live_url: str) -> None:
    """Two pages; the later one hears the rest of the sentence at the same moment of the show."""
    async with running(broker_url, live_url, rooms=ROOMS) as gateway, joined(gateway) as first:
        await speak(gateway)
        whole = await hears(first, "sound")
        async with joined(gateway) as second:
            present = await hears(second, "present")
            rest = await hears(second, "sound")
    assert present["turns"][0]["turn"] == "t"
    assert present["captions"][0]["text"] == "你好。"
    assert 0 < rest["offset"] < AIR_RATE
    assert len(rest["pcm"]) == 2 * (AIR_RATE - rest["offset"])
    # The first page may itself have come a moment late, on a busy machine.
    later = rest["offset"] - whole["offset"]
    assert abs((rest["at_ms"] - whole["at_ms"]) * AIR_RATE / 1_000 - later) < 1


async def test_unpaid_work_of_before_is_known(broker_url: str, live_url: str) -> None:
    """A gateway that starts knows what was paid for, however long ago."""
    bus = Bus(broker_url, [live_url])
    paid = {"kind": "super_chat", "text": "辛苦了", "amount_fen": 3_000, "id": "one"}
    async with running(broker_url, live_url, rooms=ROOMS) as gateway, gateway.client() as client:
        codes = [(await client.post("/api/rooms/demo/events", json=paid)).status_code for _ in range(2)]
        await bus.lives[0].delete(streams.SESSION.of("demo"))
        async with joined(gateway) as page:
            cards = (await hears(page, "present"))["cards"]
    ledger = await Show(bus.work).ledger("demo")
    await bus.close()
    assert codes == [202, 200]
    assert [(card["id"], card["amount_fen"]) for card in cards] == [("api:super_chat:one", 3_000)]
    assert ledger["api:super_chat:one"].state == "received"


async def test_of_comments_the_newest_wait_for_the_director(broker_url: str, live_url: str) -> None:
    """The lane is short; an id that came before is no second comment."""
    caps = Caps(comments=2)
    async with running(broker_url, live_url, caps, rooms=ROOMS) as gateway, gateway.client() as client:
        for name in "abca":
            await client.post("/api/rooms/demo/events", json={"kind": "danmaku", "text": name, "id": name})
        found = cast("Any", await gateway.studio.bus.work.xrange(streams.CHAT.of("demo")))
    assert [LiveEvent.from_json(fields[b"event"]).text for _, fields in found] == ["b", "c"]


async def test_a_room_that_is_not_configured_is_said(broker_url: str, live_url: str) -> None:
    """404 with the rooms' names; the stage closes with 4404 and the same sentence."""
    async with running(broker_url, live_url, rooms=ROOMS) as gateway, gateway.client() as client:
        page = await client.get("/rooms/nowhere")
        event = await client.post("/api/rooms/nowhere/events", json={"kind": "like"})
        async with joined(gateway, "/api/rooms/nowhere/stage") as stage:
            with pytest.raises(ConnectionClosed) as closed:
                await stage.recv()
        bad = await client.post("/api/rooms/demo/events", json={"kind": "dance"})
        large = await client.post("/api/rooms/demo/events", content=b" " * 100_000)
    assert (page.status_code, event.status_code, bad.status_code, large.status_code) == (404, 404, 422, 413)
    assert "rooms: demo, other" in event.json()["detail"]
    assert closed.value.rcvd is not None
    assert (closed.value.rcvd.code, "rooms: demo, other" in closed.value.rcvd.reason) == (4404, True)


async def test_the_page_and_its_files_are_served(broker_url: str, live_url: str) -> None:
    """`/` leads to the first room; everything is ours, by a strict policy; nothing else of the disk is there."""
    async with running(broker_url, live_url, rooms=ROOMS) as gateway, gateway.client() as client:
        first = await client.get("/")
        page, script, licence = [
            await client.get(path) for path in ("/rooms/demo", "/web/app.js", "/web/vendor/htm-LICENSE.txt")
        ]
        none = [
            (await client.get(path)).status_code for path in ("/web/none.js", "/web/../app.py", "/web/%2e%2e/app.py")
        ]
    async with running(broker_url, live_url) as bare, bare.client() as client:
        empty = await client.get("/")
    assert (first.status_code, first.headers["location"]) == (307, "/rooms/demo")
    assert page.headers["content-security-policy"].startswith("default-src 'none'; script-src 'self'")
    assert "http" not in page.text.replace("http-equiv", "")
    assert script.headers["content-type"] == "text/javascript; charset=utf-8"
    assert "Apache License" in licence.text
    assert none == [404, 404, 404]
    assert (empty.status_code, "onair.yaml" in empty.text) == (404, True)


async def test_the_door_is_the_stages_too(broker_url: str, live_url: str) -> None:
    """A foreign page is refused at the handshake; the token opens, in the address as well."""
    rules = Rules(token="horse")  # noqa: S106  a test's own
    async with running(broker_url, live_url, rules=rules, rooms=ROOMS) as gateway:
        with pytest.raises(InvalidStatus) as refused:
            async with joined(gateway, origin="https://evil.example"):
                pass
        async with joined(gateway, "/api/rooms/demo/stage?token=horse", origin="https://evil.example") as page:
            present = await hears(page, "present")
    assert refused.value.response.status_code == 403
    assert present["turns"] == []


async def test_there_are_so_many_seats(broker_url: str, live_url: str) -> None:
    """One page too many is told to come again; a page that leaves makes room; a pulse says that the show lives."""
    caps = Caps(viewers=1, pulse_ms=30)
    async with running(broker_url, live_url, caps, rooms=ROOMS) as gateway:
        async with joined(gateway) as page:
            await page.send("hello?")
            assert (await hears(page, "pulse"))["now_ms"] > 0
            async with joined(gateway) as late:
                with pytest.raises(ConnectionClosed) as closed:
                    await late.recv()
        async with asyncio.timeout(PATIENCE_S):
            while True:
                async with joined(gateway) as page:
                    said = await asyncio.gather(page.recv(), return_exceptions=True)
                    if isinstance(said[0], str):
                        break
    assert closed.value.rcvd is not None
    assert (closed.value.rcvd.code, "1 pages are open" in closed.value.rcvd.reason) == (1013, True)


async def test_a_slow_page_is_cut_off_and_the_show_goes_on(broker_url: str, live_url: str) -> None:
    """What waits for it is bounded; the other page hears everything."""
    caps = Caps(stage_bytes=300)
    async with running(broker_url, live_url, caps, rooms=ROOMS) as gateway:
        hall = Hall(BusDesk(gateway.studio.bus), caps)
        async with hall.seat("demo") as slow, joined(gateway) as page:
            await hears(page, "present")
            for number in range(8):
                await gateway.studio.tell("demo", TurnAired(turn=f"t{number}", no=number + 1, epoch=0, clear=True))
                assert (await hears(page, "turn"))["turn"] == f"t{number}"
            async with asyncio.timeout(PATIENCE_S):
                while not slow.behind:
                    await asyncio.sleep(0.01)


async def test_a_seat_that_is_behind_is_closed_by_the_server(broker_url: str, live_url: str) -> None:
    """With the word to join again."""
    async with running(broker_url, live_url, Caps(stage_bytes=-1, pulse_ms=50), rooms=ROOMS) as gateway:
        await speak(gateway)
        async with joined(gateway) as page:
            with pytest.raises(ConnectionClosed) as closed:
                await hears(page, "nothing more")
    assert closed.value.rcvd is not None
    assert (closed.value.rcvd.code, "too slowly" in closed.value.rcvd.reason) == (1013, True)


async def test_a_broker_that_is_gone_is_said_to_the_page(live_url: str) -> None:
    """The stage closes with the sentence, to be joined again."""
    async with running("redis://127.0.0.1:1", live_url, rooms=ROOMS) as gateway, joined(gateway) as page:
        with pytest.raises(ConnectionClosed) as closed:
            await page.recv()
    assert closed.value.rcvd is not None
    assert (closed.value.rcvd.code, "broker" in closed.value.rcvd.reason) == (1013, True)


class Broken(BusDesk):
    """A desk whose session breaks off."""

    async def coming(self, session: str, after: str) -> AsyncGenerator[Entry]:
        async for _ in super().coming(session, after):
            raise ValueError(session)
        yield Entry("0-0", 0, Message())


async def test_a_room_that_cannot_be_followed_ends_its_seats(broker_url: str, live_url: str) -> None:
    """A page is not left with a show that stands still."""
    caps = Caps(pulse_ms=50)
    async with running(broker_url, live_url, caps, rooms=ROOMS, desk=Broken) as gateway, joined(gateway) as page:
        await hears(page, "present")
        await gateway.studio.tell("demo", Interrupted(epoch=1, by="client"))
        with pytest.raises(ConnectionClosed) as closed:
            await hears(page, "nothing more")
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1013


async def test_a_seat_gives_what_waits_in_order() -> None:
    """First in, first out; the one too many marks it as behind."""
    seat = Seat(1, ["a"])
    for said in (b"b", "c"):
        seat.put(said)
    assert [await seat.next(50), await seat.next(50), seat.behind] == ["a", b"b", True]
