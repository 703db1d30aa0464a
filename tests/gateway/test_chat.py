"""`POST /api/chat` on a real socket, over real brokers."""

import asyncio
import itertools
import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import httpx2
import pytest
from structlog.testing import capture_logs

from services.contract import streams
from services.contract.failure import Code, Failed
from services.contract.ingest import TurnAired, TurnRequested
from services.contract.llm import AnswerEnded, SentenceReady
from services.contract.tts import SentenceSkipped, SpeechChunk, SpeechStarted
from services.gateway import app as gateway_app
from services.gateway.api import chat
from services.gateway.core.caps import Caps
from services.runtime.clock import now_ms
from services.runtime.sound import read_wav, write_wav
from tests.gateway.studio import Gateway, Studio, running

PCM = bytes(range(200))
ASK = {"msg": [{"role": "user", "content": "你好"}]}


async def post(gateway: Gateway, body: Any = ASK, **more: Any) -> httpx2.Response:
    async with gateway.client() as client:
        return await client.post("/api/chat", json=body, **more)


def naive(text: str) -> list[dict[str, Any]]:
    """The original client: six characters off each line that is not blank, the rest is JSON."""
    return [json.loads(line[6:]) for line in text.splitlines() if line]


async def test_the_stream_has_exactly_these_bytes(broker_url: str, live_url: str) -> None:
    """A WAV with true sizes for each sentence, then the whole raw answer, then the stream ends."""
    async with running(broker_url, live_url) as gateway:
        answer = asyncio.ensure_future(post(gateway))
        turn = await gateway.studio.turn()
        await gateway.studio.speak(turn, 0, "你好呀，", PCM, PCM)
        await gateway.studio.speak(turn, 1, "再见。", PCM)
        await gateway.studio.end(turn, 2, '她笑了"你好呀，再见。"...')
        response = await answer
    first, second = (urlsafe_b64encode(write_wav(pcm)).decode() for pcm in (PCM + PCM, PCM))
    assert response.status_code == 200
    assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert response.content.decode() == (
        f'data: {{"file": "{first}", "message": "你好呀，", "done": false}}\n\n'
        f'data: {{"file": "{second}", "message": "再见。", "done": false}}\n\n'
        'data: {"file": null, "message": "她笑了\\"你好呀，再见。\\"…", "done": true}\n\n'
    )
    wav = read_wav(urlsafe_b64decode(naive(response.text)[0]["file"]))
    assert (wav.rate, wav.channels, wav.pcm) == (24_000, 1, PCM + PCM)


async def test_a_piece_is_sent_as_soon_as_it_is_whole(broker_url: str, live_url: str) -> None:
    """The client hears the first sentence while the second has not even begun."""
    async with running(broker_url, live_url) as gateway, gateway.client() as client:
        asked = asyncio.ensure_future(gateway.studio.turn())
        async with client.stream("POST", "/api/chat", json=ASK) as response:
            turn = await asked
            await gateway.studio.speak(turn, 0, "你好呀，", PCM)
            lines = response.aiter_lines()
            first = json.loads((await anext(lines))[6:])
            await gateway.studio.end(turn, 1, "x")
            rest = [line async for line in lines]
    assert first["message"] == "你好呀，"
    assert naive("\n".join(rest)) == [{"file": None, "message": "x", "done": True}]


async def test_a_chat_is_a_turn_of_a_session_of_its_own(broker_url: str, live_url: str) -> None:
    """The turn carries the client's history, quotes decide what is spoken, and it is aired at once."""
    told = [("system", "简短"), ("user", "嗨"), ("assistant", "嗨！"), ("user", "你好")]
    async with running(broker_url, live_url) as gateway:
        body = {"msg": [{"role": role, "content": content} for role, content in told]}
        answer = asyncio.ensure_future(post(gateway, body))
        turn = await gateway.studio.turn()
        await gateway.studio.end(turn, 0, "")
        await answer
        held = [item.message for item in await gateway.studio.sessions.range(turn.session)]
    assert turn.session.startswith("chat-")
    assert [message for message in held if not isinstance(message, AnswerEnded)] == [
        turn,
        TurnAired(turn=turn.turn, no=1, epoch=0),
    ]
    assert (turn.kind, turn.no, turn.epoch, turn.spoken, turn.persona) == ("chat", 1, 0, "quoted", "friend")
    assert (turn.ask, turn.messages) == ("你好", tuple(told))
    assert turn.deadline_ms == turn.requested_ms + Caps().patience_ms


async def test_a_sentence_without_sound_says_none(broker_url: str, live_url: str) -> None:
    """A skipped sentence keeps its place and its text; its file is the word None."""
    async with running(broker_url, live_url) as gateway:
        answer = asyncio.ensure_future(post(gateway))
        turn = await gateway.studio.turn()
        ready = SentenceReady(
            turn=turn.turn,
            no=1,
            session=turn.session,
            epoch=0,
            index=0,
            text="好。",
            speak="好。",
            voice="v",
            deadline_ms=0,
        )
        await gateway.studio.tell(turn.session, ready, SentenceSkipped(turn=turn.turn, index=0, reason="no_engine"))
        await gateway.studio.end(turn, 1, "好。")
        said = naive((await answer).text)
    assert said[0] == {"file": "None", "message": "好。", "done": False}
    assert said[1]["done"] is True


async def test_a_failed_model_ends_the_stream_with_what_was_said(broker_url: str, live_url: str) -> None:
    """The stream has no other way to tell: done is true and nothing follows."""
    async with running(broker_url, live_url) as gateway:
        answer = asyncio.ensure_future(post(gateway))
        turn = await gateway.studio.turn()
        await gateway.studio.speak(turn, 0, "好。", PCM)
        failed = Failed(turn=turn.turn, code=Code.ENGINE_BROKEN, sentence="cut in mid-stream")
        await gateway.studio.tell(turn.session, failed)
        await gateway.studio.end(turn, 1, "好。不", "failed")
        said = naive((await answer).text)
    assert [(each["message"], each["done"]) for each in said] == [("好。", False), ("好。不", True)]


async def test_nobody_answers_and_the_stream_ends_all_the_same(broker_url: str, live_url: str) -> None:
    """After the patience for something new, done is true; the turn is ended behind the gateway too."""
    async with running(broker_url, live_url, Caps(patience_ms=80)) as gateway:
        response = await post(gateway)
        told = await gateway.studio.interrupted((await gateway.studio.turn()).session)
    assert naive(response.text) == [{"file": None, "message": "", "done": True}]
    assert (told.epoch, told.by) == (1, "deadline")


async def test_a_turn_that_goes_on_for_ever_is_ended(
    broker_url: str, live_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """News keep coming, but the turn's own time is up: what was begun is handed out, then done."""
    looks = itertools.count()
    monkeypatch.setattr(chat, "now_ms", lambda: now_ms() + (next(looks) > 20) * Caps().turn_ms)
    async with running(broker_url, live_url) as gateway:
        answer = asyncio.ensure_future(post(gateway))
        turn = await gateway.studio.turn()
        start = SpeechStarted(turn=turn.turn, no=1, epoch=0, index=0, attempt=1, text="好。")
        await gateway.studio.tell(turn.session, start)
        number = 0
        while not answer.done():
            chunk = SpeechChunk(turn=turn.turn, index=0, attempt=1, chunk=number, sample_offset=number)
            await gateway.studio.sessions.publish(turn.session, chunk, b"\1\0")
            number += 1
        said = naive((await answer).text)
    assert [(each["message"], each["done"]) for each in said] == [("好。", False), ("好。", True)]
    assert read_wav(urlsafe_b64decode(said[0]["file"])).pcm.startswith(b"\1\0")


async def test_an_answer_without_quotes_is_told_in_the_log(broker_url: str, live_url: str) -> None:
    """The stream has nothing but its end; the log names the remedy."""
    with capture_logs() as logs:
        async with running(broker_url, live_url) as gateway:
            answer = asyncio.ensure_future(post(gateway))
            await gateway.studio.end(await gateway.studio.turn(), 0, "你好呀。今天天气不错！")
            said = naive((await answer).text)
    assert said == [{"file": None, "message": "你好呀。今天天气不错！", "done": True}]
    assert [line["persona"] for line in logs if line["event"] == "nothing_spoken" and "quotes" in line["remedy"]] == [
        "friend"
    ]


async def leave(gateway: Gateway, studio: Studio) -> TurnRequested:
    """Ask, and close the connection as soon as the answer's header is there."""
    body = json.dumps(ASK).encode()
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
    writer.write(b"POST /api/chat HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
    await reader.readuntil(b"\r\n\r\n")
    turn = await studio.turn()
    writer.close()
    await writer.wait_closed()
    return turn


async def test_closing_the_connection_ends_the_turn(broker_url: str, live_url: str) -> None:
    """While no byte is being sent: the epoch is raised, which every commit of the turn reads, and the slot is free."""
    async with running(broker_url, live_url, Caps(streams=1)) as gateway:
        turn = await leave(gateway, gateway.studio)
        told = await gateway.studio.interrupted(turn.session)
        epoch = await gateway.studio.bus.work.get(streams.EPOCH.of(turn.session))
        again = await leave(gateway, gateway.studio)
        await gateway.studio.interrupted(again.session)
    assert (told.epoch, told.by, epoch) == (1, "disconnect", b"1")


async def test_an_answer_that_came_to_its_end_is_not_interrupted(broker_url: str, live_url: str) -> None:
    """The epoch stays as it was."""
    async with running(broker_url, live_url) as gateway:
        answer = asyncio.ensure_future(post(gateway))
        turn = await gateway.studio.turn()
        await gateway.studio.end(turn, 0, "")
        await answer
        assert await gateway.studio.bus.work.get(streams.EPOCH.of(turn.session)) is None


async def test_a_client_that_takes_nothing_is_cut_off(broker_url: str, live_url: str) -> None:
    """Its buffers fill up, the server waits its time, then ends the turn."""
    async with running(broker_url, live_url, Caps(send_ms=100)) as gateway:
        body = json.dumps(ASK).encode()
        reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port, limit=1)
        writer.write(b"POST /api/chat HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
        turn = await gateway.studio.turn()
        for index in range(4):
            await gateway.studio.speak(turn, index, "长。", bytes(6_000_000))
        told = await gateway.studio.interrupted(turn.session)
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()
        assert not reader.at_eof()
    assert told.by == "failure"


async def test_streams_are_bounded(broker_url: str, live_url: str) -> None:
    """One too many is told to come back, and when; a free slot is taken again."""
    async with running(broker_url, live_url, Caps(streams=1)) as gateway:
        first = asyncio.ensure_future(post(gateway))
        turn = await gateway.studio.turn()
        refused = await post(gateway)
        await gateway.studio.end(turn, 0, "")
        await first
        later = asyncio.ensure_future(post(gateway))
        await gateway.studio.end(await gateway.studio.turn(), 0, "")
        assert (await later).status_code == 200
    assert (refused.status_code, refused.headers["retry-after"]) == (503, "5")
    assert refused.json()["code"] == "busy"


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"{}", 422, "bad_input"),
        (b"not json", 422, "bad_input"),
        (b'{"msg": [{"role": "user", "content": 3}]}', 422, "bad_input"),
        (b'{"msg": "' + b"x" * 2_000 + b'"}', 413, "too_large"),
    ],
)
async def test_a_bad_request_is_refused_with_a_reason(
    broker_url: str, live_url: str, body: bytes, status: int, code: str
) -> None:
    """A code for programs and a sentence for people; nothing is asked of anybody."""
    async with running(broker_url, live_url, Caps(chat_bytes=1_000)) as gateway, gateway.client() as client:
        response = await client.post("/api/chat", content=body)
        asked = await gateway.studio.bus.work.xlen(streams.TURNS.key())
    assert (response.status_code, response.json()["code"], asked) == (status, code, 0)
    assert len(response.json()["detail"]) > 20


async def test_a_body_without_a_length_is_bounded_too(broker_url: str, live_url: str) -> None:
    """In chunks, the body is refused when it grows too large; one that never comes is not waited for."""
    async with running(broker_url, live_url, Caps(chat_bytes=1_000, body_ms=80)) as gateway, gateway.client() as client:

        async def large() -> AsyncIterator[bytes]:
            for _ in range(3):
                yield b" " * 600

        async def late() -> AsyncIterator[bytes]:
            yield b"{"
            await asyncio.sleep(0.5)

        assert (await client.post("/api/chat", content=large())).status_code == 413
        response = await client.post("/api/chat", content=late())
    assert (response.status_code, response.json()["detail"]) == (422, "the body did not arrive within 0 s")


async def test_a_gateway_that_goes_down_says_the_last_line(
    broker_url: str, live_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After the grace the turn is ended and the client's stream ends as a stream ends."""
    monkeypatch.setattr(gateway_app, "GRACE_S", 0.3)
    async with running(broker_url, live_url) as gateway:
        answer = asyncio.ensure_future(post(gateway))
        turn = await gateway.studio.turn()
        await gateway.studio.speak(turn, 0, "好。", PCM)
        gateway.server.cancel()
        said = naive((await answer).text)
        told = await gateway.studio.interrupted(turn.session)
    assert [(each["message"], each["done"]) for each in said] == [("好。", False), ("好。", True)]
    assert told.by == "shutdown"
