"""`POST /api/asr`: a WAV in, its text out."""

import asyncio
import json
import secrets
from contextlib import aclosing
from typing import Any

import structlog
from fastapi import APIRouter, Request, Response

from services.contract.asr import Transcribed
from services.contract.failure import Code, Failed, Failure
from services.contract.gateway import ClipHeard
from services.gateway.api.http import ERRORS, body_of, take, unless_left, within
from services.gateway.core import bodies
from services.gateway.core.caps import Caps, Slots
from services.gateway.core.ports import Desk
from services.runtime.clock import now_ms

log = structlog.get_logger(__name__)
LANGUAGE_MAX = 3
REJECTED = "rejected"
REJECTED_SPEAKER = "None"
"""The protocol's answer for a voice that is not the enrolled one: this word."""
PARAMETERS = [
    {
        "name": "language",
        "in": "query",
        "description": "zh, en, …; without it the engine finds out",
        "schema": {"type": "string"},
    }
]
BODY: dict[str, Any] = {
    "required": True,
    "content": {
        "application/json": {
            "schema": {
                "type": "object",
                "properties": {"data": {"type": "string", "description": "base64 of a complete WAV file"}},
                "required": ["data"],
            }
        }
    },
}


def router(desk: Desk, caps: Caps) -> APIRouter:
    """The route."""
    routes = APIRouter(tags=["voice chat"])
    slots = Slots(caps.clips)

    async def asr(request: Request) -> Response:
        """Recognise a WAV. A JSON string: "" for silence, "None" for a rejected speaker."""
        take(slots, "clips")
        try:
            body = await body_of(request, caps.clip_bytes, caps.body_ms)
            wav = await asyncio.to_thread(bodies.clip, body)
            text = await unless_left(request.receive, recognised(desk, caps, wav, _language(request)))
        finally:
            slots.give()
        return Response(json.dumps(text, ensure_ascii=False), media_type="application/json")

    routes.add_api_route(
        "/api/asr",
        asr,
        methods=["POST"],
        response_model=str,
        responses=ERRORS,
        openapi_extra={"requestBody": BODY, "parameters": PARAMETERS},
    )
    return routes


def _language(request: Request) -> str:
    """What the caller says of the clip; raises Failure BAD_INPUT."""
    language = request.query_params.get("language", "")
    if language and not (language.isascii() and language.isalpha() and len(language) <= LANGUAGE_MAX):
        raise Failure(Code.BAD_INPUT, "language is a code of two or three letters, as zh or en; or leave it out")
    return language.lower()


async def recognised(desk: Desk, caps: Caps, wav: bytes, language: str = "") -> str:
    """The clip's text, or what the protocol says of a rejected speaker; raises as `transcribed`."""
    heard = await transcribed(desk, caps, wav, language)
    return REJECTED_SPEAKER if heard.speaker == REJECTED else heard.text


async def transcribed(desk: Desk, caps: Caps, wav: bytes, language: str = "") -> Transcribed:
    """What was heard in it; raises the Failure of whoever failed at it, ENGINE_SILENT if nobody answers in time."""
    name = secrets.token_hex(8)
    clip = ClipHeard(
        session=f"asr-{name}", utterance=name, language=language, deadline_ms=now_ms() + caps.clip_ms, trace=name
    )
    try:
        await desk.listen(clip, wav)
        return await within(clip.deadline_ms - now_ms(), _heard(desk, clip))
    except TimeoutError as error:
        sentence = f"the clip was not recognised within {caps.clip_ms / 1_000:.0f} s; is the asr service running?"
        raise Failure(Code.ENGINE_SILENT, sentence, retryable=True) from error


async def _heard(desk: Desk, clip: ClipHeard) -> Transcribed:
    async with aclosing(desk.follow(clip.session)) as entries:
        async for message, _ in entries:
            log.debug("heard", session=clip.session, message=message.type)
            match message:
                case Transcribed(final=True):
                    return message
                case Failed():
                    raise Failure(message.code, message.sentence, retryable=message.retryable)
                case _:
                    pass
    raise Failure(Code.INTERNAL, "the session ended without a text")
