"""Reports over HTTP: asked for, made by a real worker, served by id; refused in plain words."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest

from services.contract import streams
from services.contract.ingest import Heard, Kind, Lane, LiveEvent, TurnSettled, Viewer
from services.gateway.adapters.disk import Shelf
from services.gateway.adapters.rq import Rq
from services.gateway.api import reports
from services.gateway.app import listen, serve, web
from services.gateway.core.access import Rules
from services.gateway.core.caps import Caps
from services.gateway.core.ports import JobSeen
from services.gateway.handlers.desk import BusDesk
from services.runtime.archive import Archive
from services.runtime.bus import Bus
from services.runtime.clock import now_ms
from services.runtime.health import Health
from services.runtime.show import Show
from tests.gateway.hands import jobs

ASK = "/api/rooms/demo/reports"
TOKEN = "letmein"  # noqa: S105  a test's


@dataclass
class Door:
    """A gateway with its reports."""

    client: httpx2.AsyncClient
    work: Any
    data: Path
    url: str

    async def made(self, url: str) -> httpx2.Response:
        """What is there when it is not being made any more."""
        async with asyncio.timeout(60):
            while (answer := await self.client.get(url)).status_code == 202:
                await asyncio.sleep(0.1)
        return answer


@asynccontextmanager
async def serving(work: str, live: str, data: Path, rules: Rules | None = None) -> AsyncGenerator[Door]:
    """On a free port."""
    bus, rq, caps = Bus(work, [live]), Rq(work), Caps()
    app = web(BusDesk(bus), Health("gateway"), "host", rules or Rules(), caps, ("demo",))
    app.include_router(reports.router(rq, Shelf(data), caps, {"demo": "zh"}))
    listener = listen("127.0.0.1", 0)
    server = asyncio.ensure_future(serve(app, [listener]))
    try:
        base = f"http://127.0.0.1:{listener.getsockname()[1]}"
        async with httpx2.AsyncClient(base_url=base, timeout=20, trust_env=False) as client:
            yield Door(client, bus.work, data, work)
    finally:
        server.cancel()
        with suppress(asyncio.CancelledError):
            await server
        await rq.close()
        await bus.close()


@pytest.fixture
async def door(broker_url: str, live_url: str, tmp_path: Path) -> AsyncIterator[Door]:
    async with serving(broker_url, live_url, tmp_path) as found:
        await found.work.delete(*(key.of("demo") for key in (streams.LEDGER, streams.PAID, streams.SHOW)))
        yield found


def event(name: str, ago_ms: int = 0) -> LiveEvent:
    return LiveEvent(
        id=f"api:super_chat:{name}-{now_ms()}", room="demo", source="api", kind=Kind.SUPER_CHAT, lane=Lane.PAID,
        viewer=Viewer(name=name), text="你好", amount_fen=5_000, at_ms=now_ms() - ago_ms,
    )  # fmt: skip


@pytest.mark.slow
async def test_a_report_is_asked_for_made_and_served(door: Door) -> None:
    """202 and an address; 202 while nobody has made it; then the page, in the persona's language, that loads nothing."""
    show = Show(door.work)
    assert await show.receive(event("小明"))
    assert await show.receive(event("昨天", 86_400_000))
    term = await show.lease("demo", "me")
    assert term
    said = Heard(text="谢谢小明！", from_ms=now_ms(), to_ms=now_ms() + 900)
    await Archive(door.work).write(
        term, TurnSettled(turn="demo-1", event=event("小明"), state="spoken", at_ms=now_ms(), captions=(said,))
    )
    asked = await door.client.post(ASK, json={"hours": 2})
    assert asked.status_code == 202
    told = asked.json()
    assert told == {"id": told["id"], "state": "queued", "url": f"/api/reports/{told['id']}"}
    waits = await door.client.get(told["url"])
    assert (waits.status_code, waits.json()["state"], waits.headers["retry-after"]) == (202, "queued", "1")
    with jobs(door.data, door.url):
        page = await door.made(told["url"])
        english = await door.made((await door.client.post(ASK, json={"language": "en"})).json()["url"])
    assert (page.status_code, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert page.headers["content-security-policy"].startswith("default-src 'none'")
    assert "谢谢小明！" in page.text
    assert "直播报告 · demo" in page.text
    assert "昨天" not in page.text
    assert "昨天" in english.text
    assert "2 (¥100.00) = " in english.text


@pytest.mark.slow
async def test_a_report_that_cannot_be_made_says_why(door: Door) -> None:
    """500 with the job's own reason, after a second try; a ledger's row that does not parse is such a reason."""
    await door.work.hset(streams.LEDGER.of("demo"), "broken", b"{")
    url = (await door.client.post(ASK)).json()["url"]
    with jobs(door.data, door.url):
        answer = await door.made(url)
    assert answer.status_code == 500
    assert "BadMessageError: LedgerRow" in answer.json()["detail"]
    assert "ask for it again" in answer.json()["detail"]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"{", "JSON"),
        (b'{"language": "fr"}', "language must be one of zh, en"),
        (b'{"hours": 0}', "hours must be a number above 0"),
        (b'{"hours": true}', "hours must be a number above 0"),
        (b'{"hours": "2"}', "hours must be a number above 0"),
        (b'{"path": "/etc"}', "unknown field 'path'; known: language, hours"),
    ],
)
async def test_a_wrong_wish_is_refused(door: Door, body: bytes, said: str) -> None:
    """422 and the field that is wrong; nothing is put into the queue."""
    answer = await door.client.post(ASK, content=body)
    assert answer.status_code == 422
    assert said in answer.json()["detail"]
    assert await door.work.llen("rq:queue:onair") == 0


@pytest.mark.parametrize(
    "id_",
    ["0123456789abcdef", "x", "..%2f..%2fsecret", "%2e%2e%2fsecret", "....%2f%2fsecret", "0123456789abcdef%00.html"],
)
async def test_an_unknown_report(door: Door, id_: str) -> None:
    """404, whatever the id; no file beside the reports is given away."""
    (door.data / "secret.html").write_text("secret")
    answer = await door.client.get(f"/api/reports/{id_}")
    assert answer.status_code == 404
    assert "secret<" not in answer.text


async def test_an_unknown_room(door: Door) -> None:
    """404 with those that there are."""
    answer = await door.client.post("/api/rooms/none/reports")
    assert (answer.status_code, answer.json()["detail"]) == (404, "there is no room 'none'; rooms: demo")


async def test_a_report_needs_the_token(broker_url: str, live_url: str, tmp_path: Path) -> None:
    """From under a foreign name neither asking nor reading is let in without it."""
    async with serving(broker_url, live_url, tmp_path, Rules(TOKEN)) as door:
        for method, url in (("POST", ASK), ("GET", "/api/reports/0123456789abcdef")):
            bare = await door.client.request(method, url, headers={"Host": "evil.example"})
            assert bare.status_code == 401
            known = {"Host": "evil.example", "Authorization": f"Bearer {TOKEN}"}
            assert (await door.client.request(method, url, headers=known)).status_code in {202, 404}


async def test_without_its_broker(live_url: str, tmp_path: Path) -> None:
    """503 and what to do, not a traceback."""
    async with serving("redis://127.0.0.1:1", live_url, tmp_path) as door:
        answer = await door.client.post(ASK)
        assert (answer.status_code, answer.json()["code"]) == (503, "bus_down")


@pytest.mark.parametrize(
    ("job", "code", "said"),
    [
        (None, "not_found", "keep.reports"),
        (JobSeen("1", "expire", "finished"), "not_found", "no such report"),
        (JobSeen("1", "report demo", "finished"), "not_found", "not in this gateway's ONAIR_DATA"),
        (JobSeen("1", "report demo", "failed", reason="because"), "internal", "because"),
    ],
)
def test_what_will_never_come(job: JobSeen | None, code: str, said: str) -> None:
    """Each has its sentence."""
    with pytest.raises(reports.Failure, match=said) as caught:
        reports.state_of(job)
    assert caught.value.code == code
