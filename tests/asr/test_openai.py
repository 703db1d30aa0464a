"""Ears that are an OpenAI-compatible server: what is sent, and what only a server can do wrong."""

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest

from bench.upstream.schedule import MACHINERY
from bench.upstream.server import Fault, Upstream, serving
from services.asr.adapters.openai import OpenAIEars, Options
from services.asr.core.pcm import HEARD_RATE
from services.contract.failure import Code, Failure
from services.runtime import sound
from tests.llm.server import Exchange, Script, serve

KEY = "sk-canary"
LOUD = b"\0\x40" * HEARD_RATE


@asynccontextmanager
async def ears(model: str = "m", **options: Any) -> AsyncGenerator[tuple[OpenAIEars, Upstream]]:
    app = Upstream(MACHINERY)
    async with serving(app) as url:
        made = OpenAIEars(replace(Options(model, KEY, url, pause_s=0), **options))
        try:
            yield made, app
        finally:
            await made.close()


async def failure_of(engine: OpenAIEars) -> Failure:
    with pytest.raises(Failure) as caught:
        await engine.recognise(LOUD, "en")
    return caught.value


async def test_what_is_sent() -> None:
    """One WAV of 16 kHz with model, hint and key; without a hint nothing is said of the language."""
    async with ears() as (engine, app):
        assert await engine.recognise(LOUD, "zh") == "This is turn 1."
        assert await engine.recognise(LOUD, "") == "This is turn 2."
        first, second = app.requests
        assert first.path == "/v1/audio/transcriptions"
        assert first.headers["authorization"] == f"Bearer {KEY}"
        assert first.body == {"model": "m", "language": "zh", "response_format": "json"}
        assert sound.read_wav(first.clip) == (HEARD_RATE, 1, LOUD)
        assert "language" not in second.body


async def test_silence_is_not_sent() -> None:
    """Models invent words for silence; they are not asked."""
    async with ears() as (engine, app):
        assert await engine.recognise(bytes(HEARD_RATE), "") == ""
        assert app.requests == []


async def test_no_words() -> None:
    """A server that hears nothing gives ''."""
    async with ears(f"fault-{Fault.EMPTY}") as (engine, _):
        assert await engine.recognise(LOUD, "") == ""


@pytest.mark.parametrize(
    ("fault", "code", "retryable", "remedy"),
    [
        ("401", Code.ENGINE_MISSING, False, "ASR_OPENAI_API_KEY"),
        ("404", Code.ENGINE_MISSING, False, "engines.asr.openai.model"),
        ("302", Code.ENGINE_REFUSED, False, "engines.asr.openai.base_url"),
        ("400", Code.ENGINE_REFUSED, False, "answered 400"),
        ("429", Code.BUSY, True, "raise its limit"),
        ("500", Code.ENGINE_BROKEN, True, "answered 500"),
        (Fault.CUT, Code.ENGINE_BROKEN, True, "broke off"),
        (Fault.ERROR, Code.ENGINE_BROKEN, True, "reports: out of memory"),
        (Fault.SILENCE, Code.ENGINE_SILENT, True, "engines.asr.openai.timeout"),
        (Fault.MUTE, Code.ENGINE_SILENT, True, "engines.asr.openai.timeout"),
    ],
)
async def test_each_fault_has_its_remedy(
    fault: str,
    code: Code,
    retryable: bool,  # noqa: FBT001  a table's column
    remedy: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """What may succeed is sent once more, within the time there is; the key stands in no sentence and in no log."""
    caplog.set_level(logging.DEBUG)
    silent = code is Code.ENGINE_SILENT
    async with ears(f"fault-{fault}", total_s=0.1 if silent else 10) as (engine, app):
        failure = await failure_of(engine)
        assert (failure.code, failure.retryable) == (code, retryable)
        assert remedy in failure.sentence
        assert len(app.requests) == (2 if retryable and not silent else 1)
        assert KEY not in failure.sentence + caplog.text


def telling(body: bytes, status: int = 200) -> Script:
    async def script(exchange: Exchange) -> None:
        head = f"HTTP/1.1 {status} X\r\nconnection: close\r\ncontent-length: {len(body)}\r\n\r\n"
        exchange.writer.write(head.encode() + body)
        await exchange.writer.drain()

    return script


@asynccontextmanager
async def told(*scripts: Script, **options: Any) -> AsyncGenerator[OpenAIEars]:
    async with serve(*scripts) as server:
        engine = OpenAIEars(replace(Options("m", KEY, server.url, pause_s=0), **options))
        yield engine
        await engine.close()


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"<html>", "no JSON"),
        (b"[1]", "without a text"),
        (b'{"text": 3}', "without a text"),
        (b'{"error": "gone sk-canary"}', r"reports: gone \*\*\*"),
        (b" " * ((1 << 20) + 1), "more than a mebibyte"),
    ],
)
async def test_answers_that_are_none(body: bytes, words: str) -> None:
    """200 with anything but a text is a failure that says what came, without the key."""
    async with form_free(telling(body), telling(body)) as engine:
        with pytest.raises(Failure, match=words) as caught:
            await engine.recognise(LOUD, "")
        assert caught.value.code is Code.ENGINE_BROKEN


@asynccontextmanager
async def form_free(*scripts: Script) -> AsyncGenerator[OpenAIEars]:
    """A server that reads the form without looking at it, and answers by one script after the other."""
    left = list(scripts)

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        length = next(int(line.split(":")[1]) for line in head.splitlines() if line.startswith("content-length:"))
        await reader.readexactly(length)
        await left.pop(0)(Exchange(head, {}, writer, asyncio.Event()))
        writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
    engine = OpenAIEars(Options("m", KEY, url, pause_s=0))
    try:
        yield engine
    finally:
        await engine.close()
        server.close()
        await server.wait_closed()


@pytest.mark.parametrize("first", [telling(b"{}", 503), telling(b'{"error": "busy"}')])
async def test_a_server_that_recovers(first: Script) -> None:
    """One failure goes unnoticed, be it a status or an error in an answer."""
    async with form_free(first, telling(b'{"text": " good "}')) as engine:
        assert await engine.recognise(LOUD, "") == "good"


@pytest.mark.parametrize(
    ("status", "problem"), [(200, ""), (404, ""), (429, ""), (401, "OPENAI_API_KEY"), (500, "answered 500")]
)
async def test_check(status: int, problem: str) -> None:
    """A server without a list of models, or a busy one, counts as ready; the answer is kept for a while."""
    async with serve(telling(b"{}", status)) as server:
        engine = OpenAIEars(Options("m", KEY, server.url))
        assert problem in await engine.check()
        assert bool(await engine.check()) is bool(problem)
        assert [request.head.split()[1] for request in server.requests] == ["/v1/models"]
        await engine.close()


async def test_nobody_answers() -> None:
    """No server, a silent one, no key for the official one: each is said with its remedy and without secrets."""
    async with serve(telling(b"")) as gone:
        pass
    engine = OpenAIEars(Options("m", "", gone.url.replace("//", f"//user:{KEY}@"), pause_s=0))
    assert "start it, or correct engines.asr.openai.base_url" in await engine.check()
    failure = await failure_of(engine)
    assert (failure.code, failure.retryable, KEY in failure.sentence) == (Code.ENGINE_MISSING, True, False)
    await engine.close()
    async with told(mute, connect_s=0.05) as engine:
        assert "has not answered for 0.1 s" in await engine.check()
    engine = OpenAIEars(Options("m"))
    assert "set OPENAI_API_KEY" in await engine.check()
    assert (await failure_of(engine)).code is Code.ENGINE_MISSING
    await engine.close()


async def mute(exchange: Exchange) -> None:
    await exchange.closed.wait()


async def test_a_cancelled_recognition_ends_the_request() -> None:
    """Who does not wait any more leaves no request behind."""
    async with ears(f"fault-{Fault.SILENCE}") as (engine, app):
        waiting = asyncio.ensure_future(engine.recognise(LOUD, ""))
        while not app.requests:
            await asyncio.sleep(0.001)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        await asyncio.wait_for(app.gone.wait(), 5)


@pytest.mark.parametrize("proxy", ["gopher://u:c4nary@127.0.0.1:1", "u:c4nary@h:1", "http://u:c4n/ary@h:1"])
def test_a_proxy_that_cannot_be_is_told_at_start(proxy: str) -> None:
    """What is no address is a fault of the configuration, with its name and without what was written."""
    with pytest.raises(Failure, match=r"network\.proxy") as caught:
        OpenAIEars(Options("m", KEY, proxy=proxy))
    assert "c4n" not in caught.value.sentence
    assert caught.value.__suppress_context__
