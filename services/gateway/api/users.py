"""`POST /api/users/{user}/token`: what a student shows who comes from elsewhere; it opens his own lessons and nothing else."""

import json
from typing import Any

import structlog
from fastapi import APIRouter, Request, Response

from services.contract.failure import Code, Failure
from services.gateway.api.guard import visit
from services.gateway.api.http import ERRORS
from services.gateway.core.access import Rules, same_page, token_of, who
from services.gateway.core.english import user_of

log = structlog.get_logger(__name__)
TOLD = {"type": "object", "properties": {"token": {"type": "string"}}, "required": ["token"]}
WITHOUT = "there is no ONAIR_TOKEN from which a user's could be made; set one, or let users in by GATEWAY_OPEN_NETWORKS"


def router(rules: Rules) -> APIRouter:
    """The route, which is the operator's."""
    routes = APIRouter(tags=["spoken English"])

    async def issue(request: Request, user: str) -> Response:
        """The user's token: the same each time, good until `ONAIR_TOKEN` is changed."""
        seen = visit(request.scope)
        same_page(seen, request.headers.get("sec-fetch-site", ""))
        if not rules.token:
            raise Failure(Code.BAD_INPUT, WITHOUT)
        known = user_of({"user_id": user})
        log.info("a user's token is given out", user=known, by=who(seen, rules))
        body = json.dumps({"token": token_of(known, rules.token)})
        return Response(body, media_type="application/json", headers={"cache-control": "no-store"})

    responses: dict[int | str, dict[str, Any]] = {**ERRORS, 200: {"content": {"application/json": {"schema": TOLD}}}}
    path = "/api/users/{user}/token"
    routes.add_api_route(path, issue, methods=["POST"], response_model=None, responses=responses)
    return routes
