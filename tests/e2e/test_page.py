"""The page of the show in a real browser: sound, captions, queue, restart, OBS, refresh."""

import base64
import gzip
import itertools
import json
import os
import signal
import socket
import struct
import time
import zlib
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, WebSocket, sync_playwright

from tests.e2e.test_up import alive, notes, post, up

ROOT = Path(__file__).parents[2]
CHROMIUM = Path("/usr/bin/chromium")
FLAGS = ["--no-sandbox", "--disable-background-networking"]
PLAYS = "--autoplay-policy=no-user-gesture-required"
PATIENCE_S = 60
LAPTOP, PHONE = (1440, 900), (390, 844)
PEOPLE = """
personas:
  host:
    language: zh
    voice: xiaoyi
    templates:
      danmaku: {ask: "{text}", say: "{content} {gpt}"}
      super_chat: {ask: "{message}", say: "谢谢{user}的醒目留言！{message} {gpt}"}
  friend: {language: zh, voice: xiaoyi}
voices: {xiaoyi: {engines: [{espeak: {voice: cmn, rate: 230}}]}}
"""
CONFIG = f"""{PEOPLE}
rooms: {{demo: {{persona: host, sources: [{{replay: {{path: RECORDING, once: true}}}}], director: {{deadlines: {{chat: 60s}}}}}}}}
"""
TAP = """() => {
  const { player, scene } = onair, tap = player.context.createScriptProcessor(1024, 1, 1);
  const told = (globalThis.heard = []);
  tap.onaudioprocess = ({ inputBuffer }) => {
    const wave = inputBuffer.getChannelData(0);
    const rms = Math.sqrt(wave.reduce((sum, x) => sum + x * x, 0) / wave.length);
    told.push({ rms, text: scene.caption?.text ?? '', turn: scene.turn?.turn ?? '' });
  };
  player.out.connect(tap).connect(player.context.destination);
}"""
PIXELS = """async (packed) => {
  const image = await createImageBitmap(await (await fetch(`data:image/png;base64,${packed}`)).blob());
  const paint = new OffscreenCanvas(image.width, image.height).getContext('2d');
  paint.drawImage(image, 0, 0);
  const { data } = paint.getImageData(0, 0, image.width, image.height);
  const read = new FileReader();
  const url = await new Promise((done) => { read.onload = () => done(read.result); read.readAsDataURL(new Blob([data])); });
  return [image.width, image.height, url.split(',')[1]];
}"""
COARSER = bytes(value & 0xFC for value in range(256))
PICTURE_BYTES = 400_000 if os.environ.get("ONAIR_PICTURES") else 1_000_000
pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.timeout(180)]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium that plays without a click. CI without it fails, a laptop skips."""
    if not CHROMIUM.exists():
        (pytest.fail if os.environ.get("CI") else pytest.skip)(f"{CHROMIUM} is missing: apt install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=[*FLAGS, PLAYS])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def show(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """A room that waits for comments: its address, the data folder."""
    folder = tmp_path_factory.mktemp("show")
    quiet = json.dumps({"t_ms": 0, "platform": "bilibili", "frame": '{"cmd":"LIVE","roomid":1}'})
    (folder / "quiet.jsonl.gz").write_bytes(gzip.compress(quiet.encode()))
    config = folder / "onair.yaml"
    config.write_text(CONFIG.replace("RECORDING", str(folder / "quiet.jsonl.gz")), encoding="utf-8")
    data = folder / "data"
    data.mkdir()
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = str(probe.getsockname()[1])  # a fixed one: a gateway that starts again comes back there
    with up(data, "--config", str(config), "--port", port) as (_, url):
        yield url, data


@contextmanager
def opened(browser: Browser, url: str, size: tuple[int, int] = LAPTOP, locale: str = "zh-CN") -> Generator[Page]:
    """A page that has joined the show; whatever goes wrong in it fails the test."""
    context = browser.new_context(viewport={"width": size[0], "height": size[1]}, locale=locale)
    page = context.new_page()
    wrong: list[str] = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.goto(url)
    until(lambda: page.evaluate("onair.show.link") == "live")
    yield page
    context.close()
    assert wrong == []


def until(holds: Callable[[], object]) -> None:
    """Look again until it holds; fails after a long while."""
    end = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < end, "it did not come"
        time.sleep(0.05)


def write(url: str, text: str, amount_fen: int = 0, viewer: str = "小明") -> str:
    body: dict[str, object] = {"kind": "super_chat" if amount_fen else "danmaku", "text": text, "viewer": viewer}
    told = json.loads(post(f"{url}/api/rooms/demo/events", {**body, "amount_fen": amount_fen}))
    assert told["new"]
    return str(told["id"])


def state(page: Page, name: str) -> str:
    return str(page.evaluate("(id) => onair.show.cards.get(id)?.state ?? ''", name))


def picture(page: Page, name: str, tmp_path: Path, *, clear: bool = False) -> bytes:
    """A screenshot; kept under docs/pictures where ONAIR_PICTURES is set."""
    folder = ROOT / "docs" / "pictures" if os.environ.get("ONAIR_PICTURES") else tmp_path
    folder.mkdir(parents=True, exist_ok=True)
    page.wait_for_timeout(400)
    body = page.screenshot(omit_background=clear)
    kept = lighter(page, body, clear=clear) if os.environ.get("ONAIR_PICTURES") else body
    assert len(kept) < PICTURE_BYTES
    (folder / f"{name}.png").write_bytes(kept)
    return body


def lighter(page: Page, png: bytes, *, clear: bool) -> bytes:
    """The same picture without the noise of its gradients, which is most of its size."""
    browser = page.context.browser
    assert browser
    plain = browser.new_page()
    width, height, packed = plain.evaluate(PIXELS, base64.b64encode(png).decode())
    plain.close()
    pixels = base64.b64decode(packed)
    depth = 4 if clear else 3
    colours = bytearray(width * height * depth)
    for channel in range(depth):
        values = pixels[channel::4]
        colours[channel::depth] = values if channel == 3 else values.translate(COARSER)
    rows = (b"\0" + colours[at : at + width * depth] for at in range(0, len(colours), width * depth))
    head = struct.pack(">IIBBBBB", width, height, 8, 6 if clear else 2, 0, 0, 0)
    parts = ((b"IHDR", head), (b"IDAT", zlib.compress(b"".join(rows), 9)), (b"IEND", b""))
    chunks = (struct.pack(">I", len(b)) + k + b + struct.pack(">I", zlib.crc32(k + b)) for k, b in parts)
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def corner(png: bytes) -> tuple[int, ...]:
    """The first pixel, as red, green, blue, alpha; no PNG filter changes it."""
    packed, at = b"", 8
    while at < len(png):
        length, kind = struct.unpack_from(">I4s", png, at)
        packed += png[at + 8 : at + 8 + length] if kind == b"IDAT" else b""
        at += length + 12
    assert png[25] == 6, "with alpha"
    return tuple(zlib.decompress(packed)[1:5])


def test_a_comment_is_shown_and_answered_aloud(browser: Browser, show: tuple[str, Path], tmp_path: Path) -> None:
    """Written into the page's box, answered; sound is heard while its captions stand, and only then."""
    url, _ = show
    with opened(browser, f"{url}/") as page:
        page.evaluate(TAP)
        page.fill("#name", "阿橘")
        page.fill("#text", "主播你好，今天想聊什么呢？")
        page.click("#send")
        page.wait_for_selector(".item .what >> text=今天想聊什么呢")
        until(lambda: page.evaluate("onair.scene.caption?.text"))
        write(url, "生日快乐！想听一句祝福🎂", 10_000, "不加香菜")
        for text in ("这首歌叫什么名字？", "Good evening from Berlin!"):
            write(url, text, viewer="TinyTeapot")
        until(lambda: "祝福" in page.evaluate("onair.scene.caption?.text ?? ''"))
        picture(page, "laptop", tmp_path)
        until(lambda: page.query_selector(".over .answered"))
        until(lambda: page.evaluate("onair.show.lanes().live.length") == 0 and not page.evaluate("onair.scene.turn"))
        heard: list[dict[str, Any]] = page.evaluate("heard")
    loud = [frame for frame in heard if frame["rms"] > 0.01]
    texts = [text for text, _ in itertools.groupby(frame["text"] for frame in loud) if text]
    assert len(loud) * 1_024 / 48_000 > 3, "seconds of sound"
    assert sum(bool(frame["text"]) for frame in loud) > 0.95 * len(loud), "no sound without its caption"
    assert {"主播你好，今天想聊什么呢？", "生日快乐！想听一句祝福🎂"} <= {text.strip() for text in texts}
    assert max(frame["rms"] for frame in heard if not frame["turn"]) < 0.3
    assert any(frame["rms"] == 0 for frame in heard), "quiet before and after"


def test_the_phone_has_it_all(browser: Browser, show: tuple[str, Path], tmp_path: Path) -> None:
    """No sideways scrolling; the box, the queue and the caption are in view; English where it is asked for."""
    url, _ = show
    with opened(browser, f"{url}/rooms/demo", PHONE, "en-GB") as page:
        write(url, "晚上好呀，主播唱首歌吧，我们都想听", 3_000, "星尘邮差")
        write(url, "今天直播到几点？", viewer="面包会飞")
        until(lambda: page.evaluate("onair.scene.caption?.text"))
        assert page.evaluate("document.documentElement.scrollWidth") == PHONE[0]
        for part in ("#text", "#send", "#caption", ".queue"):
            place: Any = page.locator(part).bounding_box()
            assert 0 <= place["x"] <= place["x"] + place["width"] <= PHONE[0]
            assert 0 <= place["y"] <= place["y"] + place["height"] <= PHONE[1]
        assert page.inner_text("#send") == "Send"
        page.click("#lang")
        assert page.inner_text("#send") == "发送"
        picture(page, "phone", tmp_path)
        until(lambda: page.evaluate("onair.show.lanes().live.length") == 0)


def test_obs_gets_the_host_and_captions_alone(browser: Browser, show: tuple[str, Path], tmp_path: Path) -> None:
    """Transparent, without controls."""
    url, _ = show
    with opened(browser, f"{url}/rooms/demo?obs=1", (1280, 720)) as page:
        write(url, "给直播画面打个招呼吧！", viewer="导播")
        until(lambda: page.evaluate("onair.scene.caption?.text"))
        grounds = "['html', 'body', 'main'].map((n) => getComputedStyle(document.querySelector(n)).backgroundColor)"
        assert page.evaluate(grounds) == ["rgba(0, 0, 0, 0)"] * 3
        assert page.query_selector("button, form, header, .queue, .cause") is None
        assert page.query_selector(".host svg")
        assert corner(picture(page, "obs", tmp_path, clear=True))[3] == 0
        until(lambda: page.evaluate("onair.show.lanes().live.length") == 0)


def test_a_refresh_in_mid_sentence_has_no_stale_tail(browser: Browser, show: tuple[str, Path]) -> None:
    """The page hears what is still ahead, each sample once, nothing that lies behind."""
    url, _ = show
    frames: list[str | bytes] = []

    def keep(frame: str | bytes) -> None:
        frames.append(frame)

    def listen(link: WebSocket) -> None:
        frames.clear()
        link.on("framereceived", keep)

    with opened(browser, f"{url}/rooms/demo") as page:
        page.on("websocket", listen)
        write(url, "请慢慢地讲一个长一点的故事给我们听，讲讲海边的灯塔和一只小猫，好不好呀？")
        until(lambda: "海边的灯塔" in page.evaluate("onair.scene.caption?.text ?? ''"))
        page.reload()
        until(lambda: page.evaluate("onair.show.link") == "live")
        assert page.evaluate("onair.scene.turn || onair.show.turns.size")
        page.evaluate(TAP)
        until(lambda: page.evaluate("heard.some(({ rms }) => rms > 0.01)"))
        until(lambda: not page.evaluate("onair.scene.turn"))
        until(lambda: page.evaluate("heard.slice(-10).every(({ rms }) => rms === 0)"))
    present: dict[str, Any] = next(event for event in map(json.loads, texts(frames)) if event["type"] == "present")
    sounds = [header(frame) for frame in frames if isinstance(frame, bytes)]
    assert sounds
    assert min(sound["at_ms"] for sound in sounds) >= present["now_ms"] - 1
    for one, two in itertools.pairwise(sounds):
        assert two["at_ms"] >= one["at_ms"] + one["samples"] / 24 - 1, "nothing twice"
    first = sounds[0]
    assert first["index"] or first["offset"], "the beginning is not said again"


def texts(frames: list[str | bytes]) -> list[str]:
    return [frame for frame in frames if isinstance(frame, str)]


def header(frame: bytes) -> dict[str, Any]:
    """The header of a sound, with its length in samples."""
    length = int.from_bytes(frame[:4], "big")
    return {**json.loads(frame[4 : 4 + length]), "samples": (len(frame) - 4 - length) // 2}


def test_the_page_survives_a_restart_of_the_gateway(browser: Browser, show: tuple[str, Path]) -> None:
    """It says that the connection is lost, joins again by itself, and shows the next answer."""
    url, data = show
    with opened(browser, f"{url}/rooms/demo") as page:
        (pid,) = [note["pid"] for note in notes(data) if note["service"] == "gateway" and alive(note["pid"])]
        os.kill(pid, signal.SIGKILL)
        until(lambda: page.evaluate("onair.show.link") == "lost")
        page.wait_for_selector(".trouble")
        until(lambda: page.evaluate("onair.show.link") == "live")
        name = write(url, "网关回来了吗？")
        until(lambda: "网关回来了吗" in page.evaluate("onair.scene.caption?.text ?? ''"))
        until(lambda: state(page, name) == "answered")


def test_sound_begins_with_a_click_where_the_browser_wants_one(show: tuple[str, Path], browser: Browser) -> None:
    """A clear button; after it the voice is heard, before it the captions run all the same."""
    url, _ = show
    strict = browser.browser_type.launch(executable_path=str(CHROMIUM), args=FLAGS)
    try:
        with opened(strict, f"{url}/rooms/demo") as page:
            write(url, "听得见吗？今天的声音怎么样呢？")
            until(lambda: page.evaluate("onair.scene.caption?.text"))
            assert not page.evaluate("onair.player.on")
            page.click("#sound")
            until(lambda: page.evaluate("onair.player.on"))
            assert page.query_selector("#sound") is None
            page.evaluate(TAP)
            until(lambda: page.evaluate("heard.some(({ rms }) => rms > 0.01)"))
    finally:
        strict.close()
