"""The fake server: `/v1/chat/completions`, `/v1/audio/transcriptions`, `/v1/audio/speech`, `/v1/models`.

A model called `fault-<name>`, or the header `x-fault: <name>`, asks for a fault: a status (`fault-401`), or a word of `Fault`.
"""

import asyncio
import json
import socket
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, MutableMapping, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import uvicorn

from bench.upstream import content, schedule
from bench.upstream.journal import Journal, Times
from services.contract.tts import AIR_RATE
from services.runtime.sound import BadSoundError, read_wav, to_mono, write_wav

PIECE_MS = 100
"""Sound is sent in pieces of this length."""
AWAKE = "/awake"
"""Answered at once and noted nowhere."""
OTHER_RATE = 16_000
"""What `Fault.RATE` speaks at."""
MESSAGES = {401: "Incorrect API key provided", 404: "The model does not exist", 429: "Rate limit reached"}
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


class Fault(StrEnum):
    """What can go wrong, besides a status."""

    NONE = ""
    SILENCE = "silence"
    """Never answers."""
    MUTE = "mute"
    """Answers 200, and then nothing."""
    CUT = "cut"
    """The connection ends in the middle."""
    SHORT = "short"
    """Half of the sound, ended as if all were well; a WAV file tells its whole length."""
    EMPTY = "empty"
    """200 with nothing in it."""
    ZEROS = "zeros"
    """Sound in which there is none."""
    ERROR = "error"
    """200 whose body is an error."""
    RATE = "rate"
    """Sound of another rate, which a WAV file tells."""


@dataclass(frozen=True)
class Request:
    """What was asked."""

    path: str
    headers: dict[str, str]
    body: dict[str, Any]
    clip: bytes = b""
    """The file of a form."""
    fault: str = ""

    @classmethod
    def of(cls, scope: Scope, raw: bytes) -> "Request":
        """Read a JSON body, or a form."""
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        kind, body, clip = headers.get("content-type", ""), dict[str, Any](), b""
        if kind.startswith("multipart/form-data"):
            fields = content.form(raw, kind)
            clip = fields.pop("file", b"")
            body = {name: value.decode(errors="replace") for name, value in fields.items()}
        elif raw:
            with suppress(ValueError):
                body = json.loads(raw)
        wanted = str(body.get("model", ""))
        named = wanted.removeprefix("fault-") if wanted.startswith("fault-") else ""
        return cls(scope["path"], headers, body, clip, headers.get("x-fault", named))


@dataclass
class Exchange:
    """The way to answer one request."""

    send: Send
    times: Times

    async def head(self, kind: str, status: int = 200) -> None:
        """Status and type."""
        headers = [(b"content-type", kind.encode())]
        await self.send({"type": "http.response.start", "status": status, "headers": headers})

    async def piece(self, data: bytes, *, last: bool = False) -> None:
        """A part of the body."""
        await self.send({"type": "http.response.body", "body": data, "more_body": not last})
        if data:
            self.times.sent()

    async def whole(self, body: object, status: int = 200) -> None:
        """A JSON body."""
        await self.head("application/json", status)
        await self.piece(json.dumps(body, ensure_ascii=False).encode(), last=True)


@dataclass
class Upstream:
    """The application. What it was asked stays in `requests`, what it took in `journal`."""

    delays: schedule.Delays = field(default_factory=schedule.Delays)
    transcript: str = content.TRANSCRIPT
    journal: Journal = field(default_factory=Journal)
    answer: Callable[[str, str], str] = content.answer
    """What is said to a question, under a system message."""
    requests: list[Request] = field(default_factory=list[Request])
    clips: int = 0
    gone: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when a client went away before its answer was over."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        raw, more = b"", True
        while more:
            message = await receive()
            raw, more = raw + message.get("body", b""), message.get("more_body", False)
        path = str(scope["path"])
        kind = KINDS.get(path, "")
        exchange = Exchange(send, self.journal.begin(kind) if kind else Times("", 0, 0))
        if path == AWAKE:
            await exchange.whole({})
            return
        request = Request.of(scope, raw)
        self.requests.append(request)
        answering = asyncio.ensure_future(self._answer(kind, request, exchange))
        leaving = asyncio.ensure_future(receive())
        try:
            await asyncio.wait([answering, leaving], return_when=asyncio.FIRST_COMPLETED)
            if not answering.done():
                exchange.times.ended = "gone"
                self.gone.set()
        finally:
            for task in (answering, leaving):
                task.cancel()
            error, _ = await asyncio.gather(answering, leaving, return_exceptions=True)
            if isinstance(error, Exception) and not isinstance(error, CutError):
                raise error
            if kind:
                self.journal.end(exchange.times)

    async def _answer(self, kind: str, request: Request, exchange: Exchange) -> None:
        if request.fault:
            exchange.times.ended = request.fault
        if request.fault.isdecimal():
            status = int(request.fault)
            message = MESSAGES.get(status, "The server had an error")
            await exchange.whole({"error": {"message": message, "code": None}}, status)
        elif request.fault == Fault.SILENCE:
            await asyncio.Event().wait()
        elif request.fault == Fault.ERROR:
            await exchange.whole({"error": {"message": "out of memory"}})
        elif kind == "chat":
            await self._chat(request, exchange)
        elif kind == "transcription":
            await self._transcription(request, exchange)
        elif kind == "speech":
            await self._speech(request, exchange)
        elif request.path == "/v1/models":
            await exchange.whole({"object": "list", "data": []})
        else:
            await exchange.whole({"error": {"message": f"there is no {request.path}"}}, 404)

    async def _chat(self, request: Request, exchange: Exchange) -> None:
        messages: Sequence[dict[str, Any]] = request.body.get("messages") or []
        said = {str(each.get("role")): str(each.get("content")) for each in messages}  # the last one of each role
        asked, times = said.get("user", ""), exchange.times
        parts = content.tokens(self.answer(asked, said.get("system", "")))
        times.text, times.mark = asked, content.mark(asked)
        dues = schedule.tokens(times.received / 1e9, len(parts), self.delays)
        await exchange.head("text/event-stream")
        for number, (due, part) in enumerate(zip(dues, parts, strict=True)):
            await _broken(request.fault, number, len(parts))
            await _until(due)
            await exchange.piece(_event({"content": part}))
        await exchange.piece(_event({}, "stop") + b"data: [DONE]\n\n", last=True)

    async def _transcription(self, request: Request, exchange: Exchange) -> None:
        try:
            wav = read_wav(request.clip)
        except BadSoundError as error:
            await exchange.whole({"error": {"message": str(error)}}, 400)
            return
        self.clips += 1
        seconds = len(to_mono(wav.pcm, wav.channels)) / 2 / wav.rate
        times = exchange.times
        times.text = content.transcript(self.transcript, self.clips, seconds)
        times.mark = content.mark(times.text)
        await _until(schedule.transcription(times.received / 1e9, self.delays))
        await exchange.head("application/json")
        await _broken(request.fault, 1, 1)
        text = "" if request.fault == Fault.EMPTY else times.text
        await exchange.piece(json.dumps({"text": text}, ensure_ascii=False).encode(), last=True)

    async def _speech(self, request: Request, exchange: Exchange) -> None:
        body, times = request.body, exchange.times
        times.text = str(body.get("input", ""))
        times.mark = content.mark(times.text)
        wav = body.get("response_format", "mp3") == "wav"
        if not wav and body.get("response_format") != "pcm":
            await exchange.whole({"error": {"message": "response_format: this server knows pcm and wav"}}, 400)
            return
        pcm, rate = _spoken(times.text, float(body.get("speed") or 1), request.fault)
        data = content.streamed_wav(pcm, rate) if wav else pcm
        if request.fault == Fault.SHORT:
            data = (write_wav(pcm, rate) if wav else pcm)[: len(data) // 2]
        pieces = schedule.speech(times.received / 1e9, len(data), rate * 2 * PIECE_MS // 1_000, rate * 2, self.delays)
        if pieces:
            await _until(pieces[0][0])
        await exchange.head("audio/wav" if wav else "application/octet-stream")
        for number, (due, start, end) in enumerate(pieces):
            await _broken(request.fault, number, len(pieces))
            await _until(due)
            await exchange.piece(data[start:end])
        await exchange.piece(b"", last=True)


KINDS = {
    "/v1/chat/completions": "chat",
    "/v1/audio/transcriptions": "transcription",
    "/v1/audio/speech": "speech",
}


def _spoken(text: str, speed: float, fault: str) -> tuple[bytes, int]:
    if fault == Fault.EMPTY:
        return b"", AIR_RATE
    pcm = content.speech(text, speed)
    if fault == Fault.ZEROS:
        return bytes(len(pcm)), AIR_RATE
    if fault == Fault.RATE:  # every third sample is left out of six bytes: 24 kHz as 16 kHz
        return b"".join(pcm[at : at + 4] for at in range(0, len(pcm), 6)), OTHER_RATE
    return pcm, AIR_RATE


class CutError(Exception):
    """Ends an answer where it is: the server closes the connection."""


async def _broken(fault: str, number: int, parts: int) -> None:
    """What goes wrong before that part."""
    if fault == Fault.MUTE:
        await asyncio.Event().wait()
    if fault == Fault.CUT and number >= parts // 2:
        raise CutError


async def _until(due: float) -> None:
    """Wait for a moment on the monotonic clock: never less, whatever was waited for before."""
    await asyncio.sleep(max(0.0, due - time.monotonic()))


def _event(delta: dict[str, str], finish: str | None = None) -> bytes:
    event = {"object": "chat.completion.chunk", "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}
    return f"data: {json.dumps(event, ensure_ascii=False)}\n\n".encode()


class _Server(uvicorn.Server):
    """A server that leaves signals to who started it."""

    @contextmanager
    def capture_signals(self) -> Generator[None]:
        """Take none."""
        yield


@asynccontextmanager
async def serving(app: Upstream, host: str = "127.0.0.1", port: int = 0) -> AsyncGenerator[str]:
    """Serve on that port (0: any free one) while the block runs; the base URL, which ends in /v1."""
    listener = socket.create_server((host, port))
    # asyncio does so itself only where the listener names its protocol; its connections inherit it.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    config = uvicorn.Config(
        app, lifespan="off", ws="none", log_config=None, access_log=False, timeout_graceful_shutdown=1
    )
    server = _Server(config)
    task = asyncio.ensure_future(server.serve(sockets=[listener]))
    try:
        yield f"http://{host}:{listener.getsockname()[1]}/v1"
    finally:
        server.should_exit = True
        await task
        if server.server_state.tasks:
            await asyncio.wait(server.server_state.tasks, timeout=1)
