"""`POST /api/asr` on a real socket, over real brokers."""

import asyncio
import json
from base64 import urlsafe_b64encode
from collections.abc import Callable
from typing import Any

import httpx2
import pytest

from services.contract import streams
from services.contract.asr import Transcribed
from services.contract.failure import Code, Failed
from services.contract.gateway import ClipHeard
from services.contract.message import Message
from services.gateway.core.caps import Caps
from services.runtime.sound import write_wav
from tests.gateway.studio import Gateway, Studio, running

WAV = write_wav(bytes(3_200), 16_000)
BODY = {"data": urlsafe_b64encode(WAV).decode()}


async def post(gateway: Gateway, body: Any = None) -> httpx2.Response:
    async with gateway.client() as client:
        return await client.post("/api/asr", json=body or BODY)


def heard(clip: ClipHeard, text: str, *, final: bool = True, speaker: str = "") -> Transcribed:
    return Transcribed(utterance=clip.utterance, text=text, final=final, speaker=speaker)


async def answered(studio: Studio, gateway: Gateway, *answers: Callable[[ClipHeard], Message]) -> httpx2.Response:
    """The response, when these messages answer the clip."""
    response = asyncio.ensure_future(post(gateway))
    clip = await studio.clip()
    await studio.tell(clip.session, *[answer(clip) for answer in answers])
    return await response


async def test_a_clip_lies_on_live_and_is_ordered_on_work(broker_url: str, live_url: str) -> None:
    """The order names the session; the bytes lie there, whole, and not for ever."""
    async with running(broker_url, live_url) as gateway:
        response = asyncio.ensure_future(post(gateway))
        clip = await gateway.studio.clip()
        live, key = gateway.studio.bus.live(clip.session), streams.CLIP.of(clip.session)
        lies, left_s = await live.get(key), await live.ttl(key)
        await gateway.studio.tell(clip.session, heard(clip, "好"))
        await response
    assert lies == WAV
    assert 0 < left_s <= streams.CLIP_KEPT_S
    assert clip.session.startswith("asr-")


async def test_the_caller_may_say_which_language_it_is(broker_url: str, live_url: str) -> None:
    """`?language=` reaches the recogniser; what is no language is refused before anybody is asked."""
    async with running(broker_url, live_url) as gateway, gateway.client() as client:
        response = asyncio.ensure_future(client.post("/api/asr?language=EN", json=BODY))
        clip = await gateway.studio.clip()
        assert clip.language == "en"
        await gateway.studio.tell(clip.session, heard(clip, "hello"))
        assert (await response).json() == "hello"
        wrong = await client.post("/api/asr", params={"language": "../x"}, json=BODY)
        assert (wrong.status_code, wrong.json()["code"]) == (422, "bad_input")


async def test_the_text_is_a_json_string_in_raw_utf8(broker_url: str, live_url: str) -> None:
    """Passing texts are waited out; the final one is the answer, byte for byte."""
    async with running(broker_url, live_url) as gateway:
        response = await answered(
            gateway.studio, gateway, lambda c: heard(c, "你放", final=False), lambda c: heard(c, "你放学了吗？")
        )
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/json"
    assert response.content == '"你放学了吗？"'.encode()


async def test_silence_is_an_empty_string(broker_url: str, live_url: str) -> None:
    """Nothing was said, and that is an answer."""
    async with running(broker_url, live_url) as gateway:
        response = await answered(gateway.studio, gateway, lambda c: heard(c, ""))
    assert (response.status_code, response.content) == (200, b'""')


async def test_a_rejected_speaker_is_the_word_none(broker_url: str, live_url: str) -> None:
    """Whatever he said."""
    async with running(broker_url, live_url) as gateway:
        response = await answered(gateway.studio, gateway, lambda c: heard(c, "秘密", speaker="rejected"))
    assert (response.status_code, response.content) == (200, b'"None"')


@pytest.mark.parametrize(
    ("code", "status"),
    [(Code.BAD_AUDIO, 422), (Code.ENGINE_MISSING, 503), (Code.ENGINE_BROKEN, 503), (Code.EXPIRED, 504)],
)
async def test_a_failure_is_told_with_its_sentence(broker_url: str, live_url: str, code: Code, status: int) -> None:
    """The recogniser's own words reach the caller."""
    failed: Message = Failed(code=code, sentence="the model is not there: set ASR_MODEL")
    async with running(broker_url, live_url) as gateway:
        response = await answered(gateway.studio, gateway, lambda _: failed)
    assert response.status_code == status
    assert response.json() == {"code": code.value, "detail": "the model is not there: set ASR_MODEL"}


async def test_nobody_recognises_it_and_the_caller_is_told(broker_url: str, live_url: str) -> None:
    """After the time that the caps give, with a hint where to look."""
    async with running(broker_url, live_url, Caps(clip_ms=80)) as gateway:
        response = await post(gateway)
    assert response.status_code == 504
    assert "is the asr service running?" in response.json()["detail"]


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"sound": "x"}, 422, "bad_input"),
        ({"data": "no base64!"}, 422, "bad_input"),
        ({"data": "UklGRg=="}, 422, "bad_audio"),
        ({"data": "A" * 12_000}, 413, "too_large"),
    ],
)
async def test_a_bad_clip_is_refused_before_anybody_is_asked(
    broker_url: str, live_url: str, body: Any, status: int, code: str
) -> None:
    """With a code and a reason."""
    async with running(broker_url, live_url, Caps(clip_bytes=10_000)) as gateway:
        response = await post(gateway, body)
        asked = await gateway.studio.bus.work.xlen(streams.LISTEN.key())
    assert (response.status_code, response.json()["code"], asked) == (status, code, 0)


async def test_clips_are_bounded(broker_url: str, live_url: str) -> None:
    """One too many is told to come back; the slot is free again after the answer."""
    async with running(broker_url, live_url, Caps(clips=1)) as gateway:
        first = asyncio.ensure_future(post(gateway))
        clip = await gateway.studio.clip()
        refused = await post(gateway)
        await gateway.studio.tell(clip.session, heard(clip, "一"))
        await first
        second = await answered(gateway.studio, gateway, lambda c: heard(c, "二"))
    assert (refused.status_code, refused.headers["retry-after"]) == (503, "5")
    assert second.json() == "二"


async def test_a_caller_who_leaves_frees_the_slot(broker_url: str, live_url: str) -> None:
    """Long before the clip's time is up."""
    async with running(broker_url, live_url, Caps(clips=1)) as gateway:
        body = json.dumps(BODY).encode()
        reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
        writer.write(b"POST /api/asr HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
        await gateway.studio.clip()
        writer.close()
        await writer.wait_closed()
        while (response := await _quick(gateway)).status_code == 503:
            pass
    assert not reader.at_eof() or response.json() == "好"


async def _quick(gateway: Gateway) -> httpx2.Response:
    """A clip that is answered at once, if it is taken."""
    response = asyncio.ensure_future(post(gateway))
    clip = asyncio.ensure_future(gateway.studio.clip())
    await asyncio.wait([response, clip], return_when=asyncio.FIRST_COMPLETED)
    if clip.done():
        await gateway.studio.tell(clip.result().session, heard(clip.result(), "好"))
    clip.cancel()
    await asyncio.wait([clip])
    return await response


async def test_a_body_that_breaks_off_asks_nobody(broker_url: str, live_url: str) -> None:
    """The connection is closed in the middle of the body; the gateway serves the next caller."""
    async with running(broker_url, live_url, Caps(clips=1)) as gateway:
        _, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
        writer.write(b"POST /api/asr HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{")
        await writer.drain()
        writer.close()
        await writer.wait_closed()
        while (response := await _quick(gateway)).status_code == 503:
            pass
        asked = await gateway.studio.bus.work.xlen(streams.LISTEN.key())
    assert (response.json(), asked) == ("好", 1)
