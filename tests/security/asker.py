"""Asks a house everything that it answers, and keeps whatever comes: each route, each page, each socket, each health port."""

import asyncio
import base64
import contextlib
import json
import sys
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import httpx2
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake

from tests.caller import request
from tests.security.canaries import Canary, Search
from tests.security.ground import ROOT
from tests.security.house import House

PATIENCE_S = 15
LISTENS_S = 1.5
HEALTH = ("/healthz", "/readyz", "/metrics")
PAGES = ("/", "/rooms/main", "/console", "/talk", "/web/stage.css", "/openapi.json", "/nowhere", "/api/console/stream")
SOCKETS = ("/api/rooms/main/stage", "/ws?v=2", "/nowhere?ticket=wrong")
CLIP = base64.b64encode((ROOT / "examples" / "weather-en.wav").read_bytes()).decode()
KNOWN = (("{room}", "main"), ("{report}", "0123456789abcdef"), ("{letter}", "1-0"), ("{name}", "stage.css"))


class Asker:
    """A client that tells the search everything."""

    def __init__(self, home: House, search: Search, token: str) -> None:
        self._home = home
        self._search = search
        self._url = f"http://{home.own}:{home.port}"
        self._client = httpx2.AsyncClient(
            timeout=PATIENCE_S, headers={"Authorization": f"Bearer {token}"}, trust_env=False
        )
        self.answers = 0

    async def close(self) -> None:
        """Close all connections."""
        await self._client.aclose()

    async def ask(self, method: str, url: str, body: object = None) -> bytes:
        """The whole answer, or as much of it as comes in time; what the search is told is head and body."""
        said = b""
        with contextlib.suppress(httpx2.HTTPError, TimeoutError):
            async with asyncio.timeout(PATIENCE_S), self._client.stream(method, url, json=body) as answer:
                self.answers += 1
                self._search.look(f"{method} {url.removeprefix(self._url)}", str(answer.headers).encode())
                with contextlib.suppress(httpx2.HTTPError, TimeoutError):
                    async with asyncio.timeout(LISTENS_S if "stream" in url else PATIENCE_S):
                        async for part in answer.aiter_bytes():
                            said += part
        self._search.look(f"{method} {url.removeprefix(self._url)}", said)
        return said

    async def talk(self) -> None:
        """What people want of it: answers, a clip understood, an event answered, a report; each meets the engines."""
        history = {"msg": [{"role": "user", "content": "turn 7, please"}]}
        event = {"kind": "super_chat", "text": "turn 8", "amount_fen": 3_000, "viewer": "x"}
        wanted = (
            ("/api/chat", history), ("/api/chat?v=2", history), ("/api/asr", {"data": CLIP}),
            ("/api/rooms/main/events", event), ("/api/rooms/main/reports", {"hours": 1}),
        )  # fmt: skip
        await asyncio.gather(*(self.ask("POST", self._url + path, body) for path, body in wanted), self.call())

    async def call(self) -> None:
        """A call in which something is asked."""
        await self.listen(
            "/api/live_voice_call/chat", request("BotUpdateConfig", onair=True), request("TextInput", text="turn 9")
        )

    async def listen(self, path: str, *said: bytes | str, wait_s: float = LISTENS_S) -> int:
        """What a socket says for a while, the way it is refused or closed included; how many messages came."""
        count, url = 0, f"{self._url.replace('http', 'ws')}{path}"
        try:
            async with asyncio.timeout(wait_s), connect(url, compression=None, proxy=None) as socket:
                for each in said:
                    await socket.send(each)
                while True:
                    data = await socket.recv()
                    count += 1
                    self._search.look(f"WS {path}", data if isinstance(data, bytes) else data.encode())
        except ConnectionClosed as error:
            self._search.look(f"WS {path}", f"{error} {error.rcvd}".encode())
        except InvalidHandshake as error:
            told = vars(getattr(error, "response", None) or error)
            self._search.look(f"WS {path}", repr(told).encode())
        except (OSError, TimeoutError):
            return count
        return count

    async def everything(self) -> None:
        """Each route of the OpenAPI, each page, the health ports of all services, the sockets."""
        spec = json.loads(await self.ask("GET", f"{self._url}/openapi.json"))
        routes = [(method.upper(), _known(path)) for path, methods in spec["paths"].items() for method in methods]
        routes = [route for route in routes if not route[1].endswith(("/tickets", "/silence"))]
        for method, path in [*routes, *(("GET", page) for page in PAGES)]:
            await self.ask(method, self._url + path, {} if method == "POST" else None)
        await self.health()
        await asyncio.gather(*(self.listen(path, "conversation_id:main") for path in SOCKETS))

    async def health(self) -> None:
        """What each process says of itself."""
        ports = [int(note["health_port"]) for note in self._home.notes()]
        await asyncio.gather(*(self.ask("GET", f"http://127.0.0.1:{port}{path}") for port in ports for path in HEALTH))

    async def ticket(self) -> Canary:
        """A ticket, shown once where it is good and once where it is not any more."""
        answer = await self._client.post(f"{self._url}/api/tickets")
        canary = Canary.found("ticket", str(answer.json()["ticket"]))
        self._search.canaries.append(canary)
        for _ in range(2):
            await self.listen(f"{SOCKETS[0]}?ticket={canary.value}", wait_s=0.5)
        return canary


def _known(path: str) -> str:
    for name, value in KNOWN:
        path = path.replace(name, value)
    return path


@asynccontextmanager
async def asking(home: House, search: Search, token: str) -> AsyncGenerator[Asker]:
    """An asker of that house."""
    asker = Asker(home, search, token)
    try:
        yield asker
    finally:
        await asker.close()


async def command(folder: Path, environ: Mapping[str, str], *words: str) -> tuple[int, bytes]:
    """Exit code of `python -m …`, and all that it said; it is ended if it goes on for long."""
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", *words, cwd=folder, env=dict(environ), stdout=pipe, stderr=asyncio.subprocess.STDOUT
    )
    try:
        async with asyncio.timeout(2 * PATIENCE_S):
            said, _ = await process.communicate()
    except TimeoutError:
        process.kill()
        said, _ = await process.communicate()
    return process.returncode or 0, said
