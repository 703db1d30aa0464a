"""A gateway on a socket of its own, and who plays asr, llm and tts behind it."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar, cast

import httpx2

from services.contract import streams
from services.contract.gateway import ClipHeard, Interrupted
from services.contract.ingest import TurnRequested
from services.contract.llm import AnswerEnded, SentenceReady
from services.contract.message import Message
from services.contract.tts import SpeechChunk, SpeechEnded, SpeechStarted
from services.gateway.adapters.disk import Tapes
from services.gateway.adapters.rows import SqlRows
from services.gateway.api.console import Booth
from services.gateway.api.teacher import Teacher
from services.gateway.app import calls, lessons, listen, listeners, serve, web
from services.gateway.core.access import Rules
from services.gateway.core.caps import Caps
from services.gateway.handlers.desk import BusDesk
from services.gateway.handlers.hands import BusHands
from services.gateway.handlers.panel import BusPanel
from services.gateway.handlers.tickets import BusTickets
from services.runtime import envelope
from services.runtime.bus import Bus
from services.runtime.config import Config
from services.runtime.health import Health
from services.runtime.sessions import Sessions

M = TypeVar("M", bound=Message)
PATIENCE_MS = 20_000
CONFIG = Config.model_validate(
    {
        "personas": {"friend": {"voice": "anna"}, "teacher": {"language": "en", "voice": "ben"}},
        "voices": {name: {"engines": [{"espeak": {}}]} for name in ("anna", "ben")},
    }
)


@dataclass
class Studio:
    """What is behind the gateway, played by the test."""

    bus: Bus
    after: dict[str, str] = field(default_factory=dict[str, str])

    @property
    def sessions(self) -> Sessions:
        return Sessions(self.bus)

    async def turn(self) -> TurnRequested:
        """The next turn that somebody asks for."""
        return await self.order(streams.TURNS.key(), TurnRequested)

    async def clip(self) -> ClipHeard:
        """The next clip that somebody wants recognised."""
        return await self.order(streams.LISTEN.key(), ClipHeard)

    async def order(self, stream: str, model: type[M]) -> M:
        """The next entry of that stream."""
        async with asyncio.timeout(PATIENCE_MS / 1_000):
            while not (found := await self.bus.work.xread({stream: self.after.get(stream, "0-0")}, count=1, block=500)):
                pass
        id_, fields = cast("Any", found)[0][1][0]
        self.after[stream] = id_.decode()
        return model.from_json(envelope.body(fields[b"__data__"]))

    async def tell(self, session: str, *messages: Message) -> None:
        for message in messages:
            await self.sessions.publish(session, message)

    async def speak(self, turn: TurnRequested, index: int, text: str, *chunks: bytes) -> None:
        """One sentence, whole."""
        who: dict[str, Any] = {"turn": turn.turn, "index": index}
        place: dict[str, Any] = {**who, "no": turn.no, "epoch": turn.epoch}
        ready = SentenceReady(
            **place, session=turn.session, kind="chat", text=text, speak=text, voice="v", deadline_ms=0
        )
        await self.tell(turn.session, ready, SpeechStarted(**place, attempt=1, text=text))
        offset = 0
        for number, pcm in enumerate(chunks):
            message = SpeechChunk(**who, attempt=1, chunk=number, sample_offset=offset)
            await self.sessions.publish(turn.session, message, pcm)
            offset += len(pcm) // 2
        await self.tell(turn.session, SpeechEnded(**who, attempt=1, samples=offset))

    async def end(self, turn: TurnRequested, count: int, text: str, reason: str = "done") -> None:
        ended = {"turn": turn.turn, "count": count, "text": text, "reason": reason}
        await self.tell(turn.session, AnswerEnded.model_validate(ended))

    async def interrupted(self, session: str) -> Interrupted:
        """The first interrupt of the session, as soon as it is told."""
        items = self.sessions.read(session, "0-0")
        async with asyncio.timeout(PATIENCE_MS / 1_000), aclosing(items):
            async for item in items:
                if isinstance(item.message, Interrupted):
                    return item.message
        raise AssertionError


@dataclass
class Gateway:
    """One gateway that is served."""

    studio: Studio
    health: Health
    port: int
    server: asyncio.Task[None]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def client(self) -> httpx2.AsyncClient:
        return httpx2.AsyncClient(base_url=self.url, timeout=PATIENCE_MS / 1_000, trust_env=False)


@asynccontextmanager
async def running(
    work: str,
    live: str,
    caps: Caps | None = None,
    rules: Rules | None = None,
    desk: type[BusDesk] = BusDesk,
    rooms: Sequence[str] = (),
    pools: Sequence[str] = (),
    data: Path | None = None,
) -> AsyncGenerator[Gateway]:
    """A gateway on a free port, with its studio; with a folder it gives lessons too."""
    bus, behind, health = Bus(work, [live]), Bus(work, [live]), Health("gateway")
    rules = rules or Rules()
    booth = Booth(BusPanel(bus, rooms, pools), BusHands(bus, rooms), rules)
    app = web(desk(bus), health, "friend", rules, caps or Caps(), rooms, booth, BusTickets(bus))
    rows = SqlRows("", data) if data else None
    if rows and data:
        app.include_router(lessons(Teacher(desk(bus), rows, Tapes(data), caps or Caps()), rules))
    app.include_router(listeners(bus, caps or Caps(), rooms))
    app.include_router(calls(bus, caps or Caps(), CONFIG, "wav"))
    listener = listen("127.0.0.1", 0)
    port = int(listener.getsockname()[1])
    server = asyncio.ensure_future(serve(app, [listener], caps, rules))
    try:
        yield Gateway(Studio(behind), health, port, server)
    finally:
        server.cancel()
        with suppress(asyncio.CancelledError):
            await server
        if rows:
            await rows.close()
        await bus.close()
        await behind.close()
