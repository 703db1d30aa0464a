"""`POST /api/rooms/{room}/events`: what a viewer does in a room, given by a client of the API."""

import secrets
from collections.abc import Sequence
from typing import Any

import structlog
from fastapi import APIRouter, Request, Response

from services.contract.failure import Code, Failure
from services.gateway.api.http import ERRORS, body_of
from services.gateway.core import rooms
from services.gateway.core.caps import Caps
from services.gateway.core.ports import Desk
from services.runtime.clock import now_ms

log = structlog.get_logger(__name__)
TAKEN = {
    "type": "object",
    "properties": {"id": {"type": "string"}, "new": {"type": "boolean"}},
    "required": ["id", "new"],
}
REPLIES: dict[int | str, dict[str, Any]] = {
    status: {"description": what, "content": {"application/json": {"schema": TAKEN}}}
    for status, what in ((202, "Taken: it waits for the director"), (200, "Its id came before; nothing is done"))
}


def router(desk: Desk, caps: Caps, known: Sequence[str]) -> APIRouter:
    """The route of these rooms."""
    routes = APIRouter(tags=["rooms"])

    async def events(request: Request, room: str) -> Response:
        """Write a comment, a paid message or a gift into a room. `id` makes it idempotent for seven days."""
        of_config(room, known)
        body = await body_of(request, caps.event_bytes, caps.body_ms)
        event = rooms.event(body, room, now_ms(), secrets.token_hex(8))
        fresh = await desk.receive(event, caps.comments)
        log.debug("written into a room", room=room, id=event.id, kind=event.kind, text=event.text, new=fresh)
        told = f'{{"id":"{event.id}","new":{"true" if fresh else "false"}}}'
        return Response(told, 202 if fresh else 200, media_type="application/json")

    routes.add_api_route(
        "/api/rooms/{room}/events",
        events,
        methods=["POST"],
        status_code=202,
        response_model=None,
        responses={**ERRORS, 404: {**ERRORS[401], "description": "No such room"}, **REPLIES},
        openapi_extra={"requestBody": {"required": True, "content": {"application/json": {"schema": rooms.schema()}}}},
    )
    return routes


def of_config(room: str, known: Sequence[str]) -> None:
    """Raises Failure NOT_FOUND for a room that the configuration does not name."""
    if room not in known:
        names = ", ".join(known) or "none is configured"
        raise Failure(Code.NOT_FOUND, f"there is no room {room[:64]!r}; rooms: {names}")
