"""A live platform on this machine: frames over a socket, given once, and the source in ingest that listens to it.

A real platform tells an event once, to whoever is connected then. `Platform` is its side, in the program; `Listener`
is the source, put into ingest by `listen_to_feeds` for `replay: {path: feed:<port>}`. A listener says which frames it
has taken before it hands them on, so that the program knows what ingest was really given.
"""

import asyncio
import contextlib
import json
from types import TracebackType
from typing import Any, Self

from services.ingest.core.ports import Emit, Frame
from services.runtime.clock import now_ms

PREFIX = "feed:"
AGAIN_S = 0.2
"""A listener that lost its platform comes back after that."""


class Listener:
    """Emits what the platform at `port` tells, for ever."""

    def __init__(self, port: int) -> None:
        self.name = f"{PREFIX}{port}"
        self._port = port

    async def run(self, emit: Emit) -> None:
        while True:
            with contextlib.suppress(OSError):
                reader, writer = await asyncio.open_connection("127.0.0.1", self._port, limit=2**20)
                try:
                    await self._listen(reader, writer, emit)
                finally:
                    writer.close()
            await asyncio.sleep(AGAIN_S)

    async def _listen(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, emit: Emit) -> None:
        while line := await reader.readline():
            told = json.loads(line)
            writer.write(f"{told['n']}\n".encode())
            await emit(Frame(at_ms=now_ms(), platform="bilibili", body=json.dumps(told["body"], ensure_ascii=False)))


def listen_to_feeds() -> None:
    """In a process of ingest: a source `replay: {path: feed:<port>}` is a listener."""
    from services.ingest import app  # noqa: PLC0415  a process without ingest has no sources

    plain = app.make_sources

    def make_sources(given: Any) -> Any:
        ports = [str(one["replay"]["path"]) for one in given if "replay" in one]
        feeds = [Listener(int(port.removeprefix(PREFIX))) for port in ports if port.startswith(PREFIX)]
        return [*feeds, *plain([one for one in given if not str(one.get("replay")).count(PREFIX)])]

    app.make_sources = make_sources


class Platform:
    """Tells frames to whoever listens."""

    def __init__(self) -> None:
        self.port = 0
        self.taken: dict[int, int] = {}
        """Number of a frame → how many listeners have taken it."""
        self.connected = asyncio.Event()
        self._n = 0
        self._listeners: set[asyncio.StreamWriter] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = int(self._server.sockets[0].getsockname()[1])
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.close()
        for writer in list(self._listeners):
            writer.transport.abort()

    @property
    def path(self) -> str:
        """What a room's `replay` names."""
        return f"{PREFIX}{self.port}"

    @property
    def listeners(self) -> int:
        return len(self._listeners)

    def tell(self, body: dict[str, object]) -> int:
        """Tell a frame once to each who listens now; its number."""
        self._n += 1
        line = json.dumps({"n": self._n, "body": body}, ensure_ascii=False).encode() + b"\n"
        for writer in self._listeners:
            writer.write(line)
        return self._n

    def hang_up(self) -> None:
        """End every connection: listeners reconnect."""
        for writer in list(self._listeners):
            writer.transport.abort()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._listeners.add(writer)
        self.connected.set()
        try:
            while line := await reader.readline():
                self.taken[int(line)] = self.taken.get(int(line), 0) + 1
        except OSError:
            pass
        finally:
            self._listeners.discard(writer)
            writer.close()
            if not self._listeners:
                self.connected.clear()


def super_chat(number: int, text: str, *, at_ms: int, viewer: str = "", yuan: int = 30) -> dict[str, object]:
    """Bilibili's frame; the event's id is `super_chat_id(number)`."""
    person = {"uid": 1_000 + number, "user_info": {"uname": viewer or f"fan{number}"}}
    data = {**person, "id": number, "message": text, "price": yuan, "start_time": at_ms // 1_000}
    return {"cmd": "SUPER_CHAT_MESSAGE", "data": data}


def super_chat_id(number: int) -> str:
    return f"bilibili:super_chat:{number}"


def danmaku(number: int, text: str, *, at_ms: int, viewer: str = "") -> dict[str, object]:
    """Bilibili's frame of a comment; the event's id is `danmaku_id(number)`."""
    meta = [0, 1, 25, 0, at_ms, *[0] * 10, {"extra": json.dumps({"id_str": str(number)})}]
    return {"cmd": "DANMU_MSG", "info": [meta, text, [1_000 + number, viewer or f"fan{number}"], []]}


def danmaku_id(number: int) -> str:
    return f"bilibili:danmaku:{number}"
