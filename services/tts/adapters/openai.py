"""Any OpenAI-compatible speech endpoint: OpenAI, Kokoro-FastAPI, Speaches, LocalAI, openedai-speech."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass, field
from typing import Any, Literal, cast

import aiohttp
import httpx2
from openai import APIConnectionError, APIStatusError, AsyncOpenAI, AsyncStream, DefaultAioHttpClient, OpenAIError

from services.contract.failure import Code, Failure, caused_by
from services.contract.tts import AIR_RATE
from services.runtime.logs import discreet, hide
from services.runtime.sound import BadSoundError
from services.runtime.words import clip
from services.tts.adapters.soxr import Resampler
from services.tts.core.incoming import Incoming
from services.tts.core.ports import Voice

OFFICIAL = "https://api.openai.com/v1"
PIECE_BYTES = AIR_RATE // 5 * 2
"""Sound is passed on in pieces of 200 ms at most, so that an interrupt is noticed in between."""
CHECK_S = 60.0
"""How long a good check holds; a bad one holds a tenth of it."""
IDLE_S = 60.0
"""A connection is kept so long for the next request: people pause for longer than a client's usual five seconds."""
CONNECTIONS = 512
"""At most, at a time: more than there may be workers."""
HANG_UPS = (httpx2.RemoteProtocolError, aiohttp.ServerDisconnectedError)
"""The server ended the connection before it answered. That, and a refused connection, AioHTTP's client tells as a timeout of
the OpenAI client: what an error was caused by says what it is."""
GLANCE_S = 0.2
"""How long a check waits for a server; what it answers later stands in the next one."""
KNOWN = ("voice", "model", "instructions", "speed", "emotions")
_SPEEDS = (0.25, 4.0)


@dataclass(frozen=True)
class Options:
    """How the endpoint is reached. All times in seconds."""

    model: str = ""
    """For voices that name none."""
    key: str = ""
    base_url: str = OFFICIAL
    proxy: str = ""
    format: Literal["pcm", "wav"] = "pcm"
    connect_s: float = 2.0
    sound_s: float = 2.5
    """To the first sound, and between two pieces of it."""


@dataclass(frozen=True)
class Settings:
    """How a voice is to sound."""

    voice: str
    model: str
    instructions: str = ""
    speed: float | None = None
    emotions: Mapping[str, str] = field(default_factory=dict[str, str])
    """Emotion → what is added to the instructions."""

    def told(self, emotion: str) -> str:
        """The instructions for that emotion; '' if there are none."""
        return " ".join(filter(None, (self.instructions, self.emotions.get(emotion, ""))))


def parse(voice: Voice, model: str = "") -> Settings:
    """A voice's settings, checked; `model` is for one that names none. Raises Failure(BAD_CONFIG) with the remedy."""
    where, given = f"voice {voice.name!r}: openai", voice.settings
    if unknown := sorted(set(given) - set(KNOWN)):
        raise Failure(Code.BAD_CONFIG, f"{where} has no setting {unknown[0]!r}; known: {', '.join(KNOWN)}")
    texts = {name: given.get(name, "") for name in ("voice", "model", "instructions")}
    if wrong := [name for name, value in texts.items() if not isinstance(value, str)]:
        raise Failure(Code.BAD_CONFIG, f"{where}: {wrong[0]} is {texts[wrong[0]]!r}; it must be a text")
    if not texts["voice"]:
        raise Failure(Code.BAD_CONFIG, f"{where}: no voice is named; write voice: alloy, or one of your server's own")
    if not (named := str(texts["model"] or model)):
        raise Failure(
            Code.BAD_CONFIG, f"{where}: no model is named; set engines.tts.openai.model, or model of the voice"
        )
    speed, emotions = given.get("speed"), given.get("emotions", {})
    if speed is not None and (not isinstance(speed, int | float) or not _SPEEDS[0] <= speed <= _SPEEDS[1]):
        raise Failure(Code.BAD_CONFIG, f"{where}: speed is {speed!r}; it must be a number from 0.25 to 4")
    told = cast("Mapping[object, object]", emotions) if isinstance(emotions, Mapping) else {0: 0}
    if not all(isinstance(text, str) for text in told.values()):
        raise Failure(Code.BAD_CONFIG, f"{where}: emotions must be texts by name, as {{happy: Speak cheerfully.}}")
    spoken = {str(name): str(text) for name, text in told.items()}
    return Settings(str(texts["voice"]), named, str(texts["instructions"]), speed, spoken)


class OpenAISpeech:
    """Speech, streamed. One HTTP client for the process; proxies of the environment are not used."""

    name = "openai"
    pool = "openai"

    def __init__(self, options: Options, voices: Sequence[Voice] = ()) -> None:
        """Check the settings of all voices; raises Failure(BAD_CONFIG)."""
        for voice in voices:
            parse(voice, options.model)
        hide(options.key)
        self._options = options
        self._client = AsyncOpenAI(
            api_key=options.key or "none", base_url=options.base_url, max_retries=0, http_client=_http(options)
        )
        self._problem = f"{self._where} has not answered yet"
        self._again = 0.0
        self._looking: asyncio.Task[None] | None = None

    async def speak(self, text: str, voice: Voice, emotion: str) -> AsyncGenerator[bytes, None]:
        """See `Engine.speak`. Servers differ in how alike two renditions of a text are."""
        settings = parse(voice, self._options.model)
        self._needs_key()
        try:
            async with aclosing(self._sound(text, settings, emotion)) as sound:
                async for pcm in sound:
                    for at in range(0, len(pcm), PIECE_BYTES):
                        yield pcm[at : at + PIECE_BYTES]
        except (OpenAIError, httpx2.HTTPError, TimeoutError) as error:
            raise self._failure(error, settings) from error
        except BadSoundError as error:
            remedy = "its log says why; engines.tts.openai.format may be pcm or wav"
            says = f"{self._where} sent no sound that can be used: {self._safe(str(error))}; {remedy}"
            raise Failure(Code.BAD_AUDIO, says, retryable=True) from error

    async def _sound(self, text: str, settings: Settings, emotion: str) -> AsyncGenerator[bytes, None]:
        """One request; no limit runs while the consumer has its turn."""
        body = {
            "input": text,
            "model": settings.model,
            "voice": settings.voice,
            "response_format": self._options.format,
        }
        extra: dict[str, Any] = {"instructions": settings.told(emotion), "speed": settings.speed}
        body |= {name: value for name, value in extra.items() if value}
        incoming, resampler, first = Incoming(), None, _now() + self._options.sound_s
        async with AsyncExitStack() as stack:
            async with asyncio.timeout_at(first):
                # The body goes as it is: to look through it costs the client time on which somebody waits.
                answer = await self._client.post(
                    "/audio/speech",
                    body=body,
                    options={"headers": {"Accept": "application/octet-stream"}},
                    cast_to=object,
                    stream=True,
                    stream_cls=AsyncStream[object],
                )
            await stack.enter_async_context(answer)
            pieces = await stack.enter_async_context(aclosing(_pieces(answer.response.aiter_bytes())))
            until = first
            while data := await _next(pieces, until):
                if pcm := incoming.feed(data):
                    resampler = resampler or Resampler(incoming.rate)
                    yield resampler.feed(pcm)
                    until = _now() + self._options.sound_s
            pcm = incoming.close()
        if not resampler and not pcm:
            raise BadSoundError("its answer was empty")
        yield (resampler or Resampler(incoming.rate)).feed(pcm, last=True)

    async def check(self) -> str:
        """Whether the endpoint lists its models; asked at most once a minute. One without a list counts as ready."""
        now = _now()
        if self._looking is None and now >= self._again:
            self._looking = asyncio.ensure_future(self._look())
        if self._looking:
            await asyncio.wait([self._looking], timeout=GLANCE_S)
        return self._problem

    async def _look(self) -> None:
        try:
            self._problem = await self._ask()
        finally:
            self._again = _now() + (CHECK_S / 10 if self._problem else CHECK_S)
            self._looking = None

    async def _ask(self) -> str:
        limit_s = self._options.connect_s * 2
        try:
            self._needs_key()
            async with asyncio.timeout(limit_s):
                await self._client.models.with_raw_response.list()
        except APIStatusError as error:
            listless = error.status_code in {404, 405, 429, 501}
            return "" if listless else self._status(error, None).sentence
        except Failure as failure:
            return failure.sentence
        except (OpenAIError, httpx2.HTTPError, TimeoutError) as error:
            silent = (
                f"{self._where} has not answered for {limit_s:g} s; does it run, is engines.tts.openai.base_url right?"
            )
            return silent if caused_by(error, TimeoutError) else self._failure(error, None).sentence
        return ""

    async def close(self) -> None:
        """See the port."""
        if self._looking:
            self._looking.cancel()
            await asyncio.wait([self._looking])
        await self._client.close()

    def _needs_key(self) -> None:
        if not self._options.key and self._options.base_url == OFFICIAL:
            remedy = "set OPENAI_API_KEY, or engines.tts.openai.base_url to a server of your own"
            raise Failure(Code.ENGINE_MISSING, f"there is no key for {self._where}; {remedy}")

    @property
    def _where(self) -> str:
        """Host and port; never what a URL may carry of secrets."""
        url = httpx2.URL(self._options.base_url)
        return f"the speech server {url.host}{f':{url.port}' if url.port else ''}"

    def _safe(self, text: str) -> str:
        return clip(discreet(text), 300)

    def _failure(self, error: Exception, settings: Settings | None) -> Failure:
        """What a client's error means."""
        where = self._where
        if isinstance(error, APIStatusError):
            return self._status(error, settings)
        if caused_by(error, TimeoutError):
            remedy = "is it overloaded? engines.tts.openai.timeout sets the limit"
            says = f"{where} made no sound for {self._options.sound_s:g} s; {remedy}"
            return Failure(Code.ENGINE_SILENT, says, retryable=True)
        if isinstance(error, APIConnectionError) and not caused_by(error, *HANG_UPS):
            remedy = "start it, or correct engines.tts.openai.base_url, OPENAI_BASE_URL or network.proxy"
            return Failure(Code.ENGINE_MISSING, f"{where} cannot be reached; {remedy}", retryable=True)
        return Failure(Code.ENGINE_BROKEN, f"the sound of {where} broke off; its log says why", retryable=True)

    def _status(self, error: APIStatusError, settings: Settings | None) -> Failure:
        status, where = error.status_code, self._where
        if status == 401:  # noqa: PLR2004  HTTP's own numbers, here and below
            remedy = "set OPENAI_API_KEY, or TTS_OPENAI_API_KEY for this service alone, to a valid one"
            return Failure(Code.ENGINE_MISSING, f"{where} refuses the key (401); {remedy}")
        if status == 404:  # noqa: PLR2004
            model = f"does not know the model {settings.model!r} or the path (404)" if settings else "has no such path"
            remedy = "correct engines.tts.openai.model or its base_url"
            return Failure(Code.ENGINE_MISSING, f"{where} {model}; {remedy}")
        if 300 <= status < 400:  # noqa: PLR2004
            remedy = "set engines.tts.openai.base_url to its end"
            return Failure(Code.ENGINE_REFUSED, f"{where} redirects ({status}), which is not followed; {remedy}")
        if status == 429:  # noqa: PLR2004
            spent = error.code == "insufficient_quota"
            remedy = "its quota is spent; add credit" if spent else "it has too many requests; raise its limit"
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
        remedy = "write http://host:port, or socks5://host:port"
        raise Failure(Code.BAD_CONFIG, f"network.proxy for openai is no address of a proxy; {remedy}") from None
    except ImportError as error:
        raise Failure(Code.BAD_CONFIG, f"network.proxy for openai cannot be used ({error})") from error


def _now() -> float:
    return asyncio.get_running_loop().time()


async def _next(pieces: AsyncGenerator[bytes, None], until: float) -> bytes:
    """The next bytes, b'' at the end; raises TimeoutError."""
    async with asyncio.timeout_at(until):
        return await anext(pieces, b"")


async def _pieces(body: AsyncIterator[bytes]) -> AsyncGenerator[bytes, None]:
    """What comes, without empty pieces."""
    async for data in body:
        if data:
            yield data
