"""Everything of ours that asks another server, and a server that sends each of them on to a second one."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Any, cast

import httpx2
import websockets.asyncio.client

from onair import calling, probes, sockets
from onair import server as servers
from onair.findings import State
from services.asr.adapters import openai as ears
from services.contract.failure import Code, Failure
from services.gateway.adapters import tavus
from services.llm.adapters import openai as model
from services.tts.adapters import openai as speech
from services.tts.core.ports import Voice

KEY = "canary-" + "5e0c9d17ab"
STATUSES = (301, 302, 303, 307, 308)
LOUD = (b"\0\x20" * 80 + b"\0\xe0" * 80) * 100
"""A second of what is no silence."""


@dataclass
class Sentinel:
    """A server that nobody may ask; or, with a place to go, one that sends everybody there."""

    port: int = 0
    location: str = ""
    status: int = 0
    heads: list[bytes] = field(default_factory=list[bytes])
    """What it was asked."""

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Note the first bytes of each request, which may be of any protocol."""
        head = b""
        try:
            async with asyncio.timeout(5):
                while b"\r\n\r\n" not in head and (part := await reader.read(65_536)):
                    head += part
        except (TimeoutError, OSError):
            head += b" (cut)"
        self.heads.append(head)
        status = f"{self.status} Moved\r\nLocation: {self.location}" if self.location else "200 OK"
        with contextlib.suppress(OSError):
            writer.write(f"HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode())
            await writer.drain()
        writer.close()


@asynccontextmanager
async def sentinel(location: str = "", status: int = 0) -> AsyncGenerator[Sentinel]:
    """It listens."""
    made = Sentinel(location=location, status=status)
    server = await asyncio.start_server(made.answer, "127.0.0.1", 0)
    made.port = int(server.sockets[0].getsockname()[1])
    try:
        yield made
    finally:
        server.close()
        await server.wait_closed()


async def _llm(url: str) -> str:
    engine = model.OpenAIModel(model.Options("m", KEY, f"{url}/v1"))
    checked = ""
    try:
        checked = await engine.check()
        async for delta in engine.answer([("user", "hello")], session="s"):
            return f"it answered {delta!r}"
    except Failure as failure:
        return f"{checked}; {failure.sentence}" if "redirects" in checked else f"its check said {checked!r}"
    finally:
        await engine.close()
    return "it answered nothing"


async def _asr(url: str) -> str:
    engine = ears.OpenAIEars(ears.Options("m", KEY, f"{url}/v1"))
    checked = ""
    try:
        checked = await engine.check()
        return f"it heard {await engine.recognise(LOUD, 'en')!r}"
    except Failure as failure:
        return f"{checked}; {failure.sentence}" if "redirects" in checked else f"its check said {checked!r}"
    finally:
        await engine.close()


async def _tts(url: str) -> str:
    engine = speech.OpenAISpeech(speech.Options("m", KEY, f"{url}/v1"))
    try:
        async for pcm in engine.speak("Hello.", Voice("x", {"voice": "alloy"}), ""):
            return f"it spoke {len(pcm)} bytes"
    except Failure as failure:
        return failure.sentence
    finally:
        await engine.close()
    return "it said nothing"


async def _doctor(url: str) -> str:
    (found,) = await asyncio.to_thread(probes.remote, probes.Server("llm", ["m"], KEY, f"{url}/v1", ""))
    return found.says if found.state is State.PROBLEM else f"it found it {found.state}"


async def _client(url: str) -> str:
    def ask() -> str:
        with servers.given(url, KEY).open() as client:
            answer = client.get("/api/call")
            return servers.refusal(answer.status_code, answer.content, url).sentence

    return await asyncio.to_thread(ask)


async def _call(url: str) -> str:
    try:
        await calling.Call(servers.given(url, KEY), {}).hold()
    except Failure as failure:
        return failure.sentence if failure.code is Code.BAD_INPUT else f"it said {failure.sentence!r}"
    return "it was held"


async def _tavus(url: str) -> str:
    api = tavus.TavusApi(tavus.Options(KEY, url, tries=1))
    try:
        return f"it listed {len(await api.conversations())} conversations"
    except Failure as failure:
        return failure.sentence
    finally:
        await api.close()


CLIENTS: dict[str, Callable[[str], Awaitable[str]]] = {
    "llm openai": _llm,
    "asr openai": _asr,
    "tts openai": _tts,
    "onair doctor": _doctor,
    "onair talk": _client,
    "onair talk --mic": _call,
    "tavus": _tavus,
}
"""Each asks the server at that URL, with a secret, and gives the sentence that a person gets."""


@contextmanager
def following() -> Generator[None]:
    """The rule `follows`: whatever a client was told, it follows."""
    plain, later = cast("Any", httpx2.Client.send), cast("Any", httpx2.AsyncClient.send)
    mic = sockets.Straight.process_redirect

    def send(self: httpx2.Client, request: Any, **more: Any) -> Any:
        return plain(self, request, **{**more, "follow_redirects": True})

    async def asend(self: httpx2.AsyncClient, request: Any, **more: Any) -> Any:
        return await later(self, request, **{**more, "follow_redirects": True})

    setattr(httpx2.Client, "send", send)  # noqa: B010  of another signature
    setattr(httpx2.AsyncClient, "send", asend)  # noqa: B010  as above
    sockets.Straight.process_redirect = websockets.asyncio.client.connect.process_redirect
    try:
        yield
    finally:
        setattr(httpx2.Client, "send", plain)  # noqa: B010  as above
        setattr(httpx2.AsyncClient, "send", later)  # noqa: B010  as above
        sockets.Straight.process_redirect = mic


async def redirected() -> tuple[int, list[str]]:
    """How many requests were sent on, and what is wrong: who followed, who showed his secret, who was not clear about it."""
    landed, problems = 0, list[str]()
    async with sentinel() as second:
        for status in STATUSES:
            for name, ask in CLIENTS.items():
                async with sentinel(f"http://127.0.0.1:{second.port}/stolen", status) as first:
                    said = await ask(f"http://127.0.0.1:{first.port}")
                    landed += len(first.heads)
                    if f"redirects ({status})" not in said:
                        problems.append(f"{name} at {status}: {said}")
                problems += [f"{name} followed {status}" for _ in second.heads]
                problems += [f"{name} showed its secret at {status}" for head in second.heads if KEY.encode() in head]
                second.heads.clear()
    return landed, problems
