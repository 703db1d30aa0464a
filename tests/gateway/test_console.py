"""The console: what it tells once a second, and the hands on the show."""

import asyncio
import json
import os
import re
import signal
import socket
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any, cast

import pytest

from services.contract import streams
from services.contract.failure import Code, Failure
from services.contract.ingest import Kind, Lane, LiveEvent, TurnAired, TurnRequested, Viewer
from services.contract.message import Message
from services.contract.tts import AIR_RATE, SpeechChunk, SpeechEnded, SpeechStarted
from services.gateway.api.audience import Audience
from services.gateway.core.access import Rules
from services.gateway.core.caps import Caps
from services.gateway.core.ports import JobSeen, JobsSeen, JobWorker
from services.gateway.handlers.panel import BusPanel
from services.runtime.bus import Bus
from services.runtime.clock import now_ms
from services.runtime.show import Show
from tests.conftest import LIVE, WORK, ask, broker
from tests.gateway.looking import looking
from tests.gateway.studio import Gateway, running

ROOMS, POOLS = ("demo", "other"), ("espeak",)
ORDER = {"Content-Type": "application/json"}
SCRIPT = "<img src=x onerror=alert(1)>"


@asynccontextmanager
async def console(
    work: str, live: str, rules: Rules | None = None, caps: Caps | None = None
) -> AsyncGenerator[Gateway]:
    async with running(work, live, rules=rules, caps=caps, rooms=ROOMS, pools=POOLS) as gateway:
        yield gateway


async def once(gateway: Gateway) -> dict[str, Any]:
    async with gateway.client() as client:
        return (await client.get("/api/console")).json()


async def post(gateway: Gateway, path: str, body: object = None, **headers: str) -> tuple[int, dict[str, Any]]:
    async with gateway.client() as client:
        sent = json.dumps(body).encode() if body is not None else b""
        answer = await client.post(f"/api/console/{path}", content=sent, headers={**ORDER, **headers})
    return answer.status_code, answer.json()


async def say(gateway: Gateway, session: str, epoch: int = 0, no: int = 1) -> None:
    """A turn whose ten seconds of sound are on the session."""
    turn = f"{session}-{no}"
    asked = TurnRequested(
        turn=turn, no=no, session=session, epoch=epoch, kind="room", lane=Lane.PAID, ask="how are you", persona="p",
        viewer="小明", requested_ms=now_ms(), deadline_ms=now_ms(),
    )  # fmt: skip
    place: dict[str, Any] = {"turn": turn, "index": 0, "attempt": 1}
    before: list[Message] = [
        asked, TurnAired(turn=turn, no=no, epoch=epoch), SpeechStarted(**place, no=no, epoch=epoch, text="很好"),
    ]  # fmt: skip
    await gateway.studio.tell(session, *before)
    chunk = SpeechChunk(**place, chunk=0, sample_offset=0)
    await gateway.studio.sessions.publish(session, chunk, b"\1\2" * AIR_RATE * 10)
    await gateway.studio.tell(session, SpeechEnded(**place, samples=AIR_RATE * 10))


def paid(id_: str) -> LiveEvent:
    return LiveEvent(
        id=id_, room="demo", source="api", kind=Kind.SUPER_CHAT, lane=Lane.PAID, viewer=Viewer(name="小明"), text=SCRIPT,
        amount_fen=3_000, at_ms=now_ms(),
    )  # fmt: skip


async def test_an_empty_house_is_told_as_one(broker_url: str, live_url: str) -> None:
    """Both brokers answer, nobody works, the rooms have no director and an empty ledger."""
    async with console(broker_url, live_url) as gateway:
        told = await once(gateway)
    assert {name: state["problem"] for name, state in told["brokers"].items()} == {"work": "", "live": ""}
    assert (told["streams"], told["workers"], told["silence"], told["audit"]) == ([], [], None, [])
    assert told["dead"] == {"count": 0, "rows": []}
    assert [(room["room"], room["director"], room["floor"]) for room in told["rooms"]] == [
        ("demo", "", []),
        ("other", "", []),
    ]
    assert told["ledger"]["demo"]["law"]["holds"]
    assert told["sessions"] == {"rows": [], "count": 0, "more": False}


async def test_what_is_heard_and_what_waits_is_told(broker_url: str, live_url: str) -> None:
    """The sentence of this moment, the stream's row as the broker has it, rows of the ledger, all as text."""
    async with console(broker_url, live_url) as gateway:
        bus = gateway.studio.bus
        await bus.groups(POOLS)
        await bus.work.xadd("speak:espeak:show", {"__data__": b'{"turn": "t"}'})
        await bus.work.set(streams.POOL.of("espeak"), "tts-1")
        await Show(bus.work).receive(paid("p1"))
        await say(gateway, "demo")
        async with looking(gateway) as look:
            told = await look.until(lambda data: data["sessions"]["rows"][0].get("said"))
            assert told["minutes"]["turns"] == [[0.0, 0]]
            row = look.stream("speak:espeak:show")
    assert counts(row) == {"group": "tts", "length": 1, "lag": 1, "pending": 0, "consumers": 0}
    (session,) = told["sessions"]["rows"]
    assert (session["said"], session["turn"]["viewer"], session["turn"]["ask"]) == ("很好", "小明", "how are you")
    assert told["pools"] == [{"pool": "espeak", "living": True, "workers": 0, "permits": 0, "busy": 0, "waiting": 1}]
    assert [(row["text"], row["state"]) for row in told["ledger"]["demo"]["rows"]] == [(SCRIPT, "received")]
    assert told["rooms"][0]["paid"] == 1


def counts(row: dict[str, Any]) -> dict[str, Any]:
    return {name: row[name] for name in ("group", "length", "lag", "pending", "consumers")}


async def test_the_brokers_are_read_once_for_all(broker_url: str, live_url: str) -> None:
    """Twenty operators cost one reading a second; when all have left, nothing is read."""
    reads = {"work": 0, "live": 0}

    class Counted(BusPanel):
        async def work(self) -> Any:
            reads["work"] += 1
            return await super().work()

        async def live(self) -> Any:
            reads["live"] += 1
            return await super().live()

    bus = Bus(broker_url, [live_url])
    audience = Audience(Counted(bus, ROOMS, POOLS), None)

    async def look() -> None:
        async with audience.seat():
            assert "streams" in audience.told({})

    async with audience.seat():
        await asyncio.gather(*(look() for _ in range(20)))
        assert reads == {"work": 1, "live": 1}
        await audience.tick()
    seen = dict(reads)
    assert not [task for task in asyncio.all_tasks() if "_follow" in repr(task)]
    await look()
    assert reads == {name: count + 1 for name, count in seen.items()}
    await bus.close()


class Registry:
    """Jobs as rq's registries tell of them, or a broker that does not."""

    down = False

    async def snapshot(self, newest: int = 20) -> JobsSeen:
        if self.down:
            raise Failure(Code.BUS_DOWN, "the registries do not answer")
        job = JobSeen("j1", "report demo", "finished", asked_ms=1, ended_ms=2)
        return JobsSeen({"finished": newest}, (job,), (JobWorker("w", "idle", "", 3),), 1)

    async def report(self, room: str, language: str, since_ms: int) -> str:
        raise NotImplementedError

    async def job(self, id_: str) -> JobSeen | None:
        raise NotImplementedError


async def test_jobs_are_told_beside_the_rest(broker_url: str, live_url: str) -> None:
    """What the registries say; where they do not answer, that, with what was known before."""
    bus, jobs = Bus(broker_url, [live_url]), Registry()
    audience, known = Audience(BusPanel(bus, ROOMS, POOLS), jobs), dict[str, int]()
    async with audience.seat():
        told = json.loads(audience.told(known))
        assert told["jobs"]["counts"] == {"finished": 20}
        assert [(job["id"], job["what"], job["state"]) for job in told["jobs"]["jobs"]] == [
            ("j1", "report demo", "finished")
        ]
        assert (told["jobs"]["workers"][0]["name"], told["jobs"]["crons"]) == ("w", 1)
        jobs.down = True
        async with asyncio.timeout(20):
            while not told["brokers"]["jobs"]["problem"]:
                await audience.tick()
                told |= json.loads(audience.told(known))
    assert told["brokers"]["jobs"]["problem"] == "the registries do not answer"
    assert told["jobs"]["counts"] == {"finished": 20}
    await bus.close()


async def test_a_fault_of_our_own_is_told_too(broker_url: str, live_url: str) -> None:
    """A note of a director that nobody understands: the page says that its part is not read, and goes on."""
    async with console(broker_url, live_url) as gateway:
        work = cast("Any", gateway.studio.bus.work)
        await work.hset(streams.FLOOR.of("demo"), "t1", b"[]")
        async with looking(gateway) as look:
            assert look.data["brokers"]["work"]["problem"].startswith("TypeError")
            assert look.data["brokers"]["live"]["problem"] == ""
            await work.delete(streams.FLOOR.of("demo"))
            await look.until(lambda data: not data["brokers"]["work"]["problem"])


async def test_a_session_is_stopped(broker_url: str, live_url: str) -> None:
    """Its epoch is raised, its readers are told by whom; the deed is written down with who did it."""
    async with console(broker_url, live_url) as gateway:
        await say(gateway, "demo")
        async with looking(gateway) as look:
            await look.until(lambda data: data["sessions"]["rows"][0].get("said"))
            assert await post(gateway, "stop", {"session": "demo"}) == (200, {"done": True})
            told = await look.until(lambda data: not data["sessions"]["rows"][0]["said"] and data["audit"])
        assert (await gateway.studio.interrupted("demo")).by == "operator"
        assert await gateway.studio.bus.work.get(streams.EPOCH.of("demo")) == b"1"
        assert await post(gateway, "stop", {"session": "nobody"}) == (404, {
            "code": "not_found", "detail": "there is no session 'nobody'; it may have ended by itself",
        })  # fmt: skip
        deeds = (await once(gateway))["audit"]
    (deed,) = told["audit"]
    assert (deed["who"], deed["what"], deed["on"], deed["how"]) == (
        "this machine, 127.0.0.1",
        "stop",
        "demo",
        "epoch 1",
    )
    assert deeds[0]["how"].startswith("failed: there is no session")


async def test_the_kill_switch_silences_every_session(broker_url: str, live_url: str) -> None:
    """Rooms and all that speaks are told; nobody is answered meanwhile; who threw it is kept; then it goes on."""
    async with console(broker_url, live_url) as gateway, looking(gateway) as look:
        names = ["demo", *(f"chat-{number}" for number in range(60))]
        for name in names:
            await say(gateway, name)
        assert await post(gateway, "silence", {"on": True}) == (200, {"done": True})
        for name in names:
            assert (await gateway.studio.interrupted(name)).by == "silence"
        told = await look.until(
            lambda data: data["silence"] and not any(r["said"] for r in data["sessions"]["rows"] if "said" in r)
        )
        assert told["silence"]["by"] == "this machine, 127.0.0.1"
        async with gateway.client() as client:
            chat = await client.post("/api/chat", json={"msg": [{"role": "user", "content": "嗨"}]})
        assert chat.status_code == 503
        assert "silenced" in chat.json()["detail"]
        await post(gateway, "silence", {"on": True})
        assert (await once(gateway))["silence"]["at_ms"] == told["silence"]["at_ms"], "the first who threw it stands"
        assert await post(gateway, "silence", {"on": False}) == (200, {"done": True})
        await look.until(lambda data: data["silence"] is None)


async def test_a_dead_letter_is_shown_requeued_and_dropped(broker_url: str, live_url: str) -> None:
    """With its reason and bytes; once it is work again or gone, a second operator is told so."""
    async with console(broker_url, live_url) as gateway:
        work = cast("Any", gateway.studio.bus.work)
        fields: Any = {"stream": "turns", "code": "internal", "reason": "it broke", "was:__data__": SCRIPT.encode()}
        first, second = [(await work.xadd(streams.DEAD, fields)).decode() for _ in range(2)]
        dead = (await once(gateway))["dead"]
        assert dead["count"] == 2
        assert [(row["id"], row["code"], row["reason"], row["body"]) for row in dead["rows"]] == [
            (second, "internal", "it broke", SCRIPT), (first, "internal", "it broke", SCRIPT),
        ]  # fmt: skip
        assert (await post(gateway, f"dead/{first}/requeue"))[0] == 200
        assert [fields for _, fields in await work.xrange("turns")] == [{b"__data__": SCRIPT.encode()}]
        assert (await post(gateway, f"dead/{second}/drop"))[0] == 200
        for path in (f"dead/{first}/requeue", f"dead/{second}/drop"):
            status, told = await post(gateway, path)
            assert (status, "somebody requeued or dropped it before" in told["detail"]) == (404, True)
        odd = (await work.xadd(streams.DEAD, {"reason": "no entry"})).decode()
        assert (await post(gateway, f"dead/{odd}/requeue"))[0] == 422
        assert (await post(gateway, "dead/nonsense/drop"))[0] == 422


async def test_another_page_gives_no_orders(broker_url: str, live_url: str) -> None:
    """A page of this machine on another port passes the door of the gateway, but has no hands here."""
    async with console(broker_url, live_url) as gateway:
        for headers in ({"Origin": "http://localhost:3000"}, {"Sec-Fetch-Site": "cross-site"}):
            for path in ("stop", "silence", "dead/1-0/drop", "dead/1-0/requeue"):
                status, told = await post(gateway, path, {"session": "demo", "on": True}, **headers)
                assert (status, told["code"]) == (401, "unauthorized")
        assert await gateway.studio.bus.work.exists(streams.SILENCE, streams.EPOCH.of("demo"), streams.AUDIT) == 0
        assert (await post(gateway, "stop", {"session": "demo"}, Origin=gateway.url))[0] == 200


async def test_the_token_opens_it_and_its_page_is_open(broker_url: str, live_url: str) -> None:
    """From elsewhere nothing is told without the token; the page itself, which holds nothing, asks for it."""
    rules = Rules(token="correct horse")  # noqa: S106  a test's own
    elsewhere = {"host": "onair.example"}
    async with console(broker_url, live_url, rules) as gateway, gateway.client() as client:
        shut = [
            (await client.get(path, headers=elsewhere)).status_code for path in ("/api/console", "/api/console/stream")
        ]
        page = await client.get("/console", headers=elsewhere)
        bearer = {**elsewhere, "authorization": "Bearer correct horse"}
        told = await client.get("/api/console", headers=bearer)
        await client.post("/api/console/stop", headers=bearer, content=b'{"session": "demo"}')
        (deed,) = (await once(gateway))["audit"]
    assert (shut, page.status_code, told.status_code) == ([401, 401], 200, 200)
    assert "console.js" in page.text
    assert deed["who"] == "token, 127.0.0.1"


async def test_a_broker_that_hangs_is_said_to_within_two_seconds(live_url: str, tmp_path: Any) -> None:
    """What was known stays, with when it was known; when the broker is back, it is told as new."""
    with broker(tmp_path, *WORK) as work:
        port = int(work.rpartition(":")[2])
        pid = _pid(port)
        async with console(work, live_url) as gateway, looking(gateway) as look:
            await look.next()
            known = look.data["brokers"]["work"]["at_ms"]
            os.kill(pid, signal.SIGSTOP)
            try:
                stopped = time.monotonic()
                told = await look.until(lambda data: data["brokers"]["work"]["problem"])
                took = time.monotonic() - stopped
                assert took < 2
                assert told["brokers"]["work"]["problem"] == "no answer within 0.85 s"
                last = told["brokers"]["work"]["at_ms"]
                assert last >= known
                assert told["brokers"]["live"]["problem"] == ""
                assert "streams" in told
            finally:
                os.kill(pid, signal.SIGCONT)
            await look.until(lambda data: not data["brokers"]["work"]["problem"])
            assert look.data["brokers"]["work"]["at_ms"] > last


def _pid(port: int) -> int:
    with socket.create_connection(("127.0.0.1", port), 5) as connection:
        connection.sendall(b"INFO server\r\n")
        found = re.search(rb"process_id:(\d+)", connection.recv(8_192))
    assert found
    return int(found[1])


async def test_a_broker_that_is_gone_is_told_at_once(live_url: str, tmp_path: Any) -> None:
    """Orders fail with a sentence; the stream goes on."""
    with broker(tmp_path, *LIVE) as work:
        port = int(work.rpartition(":")[2])
        async with console(work, live_url) as gateway, looking(gateway) as look:
            ask(port, "SHUTDOWN NOSAVE")
            told = await look.until(lambda data: data["brokers"]["work"]["problem"])
            assert "the work broker does not answer" in told["brokers"]["work"]["problem"]
            for path, body in (("silence", {"on": True}), ("silence", {"on": False}), ("stop", {"session": "demo"})):
                status, said = await post(gateway, path, body)
                assert (status, said["code"]) == (503, "bus_down")
            await look.next()


async def test_more_consoles_than_are_allowed_are_told_so(broker_url: str, live_url: str) -> None:
    """503; the place is free again when one leaves."""
    async with console(broker_url, live_url, caps=Caps(operators=1)) as gateway:
        async with looking(gateway), gateway.client() as client:
            assert (await client.get("/api/console")).status_code == 503
            assert (await client.get("/api/console/stream")).status_code == 503
        async with asyncio.timeout(20), gateway.client() as client:
            while (await client.get("/api/console")).status_code != 200:
                await asyncio.sleep(0.05)


@pytest.mark.slow
async def test_two_hundred_streams_and_sessions_are_told(
    broker_url: str, live_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Streams of pools that no configuration names are found; the ticks keep coming."""
    async with console(broker_url, live_url) as gateway:
        bus = gateway.studio.bus
        await bus.groups([f"pool{number}" for number in range(100)])
        for number in range(200):
            await say(gateway, f"chat-{number}")
        async with looking(gateway) as look:
            before = time.monotonic()
            told = await look.until(
                lambda data: len(data["streams"]) == 204 and sum("said" in r for r in data["sessions"]["rows"]) == 200
            )
            found = time.monotonic() - before
            ticks, before = look.ticks, time.monotonic()
            for _ in range(5):
                await look.next()
            assert look.ticks == ticks + 5
            assert not any(state["problem"] for state in look.data["brokers"].values())
        panel = BusPanel(bus, ROOMS, POOLS)
        await panel.work()
        times = [await _timed(read) for read in (panel.work, panel.live, panel.live, panel.work)]
    assert len(told["pools"]) == 100
    with capsys.disabled():
        took = ", ".join(f"{ms:.0f}" for ms in times)
        sys_line = (
            f"\n200 streams, 200 sessions: all known after {found:.1f} s; work, live, live, work read in {took} ms\n"
        )
        print(sys_line)  # noqa: T201  the figure of the test


async def _timed(read: Any) -> float:
    began = time.monotonic()
    await read()
    return (time.monotonic() - began) * 1_000
