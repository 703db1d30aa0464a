"""A gateway of which a test says every word: the page's files, what is on offer, and calls that the test holds."""

import asyncio
import json
import socket
import struct
import threading
from collections.abc import Callable, Coroutine, Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import uvicorn
from fastapi import FastAPI, Request, Response, WebSocket, WebSocketDisconnect

from services.gateway.api import pages
from tests import waiting

PATIENCE_S = 30
MENU = {
    "voices": ["xiaoyi", "brian"],
    "personas": [{"name": "host", "language": "zh"}, {"name": "friend", "language": "en"}],
    "languages": ["en", "zh"], "persona": "host", "voice": "xiaoyi", "asr": {"engine": "scripted"},
}  # fmt: skip


@dataclass
class Heard:
    """One call as the gateway has it."""

    query: dict[str, str]
    socket: WebSocket
    requests: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    sound: list[bytes] = field(default_factory=list[bytes])

    def events(self, name: str) -> list[dict[str, Any]]:
        """Payloads of the requests of that name."""
        return [request["payload"] for request in self.requests if request["event"] == name]


class Exchange:
    """Runs in a thread; the test's own thread gives orders and looks."""

    def __init__(self, token: str = "") -> None:
        self.token = token
        self.calls: list[Heard] = []
        self.tickets: set[str] = set()
        self.closing: int = 0
        """Each new call is closed at once with this code."""
        self.loop = asyncio.new_event_loop()
        self.app = FastAPI()
        self.app.include_router(pages.router(["demo"]))
        self.app.add_api_route("/api/call", self.offered, methods=["GET"])
        self.app.add_api_route("/api/tickets", self.ticket, methods=["POST"])
        self.app.add_api_websocket_route("/api/live_voice_call/chat", self.serve)

    def allowed(self, request: Request) -> bool:
        return not self.token or request.headers.get("authorization") == f"Bearer {self.token}"

    async def offered(self, request: Request) -> Response:
        status, body = (200, MENU) if self.allowed(request) else (401, {"detail": "the token is wrong"})
        return Response(json.dumps(body), status, media_type="application/json")

    async def ticket(self, request: Request) -> Response:
        if not self.allowed(request):
            return Response("{}", 401)
        self.tickets.add(name := f"ticket-{len(self.tickets)}")
        return Response(json.dumps({"ticket": name, "expires_ms": 30_000}), media_type="application/json")

    async def serve(self, socket: WebSocket) -> None:
        """One connection, until either side leaves."""
        if self.token and socket.query_params.get("ticket") not in self.tickets:
            await socket.close(4401)
            return
        await socket.accept()
        if self.closing:
            await socket.close(self.closing, "a reason")
            return
        call = Heard(dict(socket.query_params), socket)
        resumed = {"resumed": True} if "resume" in call.query else {}
        await socket.send_bytes(event("BotReady", session=call.query["sid"], **resumed))
        self.calls.append(call)
        with suppress(WebSocketDisconnect):
            while True:
                data = await socket.receive_bytes()
                assert len(data) == 8 + int.from_bytes(data[4:8], "big")
                if data[1] == 0x20:
                    call.sound.append(data[8:])
                else:
                    call.requests.append(json.loads(data[8:]))

    def do(self, work: Coroutine[Any, Any, None]) -> None:
        """Done when this returns."""
        asyncio.run_coroutine_threadsafe(work, self.loop).result(PATIENCE_S)

    @property
    def call(self) -> Heard:
        return self.calls[-1]

    def until(self, holds: Callable[[], object]) -> None:
        """Look again until it holds."""
        waiting.until(holds, PATIENCE_S, lambda: [call.requests[-5:] for call in self.calls[-2:]])

    def tell(self, name: str, **payload: Any) -> None:
        self.do(self.call.socket.send_bytes(event(name, **payload)))

    def play(self, pcm: bytes) -> None:
        """Sound of the sentence that was announced last."""
        self.do(self.call.socket.send_bytes(bytes.fromhex("11b00000") + struct.pack(">I", len(pcm)) + pcm))

    def cut(self, code: int) -> None:
        self.do(self.call.socket.close(code, "a reason"))

    def sentence(self, turn: str, index: int, text: str, pcm: bytes) -> None:
        """All of it at once, in frames of 100 ms."""
        self.tell("TTSSentenceStart", sentence=text, turn=turn, index=index, rate=24_000, from_sample=0)
        for at in range(0, len(pcm), 4_800):
            self.play(pcm[at : at + 4_800])
        self.tell("TTSSentenceEnd", turn=turn, index=index, samples=len(pcm) // 2)


def event(name: str, **payload: Any) -> bytes:
    body = json.dumps({"event": name, "payload": payload}, ensure_ascii=False).encode()
    return bytes.fromhex("11901000") + struct.pack(">I", len(body)) + body


@contextmanager
def exchange(token: str = "") -> Generator[tuple[Exchange, str]]:
    """It, and its address."""
    held = Exchange(token)
    server = uvicorn.Server(
        uvicorn.Config(held.app, log_config=None, ws="websockets-sansio", timeout_graceful_shutdown=1)
    )
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        thread = threading.Thread(target=lambda: held.loop.run_until_complete(server.serve([listener])))
        thread.start()
        try:
            waiting.until(lambda: server.started, PATIENCE_S, lambda: "the server")
            yield held, f"http://127.0.0.1:{port}"
        finally:
            server.should_exit = True
            thread.join()
            held.loop.close()
