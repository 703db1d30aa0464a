"""A house for the call's page: services as processes, a door before two gateways, engines of which the test says every word."""

import asyncio
import threading
from collections.abc import Coroutine, Generator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from bench.upstream.schedule import Delays
from bench.upstream.server import Request, Upstream, serving
from services.contract.asr import Transcribed
from services.contract.ingest import TurnRequested
from services.contract.llm import SentenceReady
from services.contract.message import Message
from services.contract.tts import SpeechChunk
from services.runtime.sessions import Item, Sessions
from tests.chaos.proxy import READ, Proxy
from tests.chaos.stack import Stack, Worker

T = TypeVar("T")
M = TypeVar("M", bound=Message)
PATIENCE_S = 60
CHAT, SPEECH, CLIP = "/v1/chat/completions", "/v1/audio/speech", "/v1/audio/transcriptions"
ENGINES = {"TTS_ENGINES": "openai", "OPENAI_API_KEY": "a-key"}


def configured(url: str) -> dict[str, Any]:
    """A Chinese and an English persona; whoever listens, thinks and speaks is that server."""
    engine = {"openai": {"model": "m", "base_url": url}}
    voices = {name: {"engines": [{"openai": {"voice": "alloy"}}]} for name in ("xiaoyi", "brian")}
    return {
        "personas": {
            "host": {"language": "zh", "voice": "xiaoyi", "prompt": "你是主播。"},
            "friend": {"language": "en", "voice": "brian", "prompt": "Be a friend."},
        },
        "voices": voices,
        "engines": {"asr": engine, "llm": engine, "tts": engine},
        "gateway": {"persona": "host"},
    }


class Door(Proxy):
    """Carries each connection to the first of these ports that takes it, as a load balancer does."""

    def __init__(self, ports: Sequence[int]) -> None:
        super().__init__(ports[0], seed=0)
        self.ports = ports
        self.taken: list[int] = []
        """Who took each connection."""

    async def reach(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """See the proxy."""
        for port in self.ports:
            try:
                way = await asyncio.open_connection("127.0.0.1", port, limit=READ)
            except ConnectionRefusedError:
                continue
            self.taken.append(port)
            return way
        raise ConnectionRefusedError(f"nobody is at {self.ports}")


class House:
    """Runs in a thread; the test's own thread gives orders and looks."""

    def __init__(self, folder: Path, answers: dict[str, str]) -> None:
        self.folder = folder
        self.upstream = Upstream(answer=lambda ask, _system: answers[ask])
        self.gateways: list[Worker] = []
        self.door: Door
        self.ready = Future[None]()
        self._stack: Stack
        self._loop: asyncio.AbstractEventLoop
        self._over: asyncio.Event

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.door.port}"

    async def live(self) -> None:
        """Until `end`."""
        self._loop, self._over = asyncio.get_running_loop(), asyncio.Event()
        try:
            async with serving(self.upstream) as url, Stack(self.folder, configured(url)) as self._stack:
                for service in ("asr", "llm", "tts"):
                    await self._stack.start(service, ENGINES)
                self.gateways = [await self._stack.start("gateway", ENGINES) for _ in range(2)]
                await self._stack.ready()
                async with Door([int(each.env["GATEWAY_PORT"]) for each in self.gateways]) as self.door:
                    self.ready.set_result(None)
                    await self._over.wait()
        except BaseException as error:
            if self.ready.done():
                raise
            self.ready.set_exception(error)

    def end(self) -> None:
        with suppress(RuntimeError):  # it never began
            self._loop.call_soon_threadsafe(self._over.set)

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        """Done when this returns."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(PATIENCE_S)

    @contextmanager
    def pace(self, pace: float) -> Generator[None]:
        """Meanwhile voices are made at so many times real time."""
        before, self.upstream.delays = self.upstream.delays, Delays(speech_pace=pace)
        yield
        self.upstream.delays = before

    def told(self, sid: str) -> "Told":
        """What the session of that call holds now."""

        async def look() -> list[Item]:
            async with self._stack.bus() as bus:
                return await Sessions(bus).range(f"call-{sid}")

        return Told(self.do(look()))

    def asked(self, path: str) -> list[Request]:
        """What the engines were asked there, oldest first."""
        return [request for request in self.upstream.requests if request.path == path]

    def kill(self, gateway: Worker) -> None:
        """SIGKILL, for good."""

        async def strike() -> None:
            gateway.keep = False
            gateway.kill()

        self.do(strike())


@dataclass
class Sentence:
    """One sentence as it lies on its session."""

    turn: str
    index: int
    text: str
    pcm: bytes = b""


class Told:
    """A session."""

    def __init__(self, items: list[Item]) -> None:
        self.items = items

    def of(self, kind: type[M]) -> list[M]:
        """Its messages of that kind."""
        return [item.message for item in self.items if isinstance(item.message, kind)]

    @property
    def said(self) -> list[str]:
        """The texts of what was understood."""
        return [one.text for one in self.of(Transcribed) if one.final]

    @property
    def turns(self) -> list[str]:
        """What was asked, in order."""
        return list(dict.fromkeys(request.turn for request in self.of(TurnRequested)))

    def sentences(self, turn: str) -> list[Sentence]:
        """What was made of an answer, in order."""
        found = {
            one.index: Sentence(one.turn, one.index, one.text) for one in self.of(SentenceReady) if one.turn == turn
        }
        for item in self.items:
            chunk = item.message
            if isinstance(chunk, SpeechChunk) and chunk.turn == turn:
                sentence = found[chunk.index]
                assert chunk.sample_offset * 2 == len(sentence.pcm), "nobody who speaks was killed"
                sentence.pcm += item.blob
        return [found[index] for index in sorted(found)]


@contextmanager
def house(folder: Path, answers: dict[str, str]) -> Generator[House]:
    """It; `answers`: what is said to each question."""
    made = House(folder, answers)
    thread = threading.Thread(target=lambda: asyncio.run(made.live()))
    thread.start()
    try:
        made.ready.result(PATIENCE_S)
        yield made
    finally:
        made.end()
        thread.join()
