"""A call from the terminal against a server that says what the test wants, over connections that break."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from websockets.asyncio.server import ServerConnection, serve
from websockets.datastructures import Headers
from websockets.http11 import Request, Response

from onair import calling, devices
from onair.calling import Call
from onair.server import Server
from onair.talk import Wanted, talk
from services.contract.failure import Code, Failure
from services.gateway.core import frame

Scene = Callable[[ServerConnection], Awaitable[None]]
CLOSE_RESTART, CLOSE_TAKEN = 1012, 4409


@dataclass
class Stage:
    """One scene a connection; what was asked."""

    scenes: list[Scene]
    url: str = ""
    queries: list[dict[str, list[str]]] = field(default_factory=list[dict[str, list[str]]])
    said: list[Any] = field(default_factory=list[Any])
    tokens: list[str | None] = field(default_factory=list[str | None])

    async def play(self, socket: ServerConnection) -> None:
        assert socket.request
        self.queries.append(parse_qs(urlsplit(socket.request.path).query))
        self.tokens.append(socket.request.headers.get("Authorization"))
        self.said.append(frame.parse(await socket.recv(decode=False)))
        await self.scenes.pop(0)(socket)


@asynccontextmanager
async def stage(*scenes: Scene) -> AsyncGenerator[Stage]:
    made = Stage(list(scenes))
    async with serve(made.play, "127.0.0.1", 0) as server:
        made.url = f"http://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}"
        yield made


async def begins(socket: ServerConnection) -> None:
    """A sentence begins, then the gateway is started again."""
    await socket.send(frame.response("BotReady", {"session": "s"}))
    await socket.send(frame.response("SentenceRecognized", {"sentence": "hello", "turn": "t-1"}))
    start = {"sentence": "Hi, you.", "turn": "t-1", "index": 2, "rate": 24_000, "from_sample": 0}
    await socket.send(frame.response("TTSSentenceStart", start))
    await socket.send(frame.audio(b"\1\1" * 100))
    await socket.close(CLOSE_RESTART, "restart")


async def taken(socket: ServerConnection) -> None:
    await socket.close(CLOSE_TAKEN, "another connection took the call")


async def test_a_call_over_two_connections(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """After a break it goes on where it was: same call, that sentence, those samples; what was sent is played once."""
    monkeypatch.setattr(calling, "TRIES_S", (0, 0))

    async def rest(socket: ServerConnection) -> None:
        start = {"sentence": "Hi, you.", "turn": "t-1", "index": 2, "rate": 24_000, "from_sample": 100}
        await socket.send(frame.response("TTSSentenceStart", start))
        await socket.send(frame.audio(b"\2\2" * 50))
        latency = {"recognised_ms": 200, "first_sentence_ms": 300, "first_audio_ms": 100, "total_ms": 600}
        for _ in range(2):
            await socket.send(frame.response("TTSDone", {"turn": "t-1", "latency": latency}))
        await socket.send(frame.response("BotError", {"error": {"code": "busy", "message": "no \x1b[31mroom"}}))
        mark = frame.parse(await socket.recv(decode=False))
        while not isinstance(mark, frame.Request):
            mark = frame.parse(await socket.recv(decode=False))
        assert (mark.event, mark.payload) == ("PlaybackMark", {"turn": "t-1", "sentence": 2, "played_ms": 5})
        await taken(socket)

    async with stage(begins, rest) as made:
        call = Call(Server(made.url, "secret"), {"language": "en"}, latency_samples=30)

        async def listen() -> bytes:
            played = b""
            while len(played) < 300:
                played += call.playback.pull(2).strip(b"\0")
                await asyncio.sleep(0)
            return played

        listening = asyncio.ensure_future(listen())
        with pytest.raises(Failure, match="another connection took the call"):
            await call.hold()
        assert await listening == b"\1" * 200 + b"\2" * 100
    assert made.queries == [{"sid": [call.sid]}, {"sid": [call.sid], "resume": ["t-1:2:100"]}]
    assert made.said == [frame.Request("BotUpdateConfig", {"language": "en"})] * 2
    assert made.tokens == ["Bearer secret"] * 2
    shown = capsys.readouterr()
    assert shown.out == "Hi, you.\n"
    told = ["you: hello", "the connection broke off; trying again", "the connection is back"]
    parts = "understood 200 ms, first sentence 300 ms, first sound 100 ms"
    assert shown.err.splitlines() == [*told, f"  answered after 600 ms ({parts})", "onair: no  [31mroom"]


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_not_followed(status: int) -> None:
    """The token goes to the server that was named, and to no other; the sentence says what to do."""
    async with stage(taken) as other:

        def away(_: ServerConnection, __: Request) -> Response:
            location = Headers(Location=f"{other.url.replace('http', 'ws')}/", Connection="close")
            return Response(status, HTTPStatus(status).phrase, location)

        async with serve(taken, "127.0.0.1", 0, process_request=away) as first:
            url = f"http://127.0.0.1:{next(iter(first.sockets)).getsockname()[1]}"
            with pytest.raises(
                Failure, match=rf"redirects \({status}\), which is not followed; name its end by --server"
            ):
                await Call(Server(url, "secret"), {}).hold()
    assert other.tokens == []


async def test_the_microphone_waits_for_the_connection() -> None:
    """What is said before it is there is sent then, the newest five seconds of it, in order."""
    heard: list[int] = []

    async def listens(socket: ServerConnection) -> None:
        while len(heard) < calling.KEPT:
            said = frame.parse(await socket.recv(decode=False))
            if isinstance(said, frame.Sound):
                heard.append(said.pcm[0])
        await taken(socket)

    async with stage(listens) as made:
        call = Call(Server(made.url), {})
        for number in range(calling.KEPT + 10):
            call.hear(bytes([number, 0]))
        with pytest.raises(Failure):
            await call.hold()
    assert heard == list(range(10, calling.KEPT + 10))


async def test_the_answer_is_held_and_ended(capsys: pytest.CaptureFixture[str]) -> None:
    """PlaybackPause, PlaybackResume and PlaybackStop do what they say to what is played."""
    seen: list[bytes] = []

    async def scene(socket: ServerConnection) -> None:
        inside: Any = call.playback
        start = {"sentence": "a", "turn": "t-1", "index": 0, "rate": 24_000, "from_sample": 0}
        await socket.send(frame.response("TTSSentenceStart", start))
        await socket.send(frame.audio(b"\1\1" * 100))
        steps: dict[str, Callable[[], bool]] = {
            "PlaybackPause": lambda: inside._paused,
            "PlaybackResume": lambda: not inside._paused,
            "PlaybackStop": lambda: inside.place() is None,
        }
        for event, done in steps.items():
            await socket.send(frame.response(event, {"turn": "t-1"}))
            async with asyncio.timeout(20):
                while not done():
                    await asyncio.sleep(0.01)
            seen.append(call.playback.pull(4))
        await taken(socket)

    async with stage(scene) as made:
        call = Call(Server(made.url), {})
        with pytest.raises(Failure):
            await call.hold()
    assert seen == [bytes(4), b"\1" * 4, bytes(4)]
    assert "(interrupted)" in capsys.readouterr().err


async def test_who_is_not_let_in() -> None:
    """Without the token, or where no gateway is: a sentence with the remedy, at once."""

    def refuse(connection: ServerConnection, request: Request) -> Response:
        del request
        return connection.respond(HTTPStatus.FORBIDDEN, "no")

    async def never(socket: ServerConnection) -> None:
        del socket

    async with serve(never, "127.0.0.1", 0, process_request=refuse) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        with pytest.raises(Failure, match="ONAIR_TOKEN or --token"):
            await Call(Server(f"http://127.0.0.1:{port}"), {}).hold()
    with pytest.raises(Failure, match="onair up"):
        await Call(Server("http://127.0.0.1:1"), {}).hold()


async def test_what_is_no_gateway(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that says something else is named; one that never comes back is given up."""
    monkeypatch.setattr(calling, "TRIES_S", (0, 0))

    async def babbles(socket: ServerConnection) -> None:
        await socket.send("hello")
        await socket.wait_closed()

    async with stage(babbles) as made:
        with pytest.raises(Failure, match="is it an OnAir gateway"):
            await Call(Server(made.url), {}).hold()
    async with stage(begins) as made:
        call = Call(Server(made.url), {})
        made.scenes.extend([begins] * 2)
        holding = asyncio.ensure_future(call.hold())
        while len(made.queries) < 3:
            await asyncio.sleep(0.01)
    with pytest.raises(Failure, match="onair up"):
        await holding


@pytest.mark.parametrize(
    ("wanted", "sentence"),
    [
        (Wanted("http://x", mic=True, wavs=[Path("a.wav")]), "--mic goes without --wav"),
        (Wanted("http://x", mic=True, mute=True), "--mic goes without --wav"),
        (Wanted("http://x", voice="a"), "add --mic"),
        (Wanted("http://x", persona="a"), "add --mic"),
    ],
)
def test_options_that_do_not_go_together(wanted: Wanted, sentence: str) -> None:
    """Are told, and what to leave out."""
    with pytest.raises(Failure, match=sentence):
        talk(wanted)


@pytest.mark.parametrize(
    ("error", "remedy"),
    [(ImportError("no"), r"pip install 'onair\[mic\]'"), (OSError("no PortAudio"), "libportaudio2")],
)
def test_without_the_package(error: Exception, remedy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Package and library: each is named with how to install it; typed talk needs neither."""

    def fails(name: str) -> None:
        del name
        raise error

    monkeypatch.setattr(devices.importlib, "import_module", fails)
    with pytest.raises(Failure, match=remedy) as failed:
        devices.library()
    assert failed.value.code is Code.ENGINE_MISSING
    assert "without --mic" in failed.value.sentence
