"""Reports of shows: `POST /api/rooms/{room}/reports` asks for one, `GET /api/reports/{id}` gives it."""

import json
from collections.abc import Mapping
from typing import Any

import structlog
from fastapi import APIRouter, Request, Response

from services.contract.failure import Code, Failure
from services.gateway.api.events import of_config
from services.gateway.api.http import ERRORS, body_of
from services.gateway.core.bodies import table
from services.gateway.core.caps import Caps
from services.gateway.core.ports import Jobs, JobSeen, Shelf
from services.gateway.core.report_page import POLICY
from services.runtime.clock import now_ms

log = structlog.get_logger(__name__)
LANGUAGES = ("zh", "en")
MOST_H = 24 * 366
HEADERS = {
    "content-security-policy": f"{POLICY}; frame-ancestors 'self'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-store",
}
STATE = {"type": "object", "properties": {name: {"type": "string"} for name in ("id", "state", "url")}}
BODY = {
    "type": "object",
    "properties": {
        "language": {"type": "string", "enum": [*LANGUAGES], "description": "default: the persona's"},
        "hours": {
            "type": "number",
            "exclusiveMinimum": 0,
            "maximum": MOST_H,
            "description": "default: all that is kept",
        },
    },
}


def router(jobs: Jobs, shelf: Shelf, caps: Caps, languages: Mapping[str, str]) -> APIRouter:
    """The routes; `languages` are those of the rooms."""
    routes = APIRouter(tags=["reports"])

    async def ask(request: Request, room: str) -> Response:
        """Ask for a report of the room's show. It is made by a job; `url` gives it as soon as it is there."""
        of_config(room, [*languages])
        language, since_ms = wanted(await body_of(request, caps.event_bytes, caps.body_ms), languages[room], now_ms())
        id_ = await jobs.report(room, language, since_ms)
        log.info("a report is asked for", room=room, id=id_, language=language)
        return _state(id_, "queued")

    async def give(report: str) -> Response:
        """The report, one HTML page; 202 while it is being made."""
        if body := await shelf.read(report):
            return Response(body, media_type="text/html; charset=utf-8", headers=HEADERS)
        return _state(report, state_of(await jobs.job(report)))

    made = {202: {"description": "It is being made", "content": {"application/json": {"schema": STATE}}}}
    page = {200: {"description": "The report", "content": {"text/html": {"schema": {"type": "string"}}}}}
    unknown = {404: {**ERRORS[401], "description": "No such room, or no such report"}}
    schema = {"requestBody": {"required": False, "content": {"application/json": {"schema": BODY}}}}
    routes.add_api_route(
        "/api/rooms/{room}/reports",
        ask,
        methods=["POST"],
        status_code=202,
        response_model=None,
        responses={**ERRORS, **unknown, **made},
        openapi_extra=schema,
    )
    routes.add_api_route(
        "/api/reports/{report}",
        give,
        methods=["GET"],
        response_model=None,
        responses={**ERRORS, **unknown, **made, **page},
    )
    return routes


def wanted(body: bytes, language: str, at_ms: int) -> tuple[str, int]:
    """Language and beginning (Unix milliseconds) of the report; raises Failure BAD_INPUT with the field that is wrong."""
    fields: dict[str, Any] = table(body) if body.strip() else {}
    if unknown := sorted(set(fields) - set(BODY["properties"])):
        raise Failure(Code.BAD_INPUT, f"unknown field {unknown[0][:64]!r}; known: {', '.join(BODY['properties'])}")
    chosen = fields.get("language") or language
    if chosen not in LANGUAGES:
        raise Failure(Code.BAD_INPUT, f"language must be one of {', '.join(LANGUAGES)}")
    hours = fields.get("hours")
    if hours is None:
        return chosen, 0
    if isinstance(hours, bool) or not isinstance(hours, int | float) or not 0 < hours <= MOST_H:
        raise Failure(Code.BAD_INPUT, f"hours must be a number above 0, at most {MOST_H}")
    return chosen, max(0, at_ms - int(hours * 3_600_000))


def state_of(job: JobSeen | None) -> str:
    """Why a report is not there yet; raises Failure for one that never will be."""
    if job is None or not job.what.startswith("report "):
        raise Failure(Code.NOT_FOUND, "there is no such report; it may have been deleted by `keep.reports`: ask again")
    if job.state == "failed":
        raise Failure(Code.INTERNAL, f"the report could not be made: {job.reason}; ask for it again")
    if job.state == "finished":
        raise Failure(Code.NOT_FOUND, "the report was made and is not in this gateway's ONAIR_DATA any more; ask again")
    return job.state


def _state(id_: str, state: str) -> Response:
    told = {"id": id_, "state": state, "url": f"/api/reports/{id_}"}
    return Response(json.dumps(told), 202, media_type="application/json", headers={"retry-after": "1"})
