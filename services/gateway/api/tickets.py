"""`POST /api/tickets`: what a page shows at a WebSocket in place of the token, which an address would give away."""

import json
from typing import Any

from fastapi import APIRouter, Request, Response

from services.gateway.api.guard import visit
from services.gateway.api.http import ERRORS
from services.gateway.core.access import same_page
from services.gateway.core.ports import Tickets
from services.gateway.core.tickets import KEPT_MS

TOLD = {
    "type": "object",
    "properties": {"ticket": {"type": "string"}, "expires_ms": {"type": "integer"}},
    "required": ["ticket", "expires_ms"],
}


def router(tickets: Tickets) -> APIRouter:
    """The route."""
    routes = APIRouter(tags=["tickets"])

    async def issue(request: Request) -> Response:
        """A ticket for one WebSocket: `?ticket=…`, once, within `expires_ms`."""
        same_page(visit(request.scope), request.headers.get("sec-fetch-site", ""))
        body = json.dumps({"ticket": await tickets.issue(), "expires_ms": KEPT_MS})
        return Response(body, media_type="application/json", headers={"cache-control": "no-store"})

    responses: dict[int | str, dict[str, Any]] = {**ERRORS, 200: {"content": {"application/json": {"schema": TOLD}}}}
    routes.add_api_route("/api/tickets", issue, methods=["POST"], response_model=None, responses=responses)
    return routes
