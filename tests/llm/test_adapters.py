"""Models: one suite for all of them, and what only a server can do wrong."""

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest

from services.contract.failure import Code, Failure
from services.llm.adapters.openai import LINE_LIMIT, OpenAIModel, Options
from services.llm.adapters.scripted import ScriptedModel, script
from services.llm.core import prompt
from services.llm.core.ports import Model
from services.llm.core.sentences import Splitter
from tests.llm.server import Exchange, Script, Server, hang_up, serve, well

ASK = [("system", "你是主播。"), ("user", "你好")]
KEY = "sk-canary"


@asynccontextmanager
async def openai(*scripts: Script, **options: Any) -> AsyncGenerator[tuple[OpenAIModel, Server]]:
    async with serve(*scripts) as server:
        model = OpenAIModel(replace(Options("m", KEY, server.url, token_s=5, pause_s=0), **options))
        try:
            yield model, server
        finally:
            await model.close()


@pytest.fixture(params=["scripted", "openai"])
async def model(request: pytest.FixtureRequest) -> AsyncIterator[Model]:
    if request.param == "scripted":
        yield ScriptedModel(0)
        return
    async with openai(well) as (made, _):
        yield made


async def whole(model: Model, messages: list[tuple[str, str]] | None = None) -> str:
    async with aclosing(model.answer(ASK if messages is None else messages, session="s")) as deltas:
        return "".join([delta async for delta in deltas])


async def test_every_model_answers_in_deltas(model: Model) -> None:
    """Each delta has text; together they are an answer that can be spoken; the name is that of the configuration."""
    splitter = Splitter()
    async with aclosing(model.answer(ASK, session="s")) as deltas:
        found = [delta async for delta in deltas]
    assert len(found) > 1
    assert all(found)
    assert [*splitter.feed("".join(found)), *splitter.close()]
    assert model.name in {"scripted", "openai"}


async def test_every_model_is_ready_again_after_an_answer_was_left(model: Model) -> None:
    """Closing the answer in the middle harms nothing that comes after it."""
    async with aclosing(model.answer(ASK, session="s")) as deltas:
        await anext(deltas)
    assert await whole(model)
    assert await model.check() == ""
    await model.close()


async def collect(model: Model, found: list[str]) -> None:
    async with aclosing(model.answer(ASK, session="s")) as deltas:
        async for delta in deltas:
            found += [delta]


# --- scripted


async def test_the_script_is_the_same_for_the_same_ask() -> None:
    """With pauses between the tokens or without."""
    assert await whole(ScriptedModel(0)) == await whole(ScriptedModel(0.0001))
    assert await whole(ScriptedModel(0), []) != ""


async def test_the_script_says_what_it_is_in_the_first_answer_only() -> None:
    """A session whose history has an answer of ours is not told again."""
    first = await whole(ScriptedModel(0))
    later = await whole(ScriptedModel(0), [("user", "在吗"), ("assistant", "在"), ("user", "你好")])
    assert "脚本" in first
    assert "脚本" not in later


@pytest.mark.parametrize("system", [prompt.system(prompt.Persona("", "zh", quoted=True)), "说的话放在引号里"])
async def test_the_script_quotes_its_speech_where_that_is_wanted(system: str) -> None:
    """So that a client in quoted mode hears it, whoever wrote its system message."""
    answer = await whole(ScriptedModel(0), [("system", system), ("user", "你好")])
    assert answer[0] == answer[-1] == '"'


async def test_the_script_goes_on_where_it_stopped() -> None:
    """What was said already is not said again; a complete answer is over."""
    answer = await whole(ScriptedModel(0))
    half = prompt.build(prompt.Persona("你是主播。"), "你好", said=answer[:8])
    assert answer.endswith(await whole(ScriptedModel(0), half))
    assert await whole(ScriptedModel(0), prompt.build(prompt.Persona("你是主播。"), "你好", said=answer)) == ""


# --- openai


async def test_a_server_is_asked_as_it_expects() -> None:
    """Model, messages and key reach it; nothing of the session does; odd events are no text."""
    async with openai(well) as (model, server):
        assert await whole(model) == "你好呀。Hi\u2028there."
        (request,) = server.requests
        assert request.head.startswith("POST /v1/chat/completions ")
        assert f"authorization: Bearer {KEY}" in request.head.replace("Authorization", "authorization")
        assert request.body["messages"] == [{"role": role, "content": text} for role, text in ASK]
        assert (request.body["model"], request.body["stream"]) == ("m", True)


async def test_the_connection_is_used_again() -> None:
    """The second answer does not pay for a new connection."""
    async with openai(well, rest_s=5) as (model, server):
        await whole(model)
        await whole(model)
        assert len({id(request.writer) for request in server.requests}) == 1


async def test_text_that_was_cut_into_bytes_and_halves_arrives() -> None:
    """UTF-8 split inside a letter, CRLF lines, an event without its last line end, half surrogate pairs."""

    async def bytewise(exchange: Exchange) -> None:
        await exchange.begin()
        event = json.dumps({"choices": [{"delta": {"content": "好"}}]}, ensure_ascii=False)
        for byte in f"data:{event}\r\n\r\n".encode():
            await exchange.raw(bytes([byte]))
        await exchange.raw(b'data: {"choices":[{"delta":{"content":"\\ud83d"}}]}\n\n')
        await exchange.raw(b'data: {"choices":[{"delta":{"content":"\\ude00"},"finish_reason":"stop"}]}')
        await exchange.end()

    async with openai(bytewise) as (model, _):
        assert await whole(model) == "好\ud83d\ude00"


def answering(status: int, message: str = "", code: str = "", **headers: str) -> Script:
    async def script(exchange: Exchange) -> None:
        await exchange.status(status, {"error": {"message": message, "code": code}}, **headers)

    return script


async def failure_of(model: Model) -> Failure:
    with pytest.raises(Failure) as raised:
        await whole(model)
    return raised.value


@pytest.mark.parametrize(
    ("script", "code", "retryable", "remedy"),
    [
        (answering(401, "bad key"), Code.ENGINE_MISSING, False, "OPENAI_API_KEY"),
        (answering(404), Code.ENGINE_MISSING, False, "engines.llm.openai.model"),
        (answering(400, f"no such thing with {KEY}"), Code.ENGINE_REFUSED, False, "***"),
        (answering(302, location="http://127.0.0.1:9/"), Code.ENGINE_REFUSED, False, "OPENAI_BASE_URL"),
        (answering(429, "slow down"), Code.BUSY, True, "try again"),
        (answering(429, "no money", "insufficient_quota"), Code.BUSY, False, "credit"),
        (answering(503, "overloaded"), Code.ENGINE_BROKEN, True, "overloaded"),
    ],
)
async def test_each_refusal_has_its_remedy(script: Script, code: Code, retryable: bool, remedy: str) -> None:  # noqa: FBT001  a table's column
    """What may succeed is tried once more and stays retryable; the key stands in no sentence."""
    async with openai(script) as (model, server):
        failure = await failure_of(model)
        assert (failure.code, failure.retryable) == (code, retryable)
        assert remedy in failure.sentence
        assert KEY not in failure.sentence
        assert len(server.requests) == (2 if retryable else 1)


async def test_a_server_that_recovers_is_answered_by_the_retry() -> None:
    """One 503 goes unnoticed."""
    async with openai(answering(503), well) as (model, _):
        assert await whole(model) != ""


async def cut(exchange: Exchange) -> None:
    await exchange.begin()
    await exchange.delta("你好")
    exchange.writer.close()


async def cut_politely(exchange: Exchange) -> None:
    await exchange.begin()
    await exchange.delta("你好")
    await exchange.end()


async def error_event(exchange: Exchange) -> None:
    await exchange.begin()
    await exchange.delta("你好")
    await exchange.event({"error": {"message": f"out of memory {KEY}"}})
    await exchange.end()


async def error_text(exchange: Exchange) -> None:
    await exchange.begin()
    await exchange.delta("你好")
    await exchange.event({"error": "gone"})
    await exchange.end()


async def junk(exchange: Exchange) -> None:
    await exchange.begin()
    await exchange.delta("你好")
    await exchange.event("<html>")
    await exchange.end()


async def endless_line(exchange: Exchange) -> None:
    await exchange.begin()
    await exchange.delta("你好")
    for _ in range(LINE_LIMIT // 65_536 + 1):
        await exchange.raw(b"x" * 65_536)
    await exchange.end()


@pytest.mark.parametrize("script", [cut, cut_politely, error_event, error_text, junk, endless_line])
async def test_a_stream_that_breaks_off_still_counts_up_to_there(script: Script) -> None:
    """What came is given, then the failure; nothing is asked a second time."""
    async with openai(script) as (model, server):
        found: list[str] = []
        with pytest.raises(Failure) as raised:
            await collect(model, found)
        assert found == ["你好"]
        assert raised.value.code is Code.ENGINE_BROKEN
        assert KEY not in raised.value.sentence
        assert len(server.requests) == 1


async def mute(exchange: Exchange) -> None:
    await exchange.closed.wait()


async def mute_after_the_head(exchange: Exchange) -> None:
    await exchange.begin()
    await exchange.closed.wait()


async def chatter_without_text(exchange: Exchange) -> None:
    await exchange.begin()
    while not exchange.closed.is_set():
        await exchange.raw(b": still here\n\n")
        await asyncio.sleep(0.005)


async def endless(exchange: Exchange) -> None:
    await exchange.begin()
    while not exchange.closed.is_set():
        await exchange.delta("啊")
        await asyncio.sleep(0.005)


@pytest.mark.parametrize("script", [mute, mute_after_the_head, chatter_without_text])
async def test_a_silent_server_is_given_up(script: Script) -> None:
    """No connection, no first token, only comments: after `token_s` it counts as silent."""
    async with openai(script, token_s=0.05) as (model, _):
        failure = await failure_of(model)
        assert (failure.code, failure.retryable) == (Code.ENGINE_SILENT, True)
        assert "timeout" in failure.sentence


@pytest.mark.parametrize("script", [mute, mute_after_the_head, chatter_without_text])
async def test_a_room_does_not_wait_for_a_silent_server(script: Script) -> None:
    """In a hurry the first token has `room_s`, retries included; the sentence names the limit that counted."""
    async with openai(script, token_s=5, room_s=0.05, pause_s=0.05) as (model, server):
        with pytest.raises(Failure) as raised:
            await anext(model.answer(ASK, session="s", hurry=True))
        assert raised.value.code is Code.ENGINE_SILENT
        assert "within 0.05 s" in raised.value.sentence
        assert "room_timeout" in raised.value.sentence
        assert len(server.requests) == 1


async def test_an_answer_that_has_begun_may_take_its_time() -> None:
    """The limit of a room is for the first token; those after it have the usual one."""

    async def slow(exchange: Exchange) -> None:
        await exchange.begin()
        await exchange.delta("你好")
        await asyncio.sleep(0.4)
        await exchange.delta("呀", "stop")
        await exchange.event("[DONE]")
        await exchange.end()

    async with (
        openai(slow, token_s=5, room_s=0.3) as (model, _),
        aclosing(model.answer(ASK, session="s", hurry=True)) as deltas,
    ):
        assert [delta async for delta in deltas] == ["你好", "呀"]


async def test_check_says_that_nobody_answers() -> None:
    """A server that accepts and is silent is told with the time that was waited."""
    async with openai(mute, connect_s=0.05) as (model, _):
        assert "has not answered for 0.1 s" in await model.check()


async def test_an_answer_has_an_end() -> None:
    """A model that never stops is stopped after `total_s`."""
    async with openai(endless, total_s=0.1) as (model, _):
        assert (await failure_of(model)).code is Code.ENGINE_SILENT


async def slow(exchange: Exchange) -> None:
    await exchange.begin()
    await exchange.delta("你好")
    await asyncio.sleep(0.8)
    await exchange.delta("呀。Hi\u2028there.", "stop")
    await exchange.event("[DONE]")
    await exchange.end()


@pytest.mark.parametrize("script", [well, slow])
async def test_no_time_limit_runs_while_the_consumer_is_busy(script: Script) -> None:
    """Speaking a sentence may take longer than the model may be silent, and the model may be silent meanwhile."""
    async with openai(script, token_s=0.5) as (model, _), aclosing(model.answer(ASK, session="s")) as deltas:
        found = [await anext(deltas)]
        await asyncio.sleep(0.9)
        found += [delta async for delta in deltas]
        assert "".join(found) == "你好呀。Hi\u2028there."


async def leave(deltas: Any) -> None:
    await deltas.aclose()


async def cancel(deltas: Any) -> None:
    task = asyncio.ensure_future(anext(deltas))
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


@pytest.mark.parametrize("how", [leave, cancel])
async def test_the_server_notices_that_nobody_listens(how: Callable[[Any], Any]) -> None:
    """Closing the answer, or cancelling who waits for it, ends the request at the server."""
    noticed = asyncio.Event()

    async def once(exchange: Exchange) -> None:
        await exchange.begin()
        await exchange.delta("你好")
        try:
            await asyncio.Event().wait()
        finally:
            noticed.set()

    async with openai(once) as (model, _):
        deltas = model.answer(ASK, session="s")
        assert await anext(deltas) == "你好"
        await how(deltas)
        await asyncio.wait_for(noticed.wait(), 5)


@pytest.mark.parametrize(
    ("password", "proxy"), [("", ""), (f"user:{KEY}@", ""), ("", "http://127.0.0.1:{}"), ("", "socks5://127.0.0.1:{}")]
)
async def test_nobody_listens_at_the_address(password: str, proxy: str) -> None:
    """The sentence names the host, never what a URL may carry of secrets, and the remedy; so it does with a proxy."""
    async with serve(well) as server:
        port = server.url.split(":")[2].split("/")[0]
    model = OpenAIModel(Options("m", "", f"http://{password}127.0.0.1:{port}/v1", proxy=proxy.format(port), pause_s=0))
    failure = await failure_of(model)
    assert (failure.code, failure.retryable) == (Code.ENGINE_MISSING, True)
    assert f"127.0.0.1:{port}" in failure.sentence
    assert "OPENAI_BASE_URL" in failure.sentence
    assert KEY not in failure.sentence
    assert "OPENAI_BASE_URL" in await model.check()
    await model.close()


async def test_a_server_that_hangs_up_without_an_answer() -> None:
    """It broke off, and that is what is told: it is there, and it was not silent for long."""
    async with openai(hang_up) as (model, server):
        failure = await failure_of(model)
        assert (failure.code, failure.retryable) == (Code.ENGINE_BROKEN, True)
        assert "broke off" in failure.sentence
        assert len(server.requests) == 2


async def test_a_proxy_is_used() -> None:
    """The request goes to the proxy with the server's whole address; proxies of the environment do not count."""
    async with serve(well) as proxy:
        model = OpenAIModel(
            Options("m", KEY, "http://model.invalid/v1", proxy=proxy.url.removesuffix("/v1"), token_s=5)
        )
        assert await whole(model) != ""
        assert proxy.requests[0].head.startswith("POST http://model.invalid/v1/chat/completions ")
        await model.close()


@pytest.mark.parametrize("proxy", ["gopher://u:c4nary@127.0.0.1:1", "u:c4nary@h:1", "http://u:c4n/ary@h:1"])
def test_a_proxy_that_cannot_be_is_told_at_start(proxy: str) -> None:
    """What is no address is a fault of the configuration, with its name and without what was written."""
    with pytest.raises(Failure, match=r"network\.proxy") as caught:
        OpenAIModel(Options("m", KEY, proxy=proxy))
    assert "c4n" not in caught.value.sentence
    assert caught.value.__suppress_context__


@pytest.mark.parametrize(
    ("status", "problem"), [(200, ""), (404, ""), (429, ""), (401, "OPENAI_API_KEY"), (500, "500")]
)
async def test_check_names_the_remedy_and_asks_seldom(status: int, problem: str) -> None:
    """A server without a list of models, or a busy one, counts as ready; the answer is kept for a while."""
    async with openai(answering(status)) as (model, server):
        assert problem in await model.check()
        assert bool(await model.check()) is bool(problem)
        assert [request.head.split()[1] for request in server.requests] == ["/v1/models"]


def test_the_script_goes_on_with_the_answer_that_was_begun() -> None:
    """Another answer ended between two attempts, so that this one is not the first any more: it stays what it was."""
    ask = ("user", "How are you?")
    whole = script([ask])
    plain = script([("user", "Hi"), ("assistant", "Hello."), ask])
    intro = whole.removesuffix(plain)
    assert intro
    assert intro != whole
    begun = [("user", "Hi"), ("assistant", "Hello."), ask, ("assistant", intro + plain[:8])]
    assert script(begun) == plain[8:].lstrip()
    assert script([*begun[:3], ("assistant", "Something else.")]) == plain
