"""A whole call: real services on real brokers, a client that speaks the original's exact bytes, gateways that die."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
from websockets.exceptions import ConnectionClosed

from onair.brokers import free_port
from services.contract.asr import Transcribed, VoiceBegan
from services.contract.gateway import Interrupted
from services.contract.llm import SentenceReady
from services.gateway.core.call_words import HEARD_RATE
from services.runtime.bus import Bus
from services.runtime.sessions import Sessions
from services.tts.adapters.scripted import render
from tests.caller import FRAME, Caller, Heard, calling, names
from tests.waiting import until

ROOT = Path(__file__).parents[2]
PATIENCE_S = 40.0
CONFIG = """
personas:
  friend: {voice: slow, prompt: 你是朋友。}
voices:
  slow: {engines: [{scripted: {pace: 0.02}}]}
  quick: {engines: [{scripted: {}}]}
engines: {asr: {scripted: {texts: [今天天气怎么样]}}}
gateway: {persona: friend}
"""
OWN = {"interrupt": True, "audio": "stream"}
LOUD = (b"\0\x20\0\xe0" * (FRAME // 4))[:FRAME]
pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.timeout(180)]


@dataclass
class House:
    """Services as processes; two gateways."""

    ports: list[int]
    gateways: list[subprocess.Popen[bytes]]
    bus_urls: tuple[str, str]

    @contextlib.asynccontextmanager
    async def sessions(self):  # noqa: ANN201  a generator of Sessions
        bus = Bus(self.bus_urls[0], [self.bus_urls[1]])
        try:
            yield Sessions(bus)
        finally:
            await bus.close()


@contextmanager
def house(folder: Path, work: str, live: str) -> Generator[House]:
    """llm, tts and two gateways."""
    (folder / "onair.yaml").write_text(CONFIG, encoding="utf-8")
    env = {name: value for name, value in os.environ.items() if not name.startswith("OPENAI_")} | {
        "WORK_REDIS_URL": work,
        "LIVE_REDIS_URLS": live,
        "ONAIR_CONFIG": str(folder / "onair.yaml"),
        "ONAIR_DATA": str(folder),
        "TTS_ENGINES": "scripted",
        "CALL_AUDIO": "wav",
    }
    ports = [free_port(0), free_port(0)]
    running: list[subprocess.Popen[bytes]] = []
    log = (folder / "log").open("wb")

    def start(service: str, **more: str) -> subprocess.Popen[bytes]:
        argv = (sys.executable, "-m", f"services.{service}")
        running.append(subprocess.Popen(argv, cwd=ROOT, env=env | more, stdout=log, stderr=log))
        return running[-1]

    try:
        for service in ("llm", "tts"):
            start(service)
        gateways = [start("gateway", GATEWAY_PORT=str(port)) for port in ports]
        for port in ports:
            until(lambda port=port: _answers(port), PATIENCE_S, (folder / "log").read_text)
        yield House(ports, gateways, (work, live))
    finally:
        for process in running:
            process.terminate()
        for process in running:
            process.wait(30)
        log.close()


def _answers(port: int) -> bool:
    with suppress(OSError):
        done = subprocess.run(
            ("curl", "-sf", f"http://127.0.0.1:{port}/readyz"), capture_output=True, timeout=10, check=False
        )
        return done.returncode == 0
    return False


@pytest.fixture
def home(tmp_path: Path, broker_url: str, live_url: str) -> Generator[House]:
    with house(tmp_path, broker_url, live_url) as made:
        yield made


async def spoken(caller: Caller, count: int) -> list[Heard]:
    """Frames up to so many sounds."""
    frames: list[Heard] = []
    while sum(frame.event == "audio" for frame in frames) < count:
        frames.append(await caller.next())
    return frames


def sound(frames: list[Heard]) -> bytes:
    return b"".join(frame.sound for frame in frames)


def place(frames: list[Heard]) -> tuple[int, int]:
    """How far a client has got: the sentence and its samples."""
    index = at = 0
    for frame in frames:
        if frame.event == "TTSSentenceStart":
            index, at = frame.payload["index"], frame.payload["from_sample"]
        at += len(frame.sound) // 2
    return index, at


async def test_the_original_client(home: House) -> None:
    """Typed or said, each turn is SentenceRecognized, a text and a complete file a sentence, TTSDone."""
    async with calling(home.ports[0], "?sid=a") as caller, home.sessions() as sessions:
        assert (await caller.next()).payload == {"session": "a"}
        await caller.send("BotUpdateConfig", speaker="quick")
        await caller.speak(LOUD * 3)
        await sessions.publish(
            "call-a", Transcribed(utterance="call-a-0", text="你好", final=True, until_sample=HEARD_RATE)
        )
        frames = await caller.until("TTSDone")
        events = names(frames)
        assert events[0] == "SentenceRecognized"
        assert events[1:-1] == ["TTSSentenceStart", "audio"] * ((len(events) - 2) // 2)
        assert len(events) > 2
        for frame in frames:
            assert frame.event != "audio" or frame.sound[:4] == b"RIFF"


async def test_a_gateway_killed_in_mid_sentence(home: House) -> None:
    """Kill -9; the client goes on at the other gateway where it was: every sample once, in order, none missing."""
    async with calling(home.ports[0], "?sid=b") as caller:
        await caller.send("BotUpdateConfig", **OWN)
        await caller.send("TextInput", text="讲个长一点的故事")
        had = await spoken(caller, 4)
        turn = had[[frame.event for frame in had].index("SentenceRecognized")].payload["turn"]
        home.gateways[0].send_signal(signal.SIGKILL)
        with suppress(ConnectionClosed):
            while True:
                had.append(await caller.next())
    index, at = place(had)
    texts = {frame.payload["index"]: frame.payload["sentence"] for frame in had if frame.event == "TTSSentenceStart"}
    async with calling(home.ports[1], f"?sid=b&resume={turn}:{index}:{at}") as caller:
        await caller.send("BotUpdateConfig", **OWN)
        rest = await caller.until("TTSDone")
    assert rest[0].payload == {"session": "b", "resumed": True}
    assert "SentenceRecognized" not in names(rest)
    assert sound(rest), "the gateway had sent all of it before it was killed"
    texts |= {frame.payload["index"]: frame.payload["sentence"] for frame in rest if frame.event == "TTSSentenceStart"}
    whole = [render(texts[number]) for number in sorted(texts)]
    assert len(sound(had)) + len(sound(rest)) == sum(map(len, whole))
    assert sound(had) + sound(rest) == b"".join(whole)


async def test_an_interrupt_before_the_first_sound(home: House) -> None:
    """Stop as soon as the turn is recognised: TTSDone at once, and nothing of it is heard later."""
    async with calling(home.ports[0], "?sid=c") as caller:
        await caller.send("BotUpdateConfig", **OWN)
        await caller.send("TextInput", text="讲个故事")
        await caller.until("SentenceRecognized")
        await caller.send("StopSpeaking")
        assert "audio" not in names(await caller.until("TTSDone"))
        await caller.send("TextInput", text="再讲一个")
        frames = await caller.until("TTSDone")
    turns = {frame.payload.get("turn") for frame in frames if "turn" in frame.payload}
    assert len(turns) == 1
    assert "audio" in names(frames)


async def test_a_stop_while_the_model_still_answers(home: House) -> None:
    """Nothing more of the answer is asked of tts, and nothing is sent."""
    async with calling(home.ports[0], "?sid=d") as caller, home.sessions() as sessions:
        await caller.send("BotUpdateConfig", **OWN)
        await caller.send("TextInput", text="讲个故事")
        await spoken(caller, 1)
        await caller.send("StopSpeaking")
        assert names(await caller.until("TTSDone"))[-2:] == ["PlaybackStop", "TTSDone"]
        await caller.send("TextInput", text="好")
        await caller.until("TTSDone")
        kept = await sessions.range("call-d")
    first = next(at for at, item in enumerate(kept) if isinstance(item.message, Interrupted))
    after = [item.message for item in kept[first + 1 :] if isinstance(item.message, SentenceReady)]
    assert {message.epoch for message in after} == {1}


async def test_a_voice_interrupts(home: House) -> None:
    """The voice holds the sound at once; when it goes on the answer ends, and what it said is answered."""
    async with calling(home.ports[0], "?sid=e") as caller, home.sessions() as sessions:
        await caller.send("BotUpdateConfig", **OWN)
        await caller.send("TextInput", text="讲个故事")
        await spoken(caller, 6)
        talk = asyncio.ensure_future(caller.speak(LOUD * 10))
        await asyncio.sleep(0)
        await sessions.publish("call-e", VoiceBegan(utterance="call-e-0", at_sample=0))
        await caller.until("PlaybackPause")
        assert names(await caller.until("TTSDone"))[-2:] == ["PlaybackStop", "TTSDone"]
        await talk
        said = Transcribed(utterance="call-e-0", text="等一下", final=True, until_sample=HEARD_RATE)
        await sessions.publish("call-e", said)
        recognised = (await caller.until("SentenceRecognized"))[-1]
        assert recognised.payload["sentence"] == "等一下"
        await caller.until("TTSDone")


async def test_two_callers_at_once(home: House) -> None:
    """Neither hears anything of the other."""
    async with calling(home.ports[0], "?sid=f1") as one, calling(home.ports[1], "?sid=f2") as two:
        for caller, text in ((one, "你好"), (two, "hello")):
            await caller.send("BotUpdateConfig", speaker="quick", **OWN)
            await caller.send("TextInput", text=text)
        frames = await asyncio.gather(one.until("TTSDone"), two.until("TTSDone"))
    for mine, sid in zip(frames, ("f1", "f2"), strict=True):
        turns = {frame.payload["turn"] for frame in mine if "turn" in frame.payload}
        assert len(turns) == 1
        assert turns.pop().startswith(f"call-{sid}-")


async def test_many_short_calls(home: House) -> None:
    """200 clients that come and go: the gateway's memory and its open files stay where they were."""
    pid = home.gateways[0].pid

    async def come_and_go(count: int) -> None:
        for _ in range(count):
            async with calling(home.ports[0]) as caller:
                await caller.next()

    await come_and_go(50)
    before = (memory_kib(pid), files(pid))
    await asyncio.gather(*[come_and_go(25) for _ in range(8)])
    until(lambda: files(pid) <= before[1] + 10, PATIENCE_S, lambda: files(pid))
    assert memory_kib(pid) - before[0] < 8 * 1_024


def memory_kib(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmRSS")).split()[1])


def files(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))
