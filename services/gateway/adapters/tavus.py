"""Tavus's REST API."""

import asyncio
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

import httpx2

from services import __version__
from services.contract.failure import Code, Failure
from services.gateway.core.tavus import answers
from services.gateway.core.tavus.answers import Page
from services.gateway.core.tavus.ports import Conversation, Persona

T = TypeVar("T", Conversation, Persona)
PAGE, PAGES = 100, 50
"""Rows that are asked for at once, and how often: what is behind them is not looked at."""
MOST_BYTES = 8 << 20
"""Of one answer."""


@dataclass(frozen=True)
class Options:
    """How Tavus is reached. All times in seconds."""

    key: str = field(repr=False)
    base_url: str
    proxy: str = field(default="", repr=False)
    connect_s: float = 4.0
    answer_s: float = 10.0
    """Of one request, from its beginning to the end of its answer."""
    create_s: float = 30.0
    """The same where Tavus makes something."""
    tries: int = 3
    """Of what may be asked twice."""
    pause_s: float = 0.4
    """Before it is asked again."""


class TavusApi:
    """Tavus. One HTTP client for the process; proxies of the environment are not used, no redirect is followed."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._client = _client(options)

    async def create(self, body: Mapping[str, Any]) -> Conversation:
        """See the port."""
        return answers.conversation(await self._once("POST", "/conversations", self._options.create_s, body))

    async def conversation(self, id_: str) -> Conversation:
        """See the port."""
        return answers.conversation(await self._often("GET", f"/conversations/{id_}"))

    async def conversations(self, status: str = "") -> list[Conversation]:
        """See the port."""
        return await self._all("/conversations", {"status": status} if status else {}, answers.conversations)

    async def end(self, id_: str) -> None:
        """See the port. To end twice is to end."""
        await self._often("POST", f"/conversations/{id_}/end")

    async def create_persona(self, body: Mapping[str, Any]) -> Persona:
        """See the port."""
        return answers.persona(await self._once("POST", "/personas", self._options.create_s, body))

    async def personas(self) -> list[Persona]:
        """See the port."""
        return await self._all("/personas", {}, answers.personas)

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def _all(self, path: str, query: Mapping[str, str], read: Callable[[bytes], Page[T]]) -> list[T]:
        """Every page, each row once; a server that always gives the same page has one."""
        rows: dict[str, T] = {}
        for number in range(1, PAGES + 1):
            asked = {**query, "limit": str(PAGE), "page": str(number)}
            page = read(await self._often("GET", path, asked))
            fresh = {row.id: row for row in page.rows if row.id not in rows}
            rows.update(fresh)
            if not fresh or (page.total is not None and len(rows) >= page.total):
                break
        return list(rows.values())

    async def _often(self, method: str, path: str, query: Mapping[str, str] | None = None) -> bytes:
        """An answer to what may be asked twice; asked again where that may help."""
        left = self._options.tries
        while True:
            left -= 1
            try:
                return await self._once(method, path, self._options.answer_s, query=query)
            except Failure as failure:
                if not left or not failure.retryable:
                    raise
            await asyncio.sleep(self._options.pause_s)

    async def _once(
        self,
        method: str,
        path: str,
        limit_s: float,
        body: Mapping[str, Any] | None = None,
        query: Mapping[str, str] | None = None,
    ) -> bytes:
        """The answer to one request; raises Failure for everything else."""
        content = None if body is None else json.dumps(body).encode()
        headers = {} if body is None else {"content-type": "application/json"}
        try:
            async with asyncio.timeout(limit_s):
                status, answer = await self._exchange(
                    self._client.build_request(method, path, content=content, headers=headers, params=query)
                )
        except (httpx2.HTTPError, TimeoutError) as error:
            raise self._failure(error, limit_s) from None  # its text may name a proxy with its password
        if 200 <= status < 300:  # noqa: PLR2004  HTTP's own numbers
            return answer
        raise answers.refusal(status, answer, self._where, self._options.key)

    async def _exchange(self, request: httpx2.Request) -> tuple[int, bytes]:
        response = await self._client.send(request, stream=True)
        try:
            answer = bytearray()
            async for part in response.aiter_bytes():
                answer += part
                if len(answer) > MOST_BYTES:
                    raise answers.broken(f"is larger than {MOST_BYTES >> 20} MiB")
            return response.status_code, bytes(answer)
        finally:
            await response.aclose()

    @property
    def _where(self) -> str:
        """Host and port; never what a URL may carry of secrets."""
        url = httpx2.URL(self._options.base_url)
        return f"Tavus ({url.host}{f':{url.port}' if url.port else ''})"

    def _failure(self, error: Exception, limit_s: float) -> Failure:
        """What the wire's trouble means; whether the request was taken is not known but where nobody could be reached."""
        if isinstance(error, httpx2.ConnectError | httpx2.ConnectTimeout | httpx2.ProxyError):
            remedy = "is this machine online, are TAVUS_BASE_URL and network.proxy right?"
            return Failure(Code.ENGINE_MISSING, f"{self._where} cannot be reached; {remedy}", retryable=True)
        if isinstance(error, TimeoutError | httpx2.TimeoutException):
            says = f"{self._where} did not answer within {limit_s:g} s; try again later"
            return Failure(Code.ENGINE_SILENT, says, retryable=True)
        says = f"the answer of {self._where} broke off ({type(error).__name__}); try again"
        return Failure(Code.ENGINE_BROKEN, says, retryable=True)


def _client(options: Options) -> httpx2.AsyncClient:
    """Raises Failure BAD_CONFIG for an address or a proxy that is none."""
    headers = {"x-api-key": options.key, "accept": "application/json", "user-agent": f"onair/{__version__}"}
    try:
        return httpx2.AsyncClient(
            base_url=options.base_url,
            headers=headers,
            timeout=httpx2.Timeout(options.create_s, connect=options.connect_s),
            proxy=options.proxy or None,
            trust_env=False,
            follow_redirects=False,
        )
    except (httpx2.InvalidURL, ValueError, ImportError) as error:
        what = "TAVUS_BASE_URL, or network.proxy for tavus, cannot be used; write https://host/v2, and http://host:port"
        raise Failure(Code.BAD_CONFIG, what) from error
