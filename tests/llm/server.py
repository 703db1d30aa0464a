"""A chat endpoint on the loopback that speaks as servers do, well or badly."""

import asyncio
import json
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

Script = Callable[["Exchange"], Any]
"""A coroutine function that answers one request."""


@dataclass
class Exchange:
    """One request, and the way to answer it."""

    head: str
    body: dict[str, Any]
    writer: asyncio.StreamWriter
    closed: asyncio.Event

    async def status(self, status: int, body: object = None, **headers: str) -> None:
        data = json.dumps(body or {}).encode()
        fields = {"content-type": "application/json", "content-length": str(len(data)), "connection": "close"} | headers
        lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in fields.items())
        self.writer.write(f"HTTP/1.1 {status} X\r\n{lines}\r\n".encode() + data)
        await self.writer.drain()

    async def begin(self) -> None:
        self.writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")
        await self.writer.drain()

    async def raw(self, data: bytes) -> None:
        self.writer.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
        await self.writer.drain()

    async def event(self, event: object) -> None:
        data = event if isinstance(event, str) else json.dumps(event, ensure_ascii=False)
        await self.raw(f"data: {data}\n\n".encode(errors="surrogatepass"))

    async def delta(self, text: str | None, finish: str | None = None) -> None:
        await self.event({"choices": [{"index": 0, "delta": {"content": text}, "finish_reason": finish}]})

    async def end(self) -> None:
        self.writer.write(b"0\r\n\r\n")
        await self.writer.drain()


@dataclass
class Server:
    """What was asked of it, and where it listens."""

    url: str = ""
    requests: list[Exchange] = field(default_factory=list[Exchange])


@asynccontextmanager
async def serve(*scripts: Script) -> AsyncGenerator[Server]:
    """Answer the first request by the first script, and so on; the last one repeats."""
    found, writers = Server(), list[asyncio.StreamWriter]()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        try:
            while head := (await reader.readuntil(b"\r\n\r\n")).decode():
                sizes = [line for line in head.lower().splitlines() if line.startswith("content-length:")]
                body = await reader.readexactly(int(sizes[0].split(":")[1])) if sizes else b"{}"
                exchange = Exchange(head, json.loads(body), writer, asyncio.Event())
                found.requests.append(exchange)
                script = scripts[min(len(found.requests), len(scripts)) - 1]
                answering = asyncio.ensure_future(script(exchange))
                gone = asyncio.ensure_future(reader.read(1))
                await asyncio.wait([answering, gone], return_when=asyncio.FIRST_COMPLETED)
                if gone.done() and not answering.done():
                    exchange.closed.set()
                answering.cancel()
                gone.cancel()
                await asyncio.gather(answering, gone, return_exceptions=True)
                if writer.is_closing():
                    break
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    found.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
    try:
        yield found
    finally:
        server.close()
        for writer in writers:
            writer.close()
        await server.wait_closed()
        await asyncio.sleep(0)


async def well(exchange: Exchange) -> None:
    """As it should be, with what servers add: a role, a null, an empty list of choices, the usage."""
    await exchange.begin()
    await exchange.event({"choices": [{"delta": {"role": "assistant", "content": ""}, "finish_reason": None}]})
    await exchange.raw(b": a comment\n\n")
    for text in ("你好", None, "呀。", "Hi\u2028there."):
        await exchange.delta(text)
    await exchange.event({"choices": []})
    await exchange.event({"choices": [{"delta": None}]})
    await exchange.delta(None, "stop")
    await exchange.event({"choices": [], "usage": {"total_tokens": 3}})
    await exchange.event("[DONE]")
    await exchange.end()


async def hang_up(exchange: Exchange) -> None:
    """The connection ends without an answer."""
    exchange.writer.close()
