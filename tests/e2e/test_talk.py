"""The page of a voice call in a real browser, with a gateway of which the test says every word."""

import random
import struct
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, Playwright, sync_playwright

from tests.e2e.exchange import Exchange, exchange
from tests.e2e.test_page import CHROMIUM, FLAGS, LAPTOP, PHONE, until

TURN = "call-x-1"
MIC = "--use-fake-device-for-media-stream"
TAP = """() => {
  const { context, node } = onair.desk.player, tap = context.createScriptProcessor(4096, 1, 1);
  globalThis.played = [];
  tap.onaudioprocess = ({ inputBuffer }) => { for (const x of inputBuffer.getChannelData(0)) if (x) played.push(Math.round(x * 32768)); };
  node.connect(tap).connect(context.destination);
}"""
REEL = """async ([seed, rounds]) => {
  const { Reel } = await import('/web/talk-sound.js');
  let at = seed;
  const dice = (n) => ((at = (at * 48271) % 2147483647) >> 8) % n;
  const reel = new Reel(300), put = [], out = [], places = [], indices = new Set();
  for (let n = 0, index = 0, from = 0; n < rounds || reel.queued; n++) {
    if (n < rounds && dice(3) === 0) {
      if (dice(4) === 0) { index++; from = 0; }
      const pcm = Float32Array.from({ length: 1 + dice(700) }, () => put.push(put.length + 1) && put.length);
      indices.add(index);
      reel.put({ turn: 't', index, from, pcm });
      from += pcm.length;
    }
    reel.paused = n < rounds && dice(5) === 0;
    const block = new Float32Array(128);
    places.push(...reel.fill(block));
    out.push(...block.filter(Boolean));
  }
  return { same: String(out) === String(put), count: put.length, left: places.map(({ index }) => index), indices: [...indices] };
}"""
RESAMPLE = """async ([rate, hertz, block]) => {
  const { Resampler } = await import('/web/talk-sound.js');
  const sampler = new Resampler(rate, 16000), out = [];
  const wave = Float32Array.from({ length: rate / 2 }, (_, n) => Math.sin(2 * Math.PI * hertz * n / rate));
  for (let at = 0; at < wave.length; at += block) out.push(...sampler.push(wave.subarray(at, at + block)));
  const middle = out.slice(800, 7200);
  return { count: out.length, rms: Math.sqrt(middle.reduce((sum, x) => sum + x * x, 0) / middle.length), out: out.slice(1000, 1100) };
}"""
pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.timeout(180)]


@pytest.fixture(scope="module")
def playwright() -> Iterator[Playwright]:
    if not CHROMIUM.exists():
        pytest.skip(f"{CHROMIUM} is missing: apt install chromium")
    with sync_playwright() as running:
        yield running


@pytest.fixture(scope="module")
def browser(playwright: Playwright) -> Iterator[Browser]:
    """Chromium with a microphone that beeps; who may use it is decided for each page."""
    browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=[*FLAGS, MIC])
    yield browser
    browser.close()


@pytest.fixture
def gateway() -> Iterator[tuple[Exchange, str]]:
    with exchange() as held:
        yield held


@contextmanager
def opened(
    browser: Browser, url: str, *, mic: bool = True, size: tuple[int, int] = LAPTOP, locale: str = "zh-CN"
) -> Generator[Page]:
    """The page before anything is pressed; whatever goes wrong in it fails the test."""
    context = browser.new_context(
        viewport={"width": size[0], "height": size[1]}, locale=locale, color_scheme="dark",
        permissions=["microphone"] if mic else [],
    )  # fmt: skip
    page = context.new_page()
    wrong: list[str] = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.goto(f"{url}/talk")
    page.wait_for_selector("#text")
    yield page
    context.close()
    assert wrong == []


def called(page: Page, gateway: Exchange) -> None:
    """A call with a microphone has begun; what is played is kept."""
    page.click("#start")
    until(lambda: gateway.calls and gateway.call.sound)
    page.evaluate(TAP)


def state(page: Page) -> str:
    return str(page.get_attribute("#state", "data-state"))


def noise(seed: int, seconds: float) -> bytes:
    """Samples none of which is 0."""
    dice = random.Random(seed)
    return b"".join(struct.pack("<h", dice.randint(1, 3_000)) for _ in range(int(24_000 * seconds)))


def values(pcm: bytes) -> list[int]:
    return [sample for (sample,) in struct.iter_unpack("<h", pcm)]


def played(page: Page) -> list[int]:
    return list(page.evaluate("played"))


def fits(page: Page) -> None:
    """A call on the phone: nothing scrolls sideways, all controls and the caption are in view."""
    assert page.evaluate("document.documentElement.scrollWidth") == PHONE[0]
    for part in ("#text", "#send", "#mute", "#stop", "#hang", "#caption", "#lang"):
        place: Any = page.locator(part).bounding_box()
        assert 0 <= place["x"] <= place["x"] + place["width"] <= PHONE[0]
        assert 0 <= place["y"] <= place["y"] + place["height"] <= PHONE[1]


def asked(gateway: Exchange, turn: str = TURN, text: str = "今天天气怎么样？") -> None:
    gateway.tell("SentenceRecognized", sentence=text, turn=turn, took_ms=120)


def test_a_persona_that_speaks_first(browser: Browser, gateway: tuple[Exchange, str]) -> None:
    """The page lets it; its answer stands alone, as nobody's reply."""
    held, url = gateway
    with opened(browser, url) as page:
        called(page, held)
        assert any(config.get("opening") for config in held.call.events("BotUpdateConfig"))
        asked(held, text="")
        held.sentence(TURN, 0, "How was your day?", noise(1, 0.5))
        until(lambda: "How was your day?" in page.inner_text("#lines"))
        assert page.locator("#lines > li").count() == 1


@pytest.mark.parametrize("seed", range(5))
def test_a_player_loses_no_sample(browser: Browser, gateway: tuple[Exchange, str], seed: int) -> None:
    """Whatever comes when, and however often it is paused: each sample once, in order."""
    with opened(browser, gateway[1]) as page:
        told: dict[str, Any] = page.evaluate(REEL, [seed + 1, 400])
    assert told["same"]
    assert told["count"] > 10_000
    assert told["left"] == told["indices"][:-1], "each sentence's end is told"


@pytest.mark.parametrize("rate", [48_000, 44_100, 22_050, 16_000])
def test_a_microphone_of_any_rate_is_heard_at_16_kilohertz(
    browser: Browser, gateway: tuple[Exchange, str], rate: int
) -> None:
    """A tone of the voice stays, one that 16 kHz cannot hold is gone; the blocks' size changes nothing."""
    with opened(browser, gateway[1]) as page:
        one, other = (page.evaluate(RESAMPLE, [rate, 1_000, block]) for block in (128, 977))
        high = page.evaluate(RESAMPLE, [rate, 10_000, 128]) if rate > 20_000 else {"rms": 0}
    assert one["out"] == other["out"]
    assert one["count"] == pytest.approx(8_000, abs=40)
    assert one["rms"] == pytest.approx(0.5**0.5, rel=0.01)
    assert high["rms"] < 0.01


def test_an_answer_is_played_sample_for_sample(browser: Browser, gateway: tuple[Exchange, str]) -> None:
    """All of it once, over a pause; its captions stand while it is heard; what was heard is told."""
    held, url = gateway
    first, second = noise(1, 1.5), noise(2, 1.5)
    with opened(browser, url) as page:
        called(page, held)
        until(lambda: state(page) in {"listening", "hearing"})
        assert {len(frame) for frame in held.call.sound} == {1_024}
        asked(held)
        until(lambda: state(page) == "thinking")
        held.sentence(TURN, 0, "今天是个晴天，适合出门走走。", first)
        held.sentence(TURN, 1, "不过晚上会凉，记得带一件外套。", second)
        until(lambda: "晴天" in page.inner_text("#caption"))
        assert "外套" not in page.inner_text("#lines"), "not before it is heard"
        held.tell("PlaybackPause")
        until(lambda: state(page) == "paused" and page.evaluate("onair.desk.player.state") == "paused")
        at = held.call.events("PlaybackMark")[-1]
        held.tell("PlaybackResume")
        until(lambda: "外套" in page.inner_text("#caption"))
        latency = {"recognised_ms": 120, "first_sentence_ms": 210, "first_audio_ms": 80, "total_ms": 410}
        held.tell("TTSDone", turn=TURN, latency=latency)
        until(lambda: state(page) in {"listening", "hearing"})
        until(lambda: len(played(page)) == len(first + second) // 2)
        assert played(page) == values(first + second)
        assert "410" in page.inner_text(".wait")
    marks = held.call.events("PlaybackMark")
    places = [(mark["sentence"], mark["played_ms"]) for mark in marks]
    assert places == sorted(places)
    assert {(0, 1_500), (1, 1_500)} <= set(places)
    assert at["played_ms"] < 1_500
    assert held.call.requests[0]["payload"] == {"audio": "stream", "interrupt": True}


def test_nothing_old_is_heard_after_an_interruption(browser: Browser, gateway: tuple[Exchange, str]) -> None:
    """PlaybackStop and the stop key silence the turn for good; the next one is heard whole."""
    held, url = gateway
    old, new = noise(1, 3), noise(2, 0.5)
    with opened(browser, url) as page:
        called(page, held)
        for number, stop in enumerate(("server", "Escape")):
            asked(held, f"call-x-{number}", f"问题 {number}")
            held.sentence(f"call-x-{number}", 0, "一个很长的回答。", old)
            until(lambda: state(page) == "speaking" and len(played(page)) > 4_096)
            if stop == "server":
                held.tell("PlaybackStop", turn=f"call-x-{number}")
            else:
                page.keyboard.press(stop)
                until(lambda: held.call.events("StopSpeaking"))
            until(lambda: page.evaluate("onair.desk.player.state") == "empty")
            held.play(old)  # was on its way
            held.tell("TTSDone", turn=f"call-x-{number}", latency={})
        asked(held, "call-x-9", "那天气呢？")
        held.sentence("call-x-9", 0, "晴天。", new)
        held.tell("TTSDone", turn="call-x-9", latency={})
        until(lambda: page.evaluate("onair.desk.call.host('call-x-9')?.wait ?? null") is not None)
        until(lambda: state(page) in {"listening", "hearing"})
        until(lambda: played(page)[-len(new) // 2 :] == values(new))
        heard = played(page)[: -len(new) // 2]
        assert len(heard) < len(old) // 2 * 2 - 4_800
        assert "被打断" in page.inner_text("#lines")


def test_the_conversation_keeps_what_was_heard(browser: Browser, gateway: tuple[Exchange, str]) -> None:
    """An interruption marks the answer that it cut off and no earlier one; what nobody heard of it is never shown."""
    held, url = gateway
    with opened(browser, url, locale="en-GB") as page:
        called(page, held)
        for number, texts in enumerate((["One.", "Two."], ["Three.", "Four.", "Five."], ["Six."])):
            asked(held, f"call-x-{number}", f"question {number}")
            for index, text in enumerate(texts):
                held.sentence(f"call-x-{number}", index, text, noise(index, 0.5 if number != 1 else 2))
            if number == 1:
                until(lambda: "Four." in page.inner_text("#lines"))
                page.keyboard.press("Escape")
            held.tell("TTSDone", turn=f"call-x-{number}", latency={})
            until(lambda: state(page) in {"listening", "hearing"})
        until(lambda: "Six." in page.inner_text("#lines"))
        lines = page.locator("#lines .host p").all_inner_texts()
    assert [" ".join(line.split()) for line in lines] == ["One. Two.", "Three. Four. interrupted", "Six."]


def test_a_cut_connection_goes_on_at_the_sample(browser: Browser, gateway: tuple[Exchange, str]) -> None:
    """The page comes back by itself with the place up to which it was sent sound; each sample is heard once."""
    held, url = gateway
    pcm = noise(1, 2)
    with opened(browser, url) as page:
        called(page, held)
        asked(held)
        held.tell("TTSSentenceStart", sentence="一句话。", turn=TURN, index=0, rate=24_000, from_sample=0)
        held.play(pcm[:48_000])
        until(lambda: state(page) == "speaking" and page.evaluate("onair.desk.call.resume()") == f"{TURN}:0:24000")
        held.cut(1012)
        until(lambda: len(held.calls) == 2)
        assert held.call.query["resume"] == f"{TURN}:0:24000"
        assert held.call.query["sid"] == held.calls[0].query["sid"]
        until(lambda: held.call.requests)
        held.tell("TTSSentenceStart", sentence="一句话。", turn=TURN, index=0, rate=24_000, from_sample=20_000)
        held.play(pcm[40_000:])
        held.tell("TTSSentenceEnd", turn=TURN, index=0, samples=48_000)
        held.tell("TTSDone", turn=TURN, latency={})
        until(lambda: len(played(page)) >= 48_000)
        assert played(page) == values(pcm)
        until(lambda: len(held.call.sound) > 3)


@pytest.mark.parametrize(("allowed", "why"), [(False, "denied"), (True, "none")])
def test_a_call_without_a_microphone_is_typed(
    playwright: Playwright, browser: Browser, gateway: tuple[Exchange, str], why: str, *, allowed: bool
) -> None:
    """The page says why there is none; what is typed is answered aloud."""
    held, url = gateway
    bare = playwright.chromium.launch(executable_path=str(CHROMIUM), args=FLAGS) if allowed else browser
    with opened(bare, url, mic=allowed, locale="en-GB") as page:
        page.click("#start")
        until(lambda: page.evaluate("onair.desk.mic.why") == why)
        assert "you can type" in page.inner_text("#trouble-mic")
        until(lambda: state(page) == "ready")
        page.evaluate(TAP)
        page.fill("#text", "hello")
        page.keyboard.press("Enter")
        until(lambda: held.call.events("TextInput") == [{"text": "hello"}])
        asked(held, TURN, "hello")
        held.sentence(TURN, 0, "Hi!", pcm := noise(1, 0.5))
        until(lambda: played(page) == values(pcm))
        assert page.locator("#lines .you").count() == 1
        assert not held.call.sound
    if allowed:
        bare.close()


def test_a_wrong_token_is_asked_for_again(browser: Browser) -> None:
    """Nothing works before the right one is entered; it opens the call by a ticket, not by the address."""
    with exchange("secret") as (held, url):
        context = browser.new_context(permissions=["microphone"], locale="en-GB")
        page = context.new_page()
        page.goto(f"{url}/talk")
        page.fill("#token", "wrong")
        page.keyboard.press("Enter")
        page.wait_for_selector("text=That is not the token")
        page.fill("#token", "secret")
        page.keyboard.press("Enter")
        page.click("#start")
        until(lambda: held.calls)
        assert set(held.call.query) == {"sid", "ticket"}
        context.close()


@pytest.mark.parametrize(
    ("code", "said"),
    [(4409, "another page"), (1008, "a reason"), (1007, "does not understand"), (1013, "busy")],
)
def test_a_closed_call_says_why(browser: Browser, code: int, said: str) -> None:
    """In words; what comes to an end for good offers a button, what does not comes back by itself."""
    with exchange() as (held, url), opened(browser, url, locale="en-GB") as page:
        called(page, held)
        held.closing = code
        held.cut(code)
        until(lambda: said in page.inner_text(".trouble"))
        held.closing = 0
        if code != 1013:
            page.click("#start")
        until(lambda: len(held.calls) == 2 and state(page) in {"listening", "hearing"})


def test_the_phone_and_the_keyboard(browser: Browser, gateway: tuple[Exchange, str]) -> None:
    """Nothing scrolls sideways, all controls are in view and have names; a whole call needs no pointer."""
    held, url = gateway
    with opened(browser, url, size=PHONE, locale="en-GB") as page:
        for _ in range(20):
            page.keyboard.press("Tab")
            if page.evaluate("document.activeElement.id") == "start":
                break
        page.keyboard.press("Space")
        until(lambda: held.calls and held.call.sound)
        asked(held, TURN, "How is the weather today?")
        held.tell(
            "TTSSentenceStart", sentence="Sunny, with a light wind.", turn=TURN, index=0, rate=24_000, from_sample=0
        )
        held.play(noise(1, 3))
        until(lambda: "Sunny" in page.inner_text("#caption"))
        fits(page)
        page.focus("#mute")
        page.keyboard.press("Space")
        until(lambda: page.get_attribute("#mute", "aria-pressed") == "true")
        assert page.get_attribute("#lines", "role") == "log"
        nameless = (
            "[...document.querySelectorAll('button, input')].filter((e) => !(e.innerText.trim() || e.ariaLabel)).length"
        )
        assert page.evaluate(nameless) == 0
        page.keyboard.press("Escape")
        until(lambda: held.call.events("StopSpeaking"))
        page.focus("#choices-open")
        page.keyboard.press("Enter")
        page.select_option("#persona", "friend")
        until(lambda: held.call.events("BotUpdateConfig")[-1].get("persona") == "friend")
        page.click("#choices-close")
        page.focus("#hang")
        page.keyboard.press("Enter")
        until(lambda: state(page) == "off")
