"""Any OpenAI-compatible endpoint that recognises speech: OpenAI, Speaches, LocalAI, vLLM, whisper servers."""

import asyncio
import json
from dataclasses import dataclass
from typing import Any, cast

import httpx2
from openai import APIConnectionError, APIStatusError, APITimeoutError, AsyncOpenAI, OpenAIError, omit

from services.asr.core.pcm import HEARD_RATE
from services.contract.failure import Code, Failure
from services.runtime import sound
from services.runtime.logs import discreet, hide
from services.runtime.words import clip

OFFICIAL = "https://api.openai.com/v1"
RETRIES = 1
"""How often a clip is sent again at once."""
TEXT_LIMIT = 1 << 20
"""Bytes of an answer."""
CHECK_S = 60.0
"""How long a good check holds; a bad one holds a tenth of it."""
IDLE_S = 60.0
"""A connection is kept so long for the next request: people pause for longer than a client's usual five seconds."""


@dataclass(frozen=True)
class Options:
    """How the endpoint is reached. All times in seconds."""

    model: str
    key: str = ""
    base_url: str = OFFICIAL
    proxy: str = ""
    connect_s: float = 2.0
    total_s: float = 10.0
    """For one utterance, the retry included."""
    pause_s: float = 0.3
    """Before the retry."""


class OpenAIEars:
    """Transcriptions. One HTTP client for the process; proxies of the environment are not used."""

    name = "openai"
    languages = ("zh", "en", "ja", "ko", "yue", "de", "fr", "es", "it", "pt", "ru")
    """What models of this kind have in common; most know many more."""
    parallel = True

    def __init__(self, options: Options) -> None:
        hide(options.key)
        self._options = options
        self._client = AsyncOpenAI(
            api_key=options.key or "none", base_url=options.base_url, max_retries=0, http_client=_http(options)
        )
        self._problem = ""
        self._checked = 0.0

    async def recognise(self, pcm16k: bytes, language: str) -> str:
        """See the port. Silence is not sent: models of this kind invent words for it."""
        if sound.is_silent(pcm16k, HEARD_RATE):
            return ""
        self._needs_key()
        wav, end = sound.write_wav(pcm16k, HEARD_RATE), _now() + self._options.total_s
        left = RETRIES
        while True:
            try:
                async with asyncio.timeout_at(end):
                    return self._text(await self._once(wav, language))
            except (OpenAIError, httpx2.HTTPError, TimeoutError) as error:
                failure = self._failure(error)
            except Failure as known:
                failure = known
            if not failure.retryable or not left or _now() + self._options.pause_s >= end:
                raise failure
            left -= 1
            await asyncio.sleep(self._options.pause_s)

    async def _once(self, wav: bytes, language: str) -> bytes:
        """One request; the body of its answer."""
        request = self._client.audio.transcriptions.with_streaming_response.create(
            file=("speech.wav", wav, "audio/wav"),
            model=self._options.model,
            response_format="json",
            language=language or omit,
        )
        body = bytearray()
        async with request as response:
            async for data in response.iter_bytes():
                body += data
                if len(body) > TEXT_LIMIT:
                    raise self._odd("more than a mebibyte")
        return bytes(body)

    def _text(self, body: bytes) -> str:
        try:
            found: object = json.loads(body)
        except ValueError as error:
            raise self._odd("no JSON") from error
        table = cast("dict[str, Any]", found) if isinstance(found, dict) else {}
        if isinstance(text := table.get("text"), str):
            return text.strip()
        if told := table.get("error"):
            says = cast("dict[str, Any]", told).get("message", "") if isinstance(told, dict) else told
            raise Failure(Code.ENGINE_BROKEN, f"{self._where} reports: {self._safe(str(says))}", retryable=True)
        raise self._odd("JSON without a text")

    def _odd(self, what: str) -> Failure:
        return Failure(Code.ENGINE_BROKEN, f"{self._where} sent {what}; does engines.asr.openai.base_url end in /v1?")

    def listen(self, language: str) -> None:
        """It tells nothing before the end of an utterance."""

    async def check(self) -> str:
        """Whether the endpoint lists its models; asked at most once a minute. One without a list counts as ready."""
        now = _now()
        if self._checked and now - self._checked < (CHECK_S / 10 if self._problem else CHECK_S):
            return self._problem
        self._problem, self._checked = "", now
        limit_s = self._options.connect_s * 2
        try:
            self._needs_key()
            async with asyncio.timeout(limit_s):
                await self._client.models.with_raw_response.list()
        except Failure as failure:
            self._problem = failure.sentence
        except APIStatusError as error:
            if error.status_code not in {404, 405, 429, 501}:
                self._problem = self._status(error).sentence
        except (OpenAIError, httpx2.HTTPError, TimeoutError) as error:
            silent = (
                f"{self._where} has not answered for {limit_s:g} s; does it run, is engines.asr.openai.base_url right?"
            )
            self._problem = silent if _is_silence(error) else self._failure(error).sentence
        return self._problem

    async def close(self) -> None:
        """See the port."""
        await self._client.close()

    def _needs_key(self) -> None:
        if not self._options.key and self._options.base_url == OFFICIAL:
            remedy = "set OPENAI_API_KEY, or engines.asr.openai.base_url to a server of your own"
            raise Failure(Code.ENGINE_MISSING, f"there is no key for {self._where}; {remedy}")

    @property
    def _where(self) -> str:
        """Host and port; never what a URL may carry of secrets."""
        url = httpx2.URL(self._options.base_url)
        return f"the recogniser {url.host}{f':{url.port}' if url.port else ''}"

    def _safe(self, text: str) -> str:
        return clip(discreet(text), 300)

    def _failure(self, error: Exception) -> Failure:
        """What a client's error means."""
        where = self._where
        if isinstance(error, APIStatusError):
            return self._status(error)
        if _is_silence(error):
            remedy = "is it overloaded? engines.asr.openai.timeout sets the limit"
            says = f"{where} did not answer within {self._options.total_s:g} s; {remedy}"
            return Failure(Code.ENGINE_SILENT, says, retryable=True)
        if isinstance(error, APIConnectionError) and not isinstance(error.__cause__, httpx2.RemoteProtocolError):
            remedy = "start it, or correct engines.asr.openai.base_url, OPENAI_BASE_URL or network.proxy"
            return Failure(Code.ENGINE_MISSING, f"{where} cannot be reached; {remedy}", retryable=True)
        return Failure(Code.ENGINE_BROKEN, f"the answer of {where} broke off; its log says why", retryable=True)

    def _status(self, error: APIStatusError) -> Failure:
        status, where = error.status_code, self._where
        if status == 401:  # noqa: PLR2004  HTTP's own numbers, here and below
            remedy = "set OPENAI_API_KEY, or ASR_OPENAI_API_KEY for this service alone, to a valid one"
            return Failure(Code.ENGINE_MISSING, f"{where} refuses the key (401); {remedy}")
        if status == 404:  # noqa: PLR2004
            model = f"does not know the model {self._options.model!r} or the path (404)"
            remedy = "correct engines.asr.openai.model or its base_url"
            return Failure(Code.ENGINE_MISSING, f"{where} {model}; {remedy}")
        if 300 <= status < 400:  # noqa: PLR2004
            remedy = "set engines.asr.openai.base_url to its end"
            return Failure(Code.ENGINE_REFUSED, f"{where} redirects ({status}), which is not followed; {remedy}")
        if status == 429:  # noqa: PLR2004
            spent = error.code == "insufficient_quota"
            remedy = "its quota is spent; add credit" if spent else "it has too many requests; raise its limit"
            return Failure(Code.BUSY, f"{where} is busy (429): {remedy}", retryable=not spent)
        code = Code.ENGINE_BROKEN if status >= 500 else Code.ENGINE_REFUSED  # noqa: PLR2004
        told = self._safe(error.message)
        return Failure(code, f"{where} answered {status}: {told}", retryable=code is Code.ENGINE_BROKEN)


def _http(options: Options) -> httpx2.AsyncClient:
    patience, pool = httpx2.Timeout(options.total_s, connect=options.connect_s), httpx2.Limits(keepalive_expiry=IDLE_S)
    try:
        return httpx2.AsyncClient(
            timeout=patience, limits=pool, proxy=options.proxy or None, trust_env=False, follow_redirects=False
        )
    except (ValueError, httpx2.InvalidURL):
        remedy = "write http://host:port, or socks5://host:port"
        raise Failure(Code.BAD_CONFIG, f"network.proxy for openai is no address of a proxy; {remedy}") from None
    except ImportError as error:
        raise Failure(Code.BAD_CONFIG, f"network.proxy for openai cannot be used ({error})") from error


def _is_silence(error: Exception) -> bool:
    return isinstance(error, APITimeoutError | httpx2.TimeoutException | TimeoutError)


def _now() -> float:
    return asyncio.get_running_loop().time()
