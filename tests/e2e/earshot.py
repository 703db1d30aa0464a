"""Beside the call's page: what its loudspeaker plays and its microphone hears, to the sample, and who speaks into it."""

import base64
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from playwright.sync_api import Browser, Page, Playwright, WebSocket

from services.asr.adapters.soxr import resample
from services.contract.tts import AIR_RATE
from services.gateway.core.call_words import HEARD_RATE
from services.runtime import sound
from tests import waiting
from tests.asr.speech import silence, speech
from tests.caller import Heard, heard
from tests.e2e.house import House
from tests.e2e.test_page import CHROMIUM, FLAGS, LAPTOP

PATIENCE_S = 60
CAPTURE_RATE = 48_000
"""Of the file that is the browser's microphone."""
WORKLET = """
class Ear extends AudioWorkletProcessor {
  process([[out], [voice]]) {
    if (out && out.some(Boolean)) this.port.postMessage({ at: currentFrame, pcm: Int16Array.from(out, (x) => Math.round(x * 32768)) });
    if (voice) this.port.postMessage({ at: currentFrame, peak: Math.max(...voice) });
    return true;
  }
}
registerProcessor('ear', Ear);
"""
EAR = """async ([worklet, quiet]) => {
  const { player } = onair.desk, { context, node } = player, { told } = player.on;
  await context.audioWorklet.addModule(URL.createObjectURL(new Blob([worklet], { type: 'text/javascript' })));
  const tap = new AudioWorkletNode(context, 'ear', { numberOfInputs: 2 });
  globalThis.ear = { tap, blocks: [], states: [], captions: [], source: null, listened: null, voiced: null };
  tap.port.onmessage = ({ data }) => {
    if (data.pcm) ear.blocks.push(data);
    else if (data.peak < quiet) ear.listened ??= data.at;
    else ear.voiced ??= data.at;
  };
  player.on.told = (it, before) => { ear.states.push({ state: it.state, at: Math.round(it.time * context.sampleRate) }); told(it, before); };
  const look = () => {
    const now = document.querySelector('#caption.said')?.textContent ?? '';
    if (now !== (ear.captions.at(-1)?.text ?? '')) ear.captions.push({ text: now, at: Math.round(context.currentTime * context.sampleRate) });
  };
  new MutationObserver(look).observe(document.querySelector('main'), { subtree: true, childList: true, characterData: true, attributes: true });
  node.connect(tap).connect(context.destination);
}"""
LISTEN = """() => {
  ear.source?.disconnect();
  ear.listened = ear.voiced = null;
  ear.source = onair.desk.player.context.createMediaStreamSource(onair.desk.mic.stream);
  ear.source.connect(ear.tap, 0, 1);
}"""
TOLD = """() => ({
  at: ear.blocks.map(({ at }) => at), listened: ear.listened ?? -1, voiced: ear.voiced ?? -1, states: ear.states, captions: ear.captions,
  pcm: btoa(ear.blocks.map(({ pcm }) => String.fromCharCode(...new Uint8Array(pcm.buffer))).join('')),
})"""
FOCUS = """() => {
  const { id, tagName } = document.activeElement, { outlineStyle, outlineWidth } = getComputedStyle(document.activeElement);
  return [id, tagName === 'BODY' || (outlineStyle !== 'none' && outlineWidth !== '0px')];
}"""
VOICED = 0.02
"""A part of full scale that the microphone's silence does not reach."""
Ints = npt.NDArray[np.int64]


def sounding(pcm: bytes) -> Ints:
    """Its samples that are not 0: what comes late is preceded by more silence, and by nothing else."""
    samples = sound.samples(pcm)
    return samples[samples != 0].astype(np.int64)


@dataclass(frozen=True)
class Ear:
    """What was heard beside the page so far. Places are samples on the loudspeaker's clock."""

    at: Ints
    """The place of each sample that was not 0."""
    pcm: Ints
    """These samples."""
    listened: int
    """Since when the microphone was listened to and silent, after it was turned on last; -1: never."""
    voiced: int
    """Where it had a voice first; -1: nowhere."""
    states: list[dict[str, Any]]
    """Of the player, by its own word."""
    captions: list[dict[str, Any]]
    """What stood under the shape, and since when."""

    def gap(self) -> float:
        """The longest silence between two samples, in seconds."""
        return float(np.diff(self.at).max()) / AIR_RATE


@contextmanager
def chromium(playwright: Playwright, microphone: Path) -> Generator[Browser]:
    """A browser whose microphone is that file; it reads it anew each time the microphone is turned on."""
    flags = ("--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream")
    fed = f"--use-file-for-fake-audio-capture={microphone}%noloop"
    browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=[*FLAGS, *flags, fed])
    yield browser
    browser.close()


@dataclass
class Talker:
    """Who has the page before him."""

    page: Page
    house: House
    microphone: Path
    frames: list[Heard] = field(default_factory=list[Heard])
    """What the gateways sent, all connections together."""
    sockets: list[WebSocket] = field(default_factory=list[WebSocket])

    @property
    def state(self) -> str:
        return str(self.page.get_attribute("#state", "data-state"))

    @property
    def sid(self) -> str:
        return str(self.page.evaluate("sessionStorage.getItem('onair.sid')"))

    @property
    def lines(self) -> str:
        return self.page.inner_text("#lines")

    @property
    def caption(self) -> str:
        return self.page.inner_text("#caption")

    def until(self, holds: Callable[[], object]) -> float:
        """Look again until it holds; the seconds it took."""

        def look() -> object:
            self.page.evaluate("0")  # what the browser has told meanwhile comes with an answer
            return holds()

        return waiting.until(look, PATIENCE_S, self.tell)

    def tell(self) -> str:
        """How it stands."""
        trouble = self.page.inner_text(".trouble")
        return f"{self.state}: {trouble} {self.lines} {[frame.event for frame in self.frames[-20:]]}"

    def called(self) -> None:
        """The call has begun; from now on all is heard."""
        self.until(lambda: self.page.evaluate("onair.desk.player.node && onair.desk.mic.live && onair.desk.link.live"))
        self.page.evaluate(EAR, [WORKLET, VOICED])

    def lay(self, text: str, voice: str, lead_ms: int = 400) -> bytes:
        """Who turns the microphone on says this, and it is understood; what is said, at 16 kHz."""
        pcm = self.house.do(speech(text, voice))
        whole = resample(silence(lead_ms) + pcm + silence(1_000), HEARD_RATE, CAPTURE_RATE)
        self.microphone.write_bytes(sound.write_wav(whole, CAPTURE_RATE))
        self.house.upstream.transcript = text
        return pcm

    def say(self, text: str, voice: str, lead_ms: int = 400) -> bytes:
        """Turn the microphone off, and on again with this before it."""
        pcm = self.lay(text, voice, lead_ms)
        self.page.evaluate("onair.desk.mic.stop(); onair.desk.changed()")
        self.page.focus("#mic")
        self.page.keyboard.press("Enter")
        self.until(lambda: self.page.evaluate("onair.desk.mic.live"))
        self.page.evaluate(LISTEN)
        return pcm

    def tab(self, name: str) -> None:
        """Go to that part by the tabulator alone; who is there, and on the way, sees where he is."""
        for _ in range(30):
            self.page.keyboard.press("Tab")
            place, seen = self.page.evaluate(FOCUS)
            assert seen, f"nothing shows that the focus is on {place}"
            if place == name:
                return
        pytest.fail(f"no way leads to {name}")

    def ear(self) -> Ear:
        """What was heard so far."""
        told = self.page.evaluate(TOLD)
        pcm = sound.samples(base64.b64decode(told["pcm"])).astype(np.int64)
        places = np.array(told["at"], np.int64)
        block = len(pcm) // max(1, len(places))
        at = (places[:, None] + np.arange(block)).ravel()
        return Ear(at[pcm != 0], pcm[pcm != 0], told["listened"], told["voiced"], told["states"], told["captions"])

    def events(self, name: str) -> list[dict[str, Any]]:
        """Payloads of the events of that name."""
        return [frame.payload for frame in self.frames if frame.event == name]

    def over(self) -> bool:
        """Whether all was answered and heard."""
        return self.state in {"listening", "hearing", "muted", "ready"}


@contextmanager
def talker(
    browser: Browser, house: House, microphone: Path, size: tuple[int, int] = LAPTOP, locale: str = "zh-CN"
) -> Generator[Talker]:
    """The page before anything is pressed; whatever goes wrong in it fails the test."""
    context = browser.new_context(
        viewport={"width": size[0], "height": size[1]}, locale=locale, color_scheme="dark", permissions=["microphone"],
        bypass_csp=True,  # the ear is a script of ours
    )  # fmt: skip
    page = context.new_page()
    made, wrong = Talker(page, house, microphone), list[str]()
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("websocket", lambda socket: _follow(made, socket))
    page.goto(f"{house.url}/talk")
    page.wait_for_selector("#start")
    yield made
    context.close()
    assert wrong == []


def _follow(made: Talker, socket: WebSocket) -> None:
    made.sockets.append(socket)
    socket.on("framereceived", lambda body: made.frames.append(heard(body)))
