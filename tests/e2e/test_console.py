"""The operators' console in a real browser: true, calm, and with both hands on the show."""

import json
import os
import re
import signal
import socket
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import pytest
from playwright.sync_api import Browser, Page, Route
from redis import Redis

from services.contract import streams
from services.contract.ingest import TurnAired, TurnRequested
from tests.e2e.test_page import LAPTOP, PEOPLE, PHONE, browser, picture, until, up
from tests.e2e.test_page import opened as opened_show
from tests.e2e.test_up import alive, notes, post

__all__ = ["browser"]  # the fixture
pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.timeout(180)]
CONFIG = f"""{PEOPLE}
rooms:
  demo: {{persona: host, sources: [{{api: {{}}}}], director: {{deadlines: {{chat: 60s}}}}}}
  late: {{persona: host, sources: [{{api: {{}}}}]}}
"""
STORY = "请慢慢地讲一个长一点的故事给我们听，讲讲海边的灯塔和一只小猫，还有它们怎样过冬，好不好呀？"
SCRIPT = '<img src=x onerror="globalThis.broken = 1">'


@pytest.fixture(scope="module")
def show(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """Two rooms that wait to be written into, two workers that speak: its address, the data folder."""
    folder = tmp_path_factory.mktemp("console")
    config, data = folder / "onair.yaml", folder / "data"
    config.write_text(CONFIG, encoding="utf-8")
    data.mkdir()
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = str(probe.getsockname()[1])
    with up(data, "--config", str(config), "--port", port, "--scale", "tts=2") as (_, url):
        yield url, data


@contextmanager
def opened(browser: Browser, url: str, size: tuple[int, int] = LAPTOP, locale: str = "en-GB") -> Generator[Page]:
    """A console that is connected; whatever goes wrong in it fails the test."""
    context = browser.new_context(viewport={"width": size[0], "height": size[1]}, locale=locale)
    page = context.new_page()
    wrong: list[str] = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.goto(f"{url}/console")
    until(lambda: page.evaluate("onair.store.link") == "live")
    page.wait_for_selector("[data-room=demo]")
    yield page
    context.close()
    assert wrong == []


def brokers(data: Path) -> dict[str, Any]:
    """Clients of both brokers of the show."""
    urls = json.loads((data / "run" / "brokers.json").read_text())
    return {name: cast("Any", Redis).from_url(at) for name, at in (("work", urls["work"]), ("live", urls["lives"][0]))}


def write(url: str, text: str, amount_fen: int = 0, viewer: str = "小明", room: str = "demo") -> str:
    body: dict[str, object] = {"kind": "super_chat" if amount_fen else "danmaku", "text": text, "viewer": viewer}
    return str(json.loads(post(f"{url}/api/rooms/{room}/events", {**body, "amount_fen": amount_fen}))["id"])


def state(page: Page, id_: str) -> str:
    row = page.query_selector(f'[data-id="{id_}"]')
    return (row.get_attribute("data-state") or "") if row else ""


def text(page: Page, selector: str) -> str:
    found = page.query_selector(selector)
    return found.inner_text() if found else ""


def test_the_show_is_seen_as_it_goes_on(browser: Browser, show: tuple[str, Path], tmp_path: Path) -> None:
    """What is said now, who is answered, the ledger with its law, everybody at work; all of it on one screen."""
    url, data = show
    work = brokers(data)["work"]
    letter: dict[str, str] = {
        "stream": "turns",
        "code": "worker_lost",
        "reason": "3 workers ended before this was done",
    }
    work.xadd(
        streams.DEAD,
        {**letter, "message": "TurnRequested", "was:__data__": json.dumps({"turn": "demo-7", "ask": SCRIPT})},
    )
    with opened(browser, url) as page:
        first = write(url, "生日快乐！想听一句祝福🎂", 10_000, "不加香菜")
        write(url, STORY, 3_000, "星尘邮差")
        write(url, "今天直播到几点？", viewer="面包会飞")
        until(lambda: state(page, first) == "spoken")
        until(lambda: "灯塔" in text(page, "[data-room=demo] .said"))
        assert "星尘邮差" in text(page, "[data-room=demo] .turn")
        assert "spoken" in text(page, "#law")
        assert "=" in text(page, "#law")
        services = {
            str(worker.get_attribute("data-worker")).split("-")[0]
            for worker in page.query_selector_all("[data-worker]")
        }
        assert services >= {"asr", "llm", "tts", "ingest", "gateway", "avatar"}
        assert page.evaluate("document.documentElement.scrollWidth") == LAPTOP[0]
        assert page.evaluate("document.documentElement.scrollHeight") == LAPTOP[1]
        until(lambda: page.evaluate("onair.store.minutes.get('turns').length") >= 12)
        picture(page, "console", tmp_path)
        page.click(".letter .line")
        assert SCRIPT in text(page, ".letter pre").encode().decode("unicode_escape")
        assert page.evaluate("globalThis.broken") is None
        page.click(".letter .acts .stop")
        assert work.xlen(streams.DEAD) == 1, "the first click only asks"
        page.click(".letter .acts .stop")
        until(lambda: not work.xlen(streams.DEAD))
        until(lambda: not page.query_selector(".letter"))


def test_the_phone_has_it_all(browser: Browser, show: tuple[str, Path], tmp_path: Path) -> None:
    """No sideways scrolling; the kill switch stays in view; Chinese where it is asked for."""
    url, _ = show
    with opened(browser, url, PHONE, "zh-CN") as page:
        write(url, STORY, 3_000, "星尘邮差")
        until(lambda: text(page, "[data-room=demo] .said") and page.query_selector("[data-room=demo].is-on_air"))
        assert page.inner_text("#silence") == "全场静默"
        picture(page, "console-phone", tmp_path)
        assert page.evaluate("document.documentElement.scrollWidth") == PHONE[0]
        page.evaluate("scrollTo(0, document.documentElement.scrollHeight)")
        place: Any = page.locator("#silence").bounding_box()
        assert 0 <= place["y"] < 60
        page.click("#lang")
        assert page.inner_text("#silence") == "Silence all"
        page.click("[data-room=demo] .stop")
        until(lambda: not page.query_selector("[data-room=demo].is-on_air"))


def test_stop_now_ends_what_is_said(browser: Browser, show: tuple[str, Path]) -> None:
    """By the keyboard alone: it is quiet, the ledger says who stopped it, and the next one is answered."""
    url, _ = show
    with opened(browser, url) as page:
        cut, after = write(url, STORY, 5_000), write(url, "下一条", 3_000)
        until(lambda: state(page, cut) == "aired" and "灯塔" in text(page, "[data-room=demo] .said"))
        page.focus("[data-room=demo] .stop")
        page.keyboard.press("Enter")
        until(lambda: state(page, cut) == "failed")
        assert "stopped by an operator" in text(page, f'[data-id="{cut}"]')
        until(lambda: state(page, after) == "spoken")
        assert text(page, ".deed").startswith(time.strftime("%H:"))
        assert "stopped" in text(page, ".deed")
        assert "demo" in text(page, ".deed")


def test_the_kill_switch_silences_the_show(
    browser: Browser, show: tuple[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    """The listeners' page falls silent within a second; a restart obeys; what is paid meanwhile is answered afterwards."""
    url, data = show
    with opened(browser, url) as page, opened_show(browser, f"{url}/rooms/demo") as listener:
        cut = write(url, STORY, 5_000)
        until(lambda: "灯塔" in str(listener.evaluate("onair.scene.caption?.text ?? ''")))
        began = time.monotonic()
        page.click("#silence")
        until(lambda: not listener.evaluate("onair.scene.turn || onair.scene.caption"))
        took = time.monotonic() - began
        assert took < 1
        with capsys.disabled():
            print(f"\nthe kill switch: silence at the listeners' page after {took * 1_000:.0f} ms\n")  # noqa: T201  the figure
        page.wait_for_selector("#silenced")
        until(lambda: state(page, cut) == "failed")
        assert "kill switch" in text(page, f'[data-id="{cut}"]')
        for note in notes(data):
            if note["service"] in {"ingest", "llm", "tts"} and alive(note["pid"]):
                os.kill(note["pid"], signal.SIGKILL)
        kept = write(url, "静默时也收到了", 3_000)
        until(lambda: state(page, kept) == "received")
        until(lambda: page.evaluate("onair.store.data.rooms.every(({ director }) => director)"))
        heard = page.evaluate("onair.store.ticks")
        until(lambda: page.evaluate("onair.store.ticks") > heard + 3)
        assert state(page, kept) == "received"
        assert text(page, "[data-room=demo] .said") == "nothing is heard at this moment"
        go = page.locator("header .go")
        go.click()
        assert go.inner_text() == "Really go on?"
        go.click()
        until(lambda: not page.query_selector("#silenced"))
        until(lambda: state(page, kept) == "spoken")


def test_the_page_says_that_the_broker_is_gone(browser: Browser, show: tuple[str, Path]) -> None:
    """Within two seconds, with the age of what it still shows; when the broker is back, so is the page."""
    url, data = show
    pid = int(brokers(data)["work"].info("server")["process_id"])
    with opened(browser, url) as page:
        os.kill(pid, signal.SIGSTOP)
        began = time.monotonic()
        try:
            page.wait_for_selector("#down-work")
            assert time.monotonic() - began < 2
            assert page.query_selector("#broker-work.bad")
            assert page.query_selector("#broker-live.good")
            assert page.query_selector(".streams.stale [data-stream=turns]"), "what was known is still shown"
            shown = text(page, "#down-work")
            until(lambda: text(page, "#down-work") != shown)
            assert re.search(r"is \d+(\.\d)? s old", text(page, "#down-work"))
        finally:
            os.kill(pid, signal.SIGCONT)
        until(lambda: not page.query_selector("#down-work") and page.query_selector("#broker-work.good"))


def test_two_hundred_streams_do_not_make_it_stutter(
    browser: Browser, show: tuple[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    """Two hundred more streams and sessions: the ticks keep coming, and a click is answered between two of them."""
    url, data = show
    both = brokers(data)
    for number in range(100):
        for stream in (streams.SPEAK_CALL, streams.SPEAK_SHOW):
            both["work"].xgroup_create(stream.key(f"pool{number}"), stream.group, id="0", mkstream=True)
            both["work"].xadd(stream.key(f"pool{number}"), {"__data__": b"{}"})
    for number in range(200):
        _say(both["live"], f"chat-{number}")
    try:
        with opened(browser, url) as page:
            until(lambda: len(page.query_selector_all("[data-stream]")) >= 204)
            until(lambda: len(page.query_selector_all("[data-session]")) >= 200)
            page.evaluate("""() => { globalThis.gaps = []; let last = 0;
              const frame = (now) => { if (last) gaps.push(now - last); last = now; requestAnimationFrame(frame); };
              requestAnimationFrame(frame); }""")
            ticks, clicks = page.evaluate("onair.store.ticks"), 0
            while page.evaluate("onair.store.ticks") < ticks + 6:
                page.click(".check input")
                clicks += 1
            assert clicks >= 6
            gaps: list[float] = sorted(page.evaluate("gaps"))
            assert not page.query_selector("[id^=down-]")
    finally:
        both["work"].delete(
            *(streams.speak(f"pool{number}", kind) for number in range(100) for kind in ("call", "room"))
        )
        both["live"].delete(*(streams.SESSION.of(f"chat-{number}") for number in range(200)))
    with capsys.disabled():
        worst = f"p99 {gaps[int(0.99 * len(gaps))]:.0f} ms, worst {gaps[-1]:.0f} ms"
        print(f"\n200 streams in the browser: {clicks} clicks in 6 ticks, between two frames {worst}\n")  # noqa: T201


def test_a_report_is_asked_for_and_fetched(browser: Browser, show: tuple[str, Path]) -> None:
    """By the ledger's button; when its job is done it lies among the jobs, to be taken home."""
    url, _ = show
    job = {
        "id": "j1",
        "what": "report demo",
        "state": "finished",
        "asked_ms": 1,
        "began_ms": 2,
        "ended_ms": 3,
        "due_ms": 0,
    }
    seen = {
        "counts": dict.fromkeys(("queued", "started", "finished", "failed", "scheduled"), 1),
        "jobs": [{**job, "reason": "", "result": ""}],
        "workers": [{"name": "w", "state": "idle", "job": "", "seen_ms": 0}],
        "crons": 1,
    }
    asked: list[str] = []

    def reports(route: Route) -> None:
        asked.append(f"{route.request.method} {route.request.url.removeprefix(url)}")
        route.fulfill(status=202, json={"id": "j1"}) if route.request.method == "POST" else route.fulfill(body="<h1>")

    with opened(browser, url) as page:
        page.route("**/reports**", reports)
        page.route("**/api/reports/*", reports)
        page.evaluate("(jobs) => onair.store.event({ now_ms: Date.now(), jobs })", seen)
        page.click("text=Make a report")
        page.wait_for_selector(".toast.good")
        with page.expect_download() as download:
            page.click("[data-job=j1] .act")
        assert download.value.suggested_filename == "report-j1.html"
    assert asked == ["POST /api/rooms/demo/reports", "GET /api/reports/j1"]


def _say(live: Any, session: str) -> None:
    at = int(time.time() * 1_000)  # noqa: TID251  the test plays a gateway
    asked = TurnRequested(
        turn=session, no=1, session=session, epoch=0, kind="chat", ask=f"how is {session}", persona="friend",
        requested_ms=at, deadline_ms=at,
    )  # fmt: skip
    for message in (asked, TurnAired(turn=session, no=1, epoch=0)):
        live.xadd(streams.SESSION.of(session), {"t": message.type, "j": message.to_json()})


def test_the_page_asks_for_the_token(browser: Browser, show: tuple[str, Path]) -> None:
    """Where one is needed; it goes into a header, never into an address, and a wrong one is said to be."""
    url, _ = show
    addresses: list[str] = []

    def door(route: Route) -> None:
        addresses.append(route.request.url)
        if route.request.headers.get("authorization") == "Bearer right horse":
            route.continue_()
        else:
            route.fulfill(status=401, json={"code": "unauthorized", "detail": "send the operator's token"})

    context = browser.new_context(locale="en-GB")
    page = context.new_page()
    page.route("**/api/**", door)
    page.goto(f"{url}/console")
    for token in ("wrong horse", "right horse"):
        page.fill("#token", token)
        page.keyboard.press("Enter")
        if token.startswith("wrong"):
            page.wait_for_selector("text=That is not the token")
    page.wait_for_selector("[data-room=demo]")
    page.goto("about:blank")
    page.goto(f"{url}/console#token=right%20horse")
    page.wait_for_selector("[data-room=demo]")
    assert page.url == f"{url}/console"
    assert not [address for address in addresses if "horse" in address]
    context.close()
