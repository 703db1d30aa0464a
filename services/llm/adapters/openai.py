"""Any OpenAI-compatible chat endpoint: OpenAI, Ark, DeepSeek, Ollama, vLLM, LM Studio."""

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import AsyncExitStack, aclosing, suppress
from dataclasses import dataclass
from typing import Any, cast

import aiohttp
import httpx2
from openai import APIConnectionError, APIStatusError, AsyncOpenAI, AsyncStream, DefaultAioHttpClient, OpenAIError

from services.contract.failure import Code, Failure, caused_by
from services.runtime.logs import discreet, hide
from services.runtime.words import clip

OFFICIAL = "https://api.openai.com/v1"
RETRIES = 1
"""How often a request is sent again at once, if nothing of its answer has come."""
LINE_LIMIT = 1 << 20
"""Bytes of one line of the stream."""
CHECK_S = 60.0
"""How long a good check holds; a bad one holds a tenth of it."""
IDLE_S = 60.0
"""A connection is kept so long for the next request: people pause for longer than a client's usual five seconds."""
CONNECTIONS = 512
"""At most, at a time: more than there may be workers."""
HANG_UPS = (httpx2.RemoteProtocolError, aiohttp.ServerDisconnectedError)
"""The server ended the connection before it answered. That, and a refused connection, AioHTTP's client tells as a timeout of
the OpenAI client: what an error was caused by says what it is."""


@dataclass(frozen=True)
class Options:
    """How the endpoint is reached. All times in seconds."""

    model: str
    key: str = ""
    base_url: str = OFFICIAL
    proxy: str = ""
    connect_s: float = 2.0
    token_s: float = 10.0
    """To the first token, and between two."""
    room_s: float = 4.0
    """To the first token of an answer that a room waits for, retries included."""
    total_s: float = 90.0
    rest_s: float = 0.1
    """What a server gets to end its response after its last event."""
    pause_s: float = 0.3
    """Before a retry."""


class OpenAIModel:
    """Chat completions, streamed. One HTTP client for the process; proxies of the environment are not used."""

    name = "openai"

    def __init__(self, options: Options) -> None:
        hide(options.key)
        self._options = options
        self._client = AsyncOpenAI(
            api_key=options.key or "none", base_url=options.base_url, max_retries=0, http_client=_http(options)
        )
        self._problem = ""
        self._checked = 0.0

    async def answer(
        self, messages: Sequence[tuple[str, str]], *, session: str, hurry: bool = False
    ) -> AsyncGenerator[str, None]:
        """See the port. `session` is not sent: it is nobody's business there."""
        del session
        begin = _now()
        end = begin + self._options.total_s
        first = begin + self._options.room_s if hurry else end
        for attempt in range(RETRIES + 1):
            began = False
            try:
                async with aclosing(self._once(messages, end, first)) as deltas:
                    async for delta in deltas:
                        began = True
                        yield delta
            except (OpenAIError, httpx2.HTTPError, TimeoutError) as error:
                silent = caused_by(error, TimeoutError)
                failure = self._silent(_now() >= first) if silent else self._failure(error, began=began)
            except Failure as known:
                failure = known
            else:
                return
            if began or not failure.retryable or attempt == RETRIES or _now() + self._options.pause_s >= first:
                raise failure
            await asyncio.sleep(self._options.pause_s)

    async def check(self) -> str:
        """Whether the endpoint lists its models; asked at most once a minute. One without a list counts as ready."""
        now = _now()
        if self._checked and now - self._checked < (CHECK_S / 10 if self._problem else CHECK_S):
            return self._problem
        self._problem, self._checked = "", now
        limit_s = self._options.connect_s * 2
        try:
            async with asyncio.timeout(limit_s):
                await self._client.models.with_raw_response.list()
        except APIStatusError as error:
            if error.status_code not in {404, 405, 429, 501}:
                self._problem = self._status(error).sentence
        except (OpenAIError, httpx2.HTTPError, TimeoutError) as error:
            silent = f"{self._where} has not answered for {limit_s:g} s; does it run, and is OPENAI_BASE_URL right?"
            self._problem = silent if caused_by(error, TimeoutError) else self._failure(error, began=False).sentence
        return self._problem

    async def close(self) -> None:
        """See the port."""
        await self._client.close()

    async def _once(self, messages: Sequence[tuple[str, str]], end: float, first: float) -> AsyncGenerator[str, None]:
        """One request; non-empty deltas, one of them by `first`. No limit runs while the consumer has its turn."""
        said = [{"role": role, "content": content} for role, content in messages]
        body = {"model": self._options.model, "messages": said, "stream": True}
        finished = False
        async with AsyncExitStack() as stack:
            async with self._patience(first):
                # The body goes as it is: to look through it costs the client time on which somebody waits.
                stream = await self._client.post(
                    "/chat/completions", body=body, cast_to=object, stream=True, stream_cls=AsyncStream[object]
                )
            await stack.enter_async_context(stream)
            events = await stack.enter_async_context(aclosing(_events(stream.response.aiter_bytes())))
            until = first
            while data := await self._next(events, until):
                if data == "[DONE]":
                    await self._rest(events)
                    return
                delta, ended = self._delta(data)
                finished = finished or ended
                if delta:
                    until = end
                    yield delta
        if not finished:
            raise self._broken()

    def _patience(self, end: float) -> asyncio.Timeout:
        return asyncio.timeout_at(min(end, _now() + self._options.token_s))

    async def _next(self, events: AsyncGenerator[str, None], end: float) -> str:
        async with self._patience(end):
            return await anext(events, "")

    async def _rest(self, events: AsyncGenerator[str, None]) -> None:
        """Read to the end, which mostly is there already: only then can the connection be used again."""
        with suppress(TimeoutError):
            async with asyncio.timeout(self._options.rest_s):
                await anext(events, "")

    def _delta(self, data: str) -> tuple[str, bool]:
        """Text of one event, and whether it is the last with text. Null contents and empty choices are no text."""
        try:
            event = json.loads(data)
            if event.get("error"):
                raise self._told(event["error"])
            choices = cast("list[Any]", event.get("choices") or [{}])
            delta = cast("dict[str, Any]", choices[0].get("delta") or {})
            return str(delta.get("content") or ""), bool(choices[0].get("finish_reason"))
        except (ValueError, AttributeError, LookupError, TypeError) as error:
            raise Failure(
                Code.ENGINE_BROKEN,
                f"{self._where} sent what is no chat completion ({type(error).__name__}); does its URL end in /v1?",
            ) from error

    @property
    def _where(self) -> str:
        """Host and port; never what a URL may carry of secrets."""
        url = httpx2.URL(self._options.base_url)
        return f"the model server {url.host}{f':{url.port}' if url.port else ''}"

    def _told(self, error: object) -> Failure:
        text = str(cast("dict[str, Any]", error).get("message", "")) if isinstance(error, dict) else str(error)
        return Failure(Code.ENGINE_BROKEN, f"{self._where} reports: {self._safe(text)}", retryable=True)

    def _safe(self, text: str) -> str:
        return clip(discreet(text), 300)

    def _failure(self, error: Exception, *, began: bool) -> Failure:
        """What a client's error means."""
        if isinstance(error, APIStatusError):
            return self._status(error)
        if began or not isinstance(error, APIConnectionError) or caused_by(error, *HANG_UPS):
            return self._broken()
        remedy = "start it, or correct OPENAI_BASE_URL or network.proxy"
        return Failure(Code.ENGINE_MISSING, f"{self._where} cannot be reached; {remedy}", retryable=True)

    def _silent(self, room: bool) -> Failure:  # noqa: FBT001  one of two limits
        """It did not answer within the limit: the room's, or the one between two tokens."""
        name, limit_s = ("room_timeout", self._options.room_s) if room else ("timeout", self._options.token_s)
        remedy = f"does it run, is it overloaded? engines.llm.openai.{name} sets the limit"
        return Failure(
            Code.ENGINE_SILENT, f"{self._where} did not answer within {limit_s:g} s; {remedy}", retryable=True
        )

    def _broken(self) -> Failure:
        return Failure(Code.ENGINE_BROKEN, f"the answer of {self._where} broke off; its log says why", retryable=True)

    def _status(self, error: APIStatusError) -> Failure:
        status, where = error.status_code, self._where
        if status == 401:  # noqa: PLR2004  HTTP's own numbers, here and below
            return Failure(Code.ENGINE_MISSING, f"{where} refuses the key (401); set OPENAI_API_KEY to a valid one")
        if status == 404:  # noqa: PLR2004
            model = f"does not know the model {self._options.model!r} or the path (404)"
            return Failure(Code.ENGINE_MISSING, f"{where} {model}; correct engines.llm.openai.model or OPENAI_BASE_URL")
        if 300 <= status < 400:  # noqa: PLR2004
            return Failure(
                Code.ENGINE_REFUSED,
                f"{where} redirects ({status}), which is not followed; set OPENAI_BASE_URL to its end",
            )
        if status == 429:  # noqa: PLR2004
            spent = error.code == "insufficient_quota"
            remedy = (
                "its quota is spent; add credit" if spent else "it has too many requests; try again or raise its limit"
            )
            return Failure(Code.BUSY, f"{where} is busy (429): {remedy}", retryable=not spent)
        code = Code.ENGINE_BROKEN if status >= 500 else Code.ENGINE_REFUSED  # noqa: PLR2004
        told = self._safe(error.message)
        return Failure(code, f"{where} answered {status}: {told}", retryable=code is Code.ENGINE_BROKEN)


def _http(options: Options) -> httpx2.AsyncClient:
    """AioHTTP sends a request a fraction of a millisecond sooner; it knows neither SOCKS nor an address with a password."""
    plain = options.proxy or httpx2.URL(options.base_url).userinfo
    pool = httpx2.Limits(max_connections=CONNECTIONS, keepalive_expiry=IDLE_S)
    patience = httpx2.Timeout(None, connect=options.connect_s)  # reading has its limits here, while somebody reads
    try:
        return (httpx2.AsyncClient if plain else DefaultAioHttpClient)(
            timeout=patience, limits=pool, proxy=options.proxy or None, trust_env=False, follow_redirects=False
        )
    except (ValueError, httpx2.InvalidURL):
        remedy = "write http://host:port, or socks5://host:port with the extra `proxy` installed"
        raise Failure(Code.BAD_CONFIG, f"network.proxy for openai is no address of a proxy; {remedy}") from None
    except ImportError as error:
        raise Failure(Code.BAD_CONFIG, f"network.proxy for openai cannot be used ({error})") from error


def _now() -> float:
    return asyncio.get_running_loop().time()


async def _events(chunks: AsyncIterator[bytes]) -> AsyncGenerator[str, None]:
    """The non-empty `data:` of server-sent events. Lines end with LF or CRLF only: text may hold other line separators."""
    buffer = b""
    async for chunk in chunks:
        *lines, buffer = (buffer + chunk).split(b"\n")
        if len(buffer) > LINE_LIMIT:
            raise Failure(Code.ENGINE_BROKEN, "the model server sent a line of more than a mebibyte")
        for line in lines:
            if line.startswith(b"data:") and (data := line[5:].strip()):
                yield data.decode(errors="replace")
    if buffer.startswith(b"data:") and (data := buffer[5:].strip()):
        yield data.decode(errors="replace")
