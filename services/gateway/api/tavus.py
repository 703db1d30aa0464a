"""`/api/tavus/…`: personas and conversations at Tavus, for operators."""

import json
from collections.abc import Callable, Generator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, dataclass
from typing import Any

from fastapi import APIRouter, Request, Response

from services.contract.failure import Code, Failure
from services.contract.gateway import ConversationCreated
from services.gateway.api.console import Act, Booth
from services.gateway.api.http import ERRORS, body_of, take
from services.gateway.core.caps import Caps, Slots
from services.gateway.core.tavus import wishes
from services.gateway.core.tavus.answers import NO_KEY
from services.gateway.core.tavus.ports import Conversations, Ended, Tavus

TOLD: dict[int | str, dict[str, Any]] = {
    **ERRORS,
    200: {"content": {"application/json": {"schema": {"type": "object"}}}},
    404: {**ERRORS[401], "description": "Tavus does not know it, or this gateway has no key of Tavus"},
}
STATUS = {"name": "status", "in": "query", "description": "only those", "schema": {"enum": [*wishes.STATES]}}
GET: dict[str, Any] = {"methods": ["GET"], "response_model": None, "responses": TOLD}
POST: dict[str, Any] = {"methods": ["POST"], "response_model": None, "responses": TOLD}


@dataclass(frozen=True)
class Studio:
    """What the routes work with where there is a key."""

    conversations: Conversations
    tavus: Tavus


Busy = Callable[[], AbstractContextManager[Studio]]


def router(studio: Studio | None, booth: Booth, caps: Caps, prompts: Mapping[str, str]) -> APIRouter:
    """The routes; `prompts` are those of the configuration's personas. Without a studio each says what is missing."""
    routes, slots = APIRouter(tags=["tavus"]), Slots(caps.tavus)

    @contextmanager
    def busy() -> Generator[Studio]:
        """While a request is put to Tavus; raises Failure NOT_FOUND without a key, BUSY where there are too many."""
        if not studio:
            raise Failure(Code.NOT_FOUND, NO_KEY)
        take(slots, "requests to Tavus")
        try:
            yield studio
        finally:
            slots.give()

    _conversations(routes, booth, caps, busy)
    _ends(routes, booth, busy)
    _personas(routes, booth, caps, prompts, busy)
    return routes


def _conversations(routes: APIRouter, booth: Booth, caps: Caps, busy: Busy) -> None:
    async def create(request: Request) -> Response:
        """Create a conversation, which costs from now on. OnAir ends it at the latest when its last gateway ends."""
        act = Act(booth, request)
        with busy() as studio:
            wish = wishes.conversation(await body_of(request, caps.tavus_bytes, caps.body_ms))
            made, status = await act.noted(
                "create a Tavus conversation",
                wish.name,
                lambda: studio.conversations.create(wish, act.who),
                lambda done: done[0].conversation,
            )
        return _json(_created(made, status))

    async def listed(request: Request) -> Response:
        """The account's conversations; `ours` are those that OnAir will end."""
        with busy() as studio:
            found = await studio.conversations.listed(wishes.state(request.query_params.get("status", "")))
        return _json({"conversations": [{**asdict(each), "ours": ours} for each, ours in found]})

    body = {"required": True, "content": {"application/json": {"schema": wishes.schema(wishes.OF_CONVERSATION)}}}
    path = "/api/tavus/conversations"
    routes.add_api_route(path, create, **POST, openapi_extra={"requestBody": body})
    routes.add_api_route(path, listed, **GET, openapi_extra={"parameters": [STATUS]})


def _ends(routes: APIRouter, booth: Booth, busy: Busy) -> None:
    async def end_all(request: Request) -> Response:
        """End all that OnAir created and did not end yet."""
        act = Act(booth, request)
        with busy() as studio:
            done = await act.noted("end Tavus conversations", "all", studio.conversations.end_all, _how)
        return _json(asdict(done))

    async def end(request: Request, conversation: str) -> Response:
        """End a conversation of the account, whoever created it."""
        act = Act(booth, request)
        with busy() as studio:
            id_ = wishes.ident({"conversation": conversation}, "conversation")
            done = await act.noted("end a Tavus conversation", id_, lambda: studio.conversations.end(id_), _how)
        return _json(asdict(done))

    routes.add_api_route("/api/tavus/conversations/end", end_all, **POST)
    routes.add_api_route("/api/tavus/conversations/{conversation}/end", end, **POST)


def _personas(routes: APIRouter, booth: Booth, caps: Caps, prompts: Mapping[str, str], busy: Busy) -> None:
    async def create(request: Request) -> Response:
        """Create a persona, with a prompt of its own or that of a persona of onair.yaml."""
        act = Act(booth, request)
        with busy() as studio:
            body = wishes.persona(await body_of(request, caps.tavus_bytes, caps.body_ms), prompts)
            made = await act.noted(
                "create a Tavus persona",
                str(body["persona_name"]),
                lambda: studio.tavus.create_persona(body),
                lambda done: done.id,
            )
        return _json(asdict(made) | {"name": made.name or body["persona_name"]})

    async def listed() -> Response:
        """The personas that the account may use."""
        with busy() as studio:
            return _json({"personas": [asdict(each) for each in await studio.tavus.personas()]})

    body = {"required": True, "content": {"application/json": {"schema": wishes.schema(wishes.OF_PERSONA)}}}
    routes.add_api_route("/api/tavus/personas", create, **POST, openapi_extra={"requestBody": body})
    routes.add_api_route("/api/tavus/personas", listed, **GET)


def _created(made: ConversationCreated, status: str) -> dict[str, object]:
    known = {"id": made.conversation, "name": made.name, "status": status, "url": made.url}
    return {**known, "max_duration": made.max_s}


def _how(done: Ended) -> str:
    return f"{len(done.ended)} ended, {len(done.over)} were over, {len(done.failed)} failed"


def _json(told: object) -> Response:
    return Response(json.dumps(told, ensure_ascii=False), media_type="application/json")
