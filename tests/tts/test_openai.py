"""An engine that is an OpenAI-compatible server: what is sent, how it streams and stops, what only a server can do wrong."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from bench.upstream import content
from bench.upstream.schedule import MACHINERY, Delays
from bench.upstream.server import Fault, Upstream, serving
from services.contract.failure import Code, Failure
from services.runtime import sound
from services.tts.adapters.openai import PIECE_BYTES, OpenAISpeech, Options, parse
from services.tts.core.ports import Voice
from tests.llm.server import Exchange, Script, hang_up, serve

KEY = "sk-canary"
TEXT = "Hello there, how are you today?"
PLAIN = {"voice": "alloy"}


@asynccontextmanager
async def speech(delays: Delays = MACHINERY, **options: Any) -> AsyncGenerator[tuple[OpenAISpeech, Upstream]]:
    app = Upstream(delays)
    async with serving(app) as url:
        made = OpenAISpeech(replace(Options("m", KEY, url), **options))
        try:
            yield made, app
        finally:
            await made.close()


async def speak(engine: OpenAISpeech, text: str = TEXT, emotion: str = "", **settings: object) -> bytes:
    voice = Voice("x", {**PLAIN, **settings})
    return b"".join([pcm async for pcm in engine.speak(text, voice, emotion)])


async def test_what_is_sent() -> None:
    """Text, model, voice, format and key; instructions, emotion and speed only where the voice has them."""
    async with speech() as (engine, app):
        await speak(engine)
        await speak(
            engine, "嗨", "happy", model="o", instructions="Calm.", speed=1.5, emotions={"happy": "Smile.", "sad": "x"}
        )
        await speak(engine, "嗨", "angry", instructions="Calm.", emotions={"happy": "Smile."})
        bodies = [request.body for request in app.requests]
        assert bodies[0] == {"input": TEXT, "model": "m", "voice": "alloy", "response_format": "pcm"}
        assert bodies[1]["model"] == "o"
        assert (bodies[1]["instructions"], bodies[1]["speed"]) == ("Calm. Smile.", 1.5)
        assert bodies[2]["instructions"] == "Calm."
        assert {request.headers["authorization"] for request in app.requests} == {f"Bearer {KEY}"}
        assert {request.path for request in app.requests} == {"/v1/audio/speech"}


@pytest.mark.parametrize("format_", ["pcm", "wav"])
async def test_every_sample_arrives(format_: str) -> None:
    """Raw or in a WAV file without a length: the sound is what the server sent, in pieces of at most 200 ms."""
    async with speech(format=format_) as (engine, _):
        pieces = [pcm async for pcm in engine.speak(TEXT * 3, Voice("x", PLAIN), "")]
        assert b"".join(pieces) == content.speech(TEXT * 3)
        assert max(map(len, pieces)) <= PIECE_BYTES


async def test_another_rate_is_resampled() -> None:
    """A WAV file of 16 kHz is heard at its own pace."""
    async with speech(format="wav") as (engine, _):
        usual, other = await speak(engine), await speak(engine, model=f"fault-{Fault.RATE}")
        assert abs(len(usual) - len(other)) <= 8
        levels = [sound.envelope(pcm, window_ms=50)[: len(usual) // 2 // 1_200] for pcm in (usual, other)]
        assert np.corrcoef(levels[0], levels[1])[0, 1] > 0.95


async def test_sound_leaves_as_it_comes() -> None:
    """The first piece is passed on while the server still speaks."""
    async with (
        speech(Delays(0, 0, 0, 0, speech_pace=1)) as (engine, app),
        aclosing(engine.speak(TEXT * 20, Voice("x", PLAIN), "")) as pieces,
    ):
        assert await anext(pieces)
        assert app.journal.lines == []


async def leave(pieces: Any) -> None:
    await pieces.aclose()


async def cancel(pieces: Any) -> None:
    task = asyncio.ensure_future(anext(pieces))
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


@pytest.mark.parametrize("how", [leave, cancel])
async def test_the_server_notices_that_nobody_listens(how: Callable[[Any], Any]) -> None:
    """Closing the sound, or cancelling who waits for it, ends the request there."""
    async with speech(Delays(0, 0, 0, 0, speech_pace=1)) as (engine, app):
        pieces = engine.speak(TEXT * 20, Voice("x", PLAIN), "")
        assert await anext(pieces)
        await how(pieces)
        await asyncio.wait_for(app.gone.wait(), 5)
        while not app.journal.lines:
            await asyncio.sleep(0)
        assert app.journal.lines[0].ended == "gone"


async def test_the_connection_is_used_again() -> None:
    """The second sentence does not pay for a new connection."""
    connections = list[asyncio.StreamWriter]()

    async def well(exchange: Exchange) -> None:
        connections.append(exchange.writer)
        pcm = content.speech("hi")
        head = f"HTTP/1.1 200 OK\r\ncontent-type: audio/pcm\r\ncontent-length: {len(pcm)}\r\n\r\n"
        exchange.writer.write(head.encode() + pcm)
        await exchange.writer.drain()

    async with served(well) as engine:
        await speak(engine)
        await speak(engine)
    assert len(set(connections)) == 1


@asynccontextmanager
async def served(*scripts: Script, **options: Any) -> AsyncGenerator[OpenAISpeech]:
    async with serve(*scripts) as server:
        engine = OpenAISpeech(replace(Options("m", KEY, server.url), **options))
        yield engine
        await engine.close()


@pytest.mark.parametrize(
    ("fault", "code", "retryable", "remedy"),
    [
        ("401", Code.ENGINE_MISSING, False, "TTS_OPENAI_API_KEY"),
        ("404", Code.ENGINE_MISSING, False, "engines.tts.openai.model"),
        ("302", Code.ENGINE_REFUSED, False, "engines.tts.openai.base_url"),
        ("400", Code.ENGINE_REFUSED, False, "answered 400"),
        ("429", Code.BUSY, True, "raise its limit"),
        ("500", Code.ENGINE_BROKEN, True, "answered 500"),
        (Fault.CUT, Code.ENGINE_BROKEN, True, "broke off"),
        (Fault.SHORT, Code.BAD_AUDIO, True, "bytes of its WAV file are missing"),
        (Fault.ERROR, Code.BAD_AUDIO, True, "it is text: .*out of memory"),
        (Fault.EMPTY, Code.BAD_AUDIO, True, "no sound in it|was empty"),
        (Fault.SILENCE, Code.ENGINE_SILENT, True, "engines.tts.openai.timeout"),
        (Fault.MUTE, Code.ENGINE_SILENT, True, "engines.tts.openai.timeout"),
    ],
)
@pytest.mark.parametrize("format_", ["pcm", "wav"])
async def test_each_fault_has_its_remedy(
    format_: str,
    fault: str,
    code: Code,
    retryable: bool,  # noqa: FBT001  a table's column
    remedy: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Nothing is passed over in silence, but half of raw sound, whose length nobody knows; the key stands nowhere."""
    caplog.set_level(logging.DEBUG)
    limit_s = 0.1 if code is Code.ENGINE_SILENT else 2.5
    async with speech(format=format_, sound_s=limit_s) as (engine, _):
        if (format_, fault) == ("pcm", Fault.SHORT):
            assert 0 < len(await speak(engine, model=f"fault-{fault}")) < len(content.speech(TEXT))
            return
        with pytest.raises(Failure, match=remedy) as caught:
            await speak(engine, model=f"fault-{fault}")
        assert (caught.value.code, caught.value.retryable) == (code, retryable)
        assert KEY not in caught.value.sentence + caplog.text


async def test_what_came_before_a_cut_is_heard() -> None:
    """The sound up to there is given, then the failure."""
    async with speech() as (engine, _):
        pieces: list[bytes] = []
        with pytest.raises(Failure, match="broke off"):
            pieces.extend([pcm async for pcm in engine.speak(TEXT, Voice("x", {**PLAIN, "model": "fault-cut"}), "")])
        async with aclosing(engine.speak(TEXT, Voice("x", {**PLAIN, "model": "fault-cut"}), "")) as sound_:
            assert content.speech(TEXT).startswith(await anext(sound_))


async def test_zeros_are_for_the_judge() -> None:
    """Digital silence is passed on as it is: what is heard is judged for all engines alike."""
    async with speech() as (engine, _):
        assert sound.is_silent(await speak(engine, model=f"fault-{Fault.ZEROS}"))


async def test_no_limit_runs_while_the_consumer_is_busy() -> None:
    """Publishing a piece may take longer than the server may be silent."""
    async with speech(sound_s=0.3) as (engine, _), aclosing(engine.speak(TEXT, Voice("x", PLAIN), "")) as pieces:
        found = [await anext(pieces)]
        await asyncio.sleep(0.4)
        found += [pcm async for pcm in pieces]
        assert b"".join(found) == content.speech(TEXT)


async def test_the_server_may_be_silent_while_the_consumer_is_busy() -> None:
    """Nobody waits for it then."""

    async def pauses(exchange: Exchange) -> None:
        pcm = content.speech(TEXT)
        await exchange.begin()
        await exchange.raw(pcm[:9_600])
        await asyncio.sleep(0.5)
        await exchange.raw(pcm[9_600:])
        await exchange.end()

    async with (
        served(pauses, sound_s=0.3) as engine,
        aclosing(engine.speak(TEXT, Voice("x", PLAIN), "")) as pieces,
    ):
        found = [await anext(pieces)]
        await asyncio.sleep(0.6)
        found += [pcm async for pcm in pieces]
        assert b"".join(found) == content.speech(TEXT)


async def test_a_server_that_hangs_up_without_an_answer() -> None:
    """It broke off, and that is what is told: it is there, and it was not silent for long."""
    async with served(hang_up) as engine:
        with pytest.raises(Failure, match="broke off") as caught:
            await speak(engine)
        assert (caught.value.code, caught.value.retryable) == (Code.ENGINE_BROKEN, True)


async def test_a_server_that_falls_silent_in_the_middle() -> None:
    """The limit between two pieces is that of the first one."""

    async def stops(exchange: Exchange) -> None:
        await exchange.begin()
        await exchange.raw(content.speech("hello"))
        await exchange.closed.wait()

    async with served(stops, sound_s=0.1) as engine:
        with pytest.raises(Failure, match=r"made no sound for 0\.1 s"):
            await speak(engine)


async def test_bytes_that_trickle_are_no_sound() -> None:
    """A head of a WAV file that comes byte by byte does not put the first sound off."""

    async def trickles(exchange: Exchange) -> None:
        await exchange.begin()
        for byte in b"RIFF" + bytes(4) + b"WAVEjunk\xff\xff\0\0" + bytes(60_000):
            await exchange.raw(bytes([byte]))
            await asyncio.sleep(0.005)

    async with served(trickles, sound_s=0.2) as engine:
        with pytest.raises(Failure, match="made no sound") as caught:
            await speak(engine)
        assert caught.value.code is Code.ENGINE_SILENT


async def listing(exchange: Exchange) -> None:
    await exchange.status(200, {"data": []})


def refusing(status: int) -> Script:
    async def script(exchange: Exchange) -> None:
        await exchange.status(status)

    return script


@pytest.mark.parametrize(
    ("status", "problem"), [(200, ""), (404, ""), (429, ""), (401, "OPENAI_API_KEY"), (500, "answered 500")]
)
async def test_check(status: int, problem: str) -> None:
    """A server without a list of models, or a busy one, counts as ready; the answer is kept for a while."""
    async with serve(refusing(status)) as server:
        engine = OpenAISpeech(Options("m", KEY, server.url))
        while "not answered yet" in (said := await engine.check()):
            pass
        assert problem in said
        assert bool(await engine.check()) is bool(problem)
        assert [request.head.split()[1] for request in server.requests] == ["/v1/models"]
        await engine.close()


async def mute(exchange: Exchange) -> None:
    await exchange.closed.wait()


async def test_a_slow_check_holds_nobody_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is not known yet is said so at once; the answer stands in a later check."""
    monkeypatch.setattr("services.tts.adapters.openai.GLANCE_S", 0)
    async with served(mute, connect_s=0.1) as engine:
        assert "has not answered yet" in await engine.check()
        while "not answered yet" in (said := await engine.check()):
            await asyncio.sleep(0.01)
        assert "has not answered for 0.2 s" in said
    async with served(mute) as engine:
        await engine.check()


@pytest.mark.parametrize("password", ["", f"user:{KEY}@"])
async def test_nobody_answers(password: str) -> None:
    """No server, and no key for the official one: each is said with its remedy and without secrets."""
    async with serve(mute) as gone:
        pass
    engine = OpenAISpeech(Options("m", "", gone.url.replace("//", f"//{password}")))
    with pytest.raises(Failure, match="start it, or correct") as caught:
        await speak(engine)
    assert (caught.value.code, caught.value.retryable) == (Code.ENGINE_MISSING, True)
    assert KEY not in caught.value.sentence
    assert "start it" in await engine.check()
    await engine.close()
    engine = OpenAISpeech(Options("m"))
    assert "set OPENAI_API_KEY" in await engine.check()
    with pytest.raises(Failure, match="set OPENAI_API_KEY"):
        await speak(engine)
    await engine.close()


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({}, "no voice is named; write voice: alloy"),
        ({"voice": 3}, "voice is 3; it must be a text"),
        ({**PLAIN, "pitch": 1}, "has no setting 'pitch'; known: voice, model, instructions, speed, emotions"),
        ({**PLAIN, "speed": "fast"}, "speed is 'fast'; it must be a number from 0.25 to 4"),
        ({**PLAIN, "speed": 5}, "speed is 5"),
        ({**PLAIN, "emotions": "happy"}, "emotions must be texts by name"),
        ({**PLAIN, "emotions": {"happy": 1}}, "emotions must be texts by name"),
    ],
)
def test_settings_are_checked(settings: dict[str, object], words: str) -> None:
    """A wrong setting is refused when the engine is made, with the voice's name and what it may be."""
    with pytest.raises(Failure, match=words) as caught:
        OpenAISpeech(Options("m"), [Voice("xiaoyi", settings)])
    assert caught.value.code is Code.BAD_CONFIG
    assert "xiaoyi" in caught.value.sentence


@pytest.mark.parametrize("before", [20, 180, 190, 280])
async def test_a_text_that_was_cut_within_the_key_does_not_tell_it(before: int) -> None:
    """Wherever an error page that repeats the key is cut, by the network or by us, no part of the key is quoted."""

    async def betrays(exchange: Exchange) -> None:
        head = "HTTP/1.1 200 OK\r\ncontent-type: audio/pcm\r\nconnection: close\r\n\r\n"
        exchange.writer.write(f"{head}{'x' * before} {KEY[:-1]}".encode())
        await exchange.writer.drain()

    async with served(betrays) as engine:
        with pytest.raises(Failure, match=r"it is text: x+") as caught:
            await speak(engine)
    assert KEY[:5] not in caught.value.sentence


def test_a_voice_needs_a_model() -> None:
    """Its own, or that of the engine."""
    assert parse(Voice("x", {**PLAIN, "model": "o"})).model == "o"
    with pytest.raises(Failure, match=r"set engines\.tts\.openai\.model"):
        parse(Voice("x", PLAIN))


@pytest.mark.parametrize("proxy", ["gopher://u:c4nary@127.0.0.1:1", "u:c4nary@h:1", "http://u:c4n/ary@h:1"])
def test_a_proxy_that_cannot_be_is_told_at_start(proxy: str) -> None:
    """What is no address is a fault of the configuration, with its name and without what was written."""
    with pytest.raises(Failure, match=r"network\.proxy") as caught:
        OpenAISpeech(Options("m", KEY, proxy=proxy))
    assert "c4n" not in caught.value.sentence
    assert caught.value.__suppress_context__
