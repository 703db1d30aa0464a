"""`/api/console/…`: how everything stands, told once a second, and an operator's hands on the show."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import structlog
from fastapi import APIRouter, Request, Response
from starlette.types import Receive, Scope, Send

from services.contract.failure import Failure
from services.gateway.api.audience import Audience
from services.gateway.api.guard import visit
from services.gateway.api.http import ERRORS, body_of, end, left, take
from services.gateway.core.access import Rules, same_page, who
from services.gateway.core.caps import Caps, Slots
from services.gateway.core.console import orders
from services.gateway.core.console.board import event
from services.gateway.core.ports import Hands, Jobs, Panel

log = structlog.get_logger(__name__)
T = TypeVar("T")
START = {
    "type": "http.response.start",
    "status": 200,
    "headers": [
        (b"content-type", b"text/event-stream; charset=utf-8"),
        (b"cache-control", b"no-cache"),
        (b"x-accel-buffering", b"no"),
    ],
}
TOLD: dict[int | str, dict[str, Any]] = {
    **ERRORS,
    200: {"content": {"application/json": {"schema": {"type": "object"}}}},
}
STREAM: dict[int | str, dict[str, Any]] = {
    **ERRORS,
    200: {"content": {"text/event-stream": {"schema": {"type": "string"}}}},
}


@dataclass(frozen=True)
class Booth:
    """What the console works with."""

    panel: Panel
    hands: Hands
    rules: Rules
    jobs: Jobs | None = None


class Act:
    """One order: asks whether it comes from our own page, does it, writes it down."""

    def __init__(self, booth: Booth, request: Request) -> None:
        self._hands = booth.hands
        self._who = who(visit(request.scope), booth.rules)
        same_page(visit(request.scope), request.headers.get("sec-fetch-site", ""))

    @property
    def who(self) -> str:
        """Who orders it."""
        return self._who

    async def do(self, what: str, on: str, deed: Callable[[], Awaitable[object]]) -> Response:
        """Do it; what it fails at is written down too, and raised."""
        await self.noted(what, on, deed)
        return Response('{"done":true}', media_type="application/json")

    async def noted(
        self, what: str, on: str, deed: Callable[[], Awaitable[T]], how: Callable[[T], object] = lambda done: done
    ) -> T:
        """What doing it gave, of which `how` is written down; so is what it fails at, which is raised."""
        try:
            done = await deed()
        except Failure as failure:
            await self._note(what, on, failure.sentence, failed=True)
            raise
        await self._note(what, on, str(how(done) or "done"), failed=False)
        return done

    async def _note(self, what: str, on: str, how: str, *, failed: bool) -> None:
        log.warning("an operator acted", who=self._who, what=what, on=on, how=how)
        try:
            await self._hands.note(self._who, what, on, f"failed: {how}" if failed else how)
        except Failure as failure:
            log.error("what an operator did could not be written down", what=what, on=on, reason=failure.sentence)  # noqa: TRY400  the sentence says it all


def router(booth: Booth, caps: Caps) -> APIRouter:
    """The routes."""
    routes = APIRouter(tags=["console"])
    slots, audience = Slots(caps.operators), Audience(booth.panel, booth.jobs)

    async def console() -> Response:
        """How everything stands now: streams, pools, workers, rooms, sessions, ledger, dead letters, jobs, orders."""
        take(slots, "consoles")
        try:
            async with audience.seat():
                return Response(audience.told({}), media_type="application/json")
        finally:
            slots.give()

    async def stream() -> Response:
        """The same once a second, for as long as the connection lasts; a part is told again when it has changed."""
        take(slots, "consoles")
        return Looking(audience, slots, caps)

    get: dict[str, Any] = {"methods": ["GET"], "response_model": None}
    routes.add_api_route("/api/console", console, **get, responses=TOLD)
    routes.add_api_route("/api/console/stream", stream, **get, responses=STREAM)
    _orders(routes, booth, caps)
    return routes


def _orders(routes: APIRouter, booth: Booth, caps: Caps) -> None:
    hands = booth.hands

    async def stop(request: Request) -> Response:
        """Nothing of what a session asked for so far is heard any more."""
        act = Act(booth, request)
        session = orders.session(await body_of(request, caps.order_bytes, caps.body_ms))
        return await act.do("stop", session, lambda: _epoch(hands, session))

    async def silence(request: Request) -> Response:
        """The kill switch: nothing is spoken while it is on, what was paid for is kept."""
        act = Act(booth, request)
        if orders.on(await body_of(request, caps.order_bytes, caps.body_ms)):
            return await act.do("silence", "everything", lambda: _silence(hands, act.who))
        return await act.do("go on", "everything", hands.lift)

    async def requeue(request: Request, letter: str) -> Response:
        """A dead letter is work again."""
        return await Act(booth, request).do("requeue", letter, lambda: hands.requeue(orders.letter(letter)))

    async def drop(request: Request, letter: str) -> Response:
        """A dead letter is forgotten."""
        return await Act(booth, request).do("drop", letter, lambda: hands.drop(orders.letter(letter)))

    def body(name: str, kind: str) -> dict[str, Any]:
        schema = {"type": "object", "properties": {name: {"type": kind}}, "required": [name]}
        return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}

    post: dict[str, Any] = {"methods": ["POST"], "response_model": None, "responses": TOLD}
    routes.add_api_route("/api/console/stop", stop, **post, openapi_extra=body("session", "string"))
    routes.add_api_route("/api/console/silence", silence, **post, openapi_extra=body("on", "boolean"))
    routes.add_api_route("/api/console/dead/{letter}/requeue", requeue, **post)
    routes.add_api_route("/api/console/dead/{letter}/drop", drop, **post)


async def _epoch(hands: Hands, session: str) -> str:
    return f"epoch {await hands.stop(session)}"


async def _silence(hands: Hands, who: str) -> str:
    return f"{await hands.silence(who)} sessions told"


class Looking(Response):
    """Tells one console; who takes nothing for too long is cut off."""

    def __init__(self, audience: Audience, slots: Slots, caps: Caps) -> None:
        super().__init__()
        self._audience = audience
        self._slots = slots
        self._caps = caps

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002  ASGI's signature
        """Serve it; the slot is given back when it is over."""
        talk, gone = asyncio.ensure_future(self._talk(send)), asyncio.ensure_future(left(receive))
        try:
            await asyncio.wait([talk, gone], return_when=asyncio.FIRST_COMPLETED)
        finally:
            await end(talk, gone)
            self._slots.give()
        if not talk.cancelled() and (error := talk.exception()) and not isinstance(error, TimeoutError):
            raise error

    async def _talk(self, send: Send) -> None:
        known: dict[str, int] = {}
        await self._send(send, START)
        async with self._audience.seat():
            while True:
                body = event(self._audience.told(known))
                await self._send(send, {"type": "http.response.body", "body": body, "more_body": True})
                await self._audience.tick()

    async def _send(self, send: Send, said: dict[str, Any]) -> None:
        """Raises TimeoutError if the client takes nothing for too long: then the server closes the connection."""
        async with asyncio.timeout(self._caps.send_ms / 1_000):
            await send(said)
