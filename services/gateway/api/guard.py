"""The door: asks of every request whether it may come in."""

from dataclasses import replace

from starlette.datastructures import Headers, QueryParams
from starlette.types import ASGIApp, Receive, Scope, Send

from services.contract.failure import Code, Failure
from services.gateway.api.http import refused
from services.gateway.core.access import Rules, Visit, check, is_open
from services.gateway.core.ports import Tickets
from services.runtime.logs import Throttle

REFUSED = 403
"""Status of a handshake that is refused."""
SECURE = {"https", "wss"}
STALE = "the ticket is not good (any more): each opens one WebSocket within 30 s; get another one by POST /api/tickets"


class Guard:
    """An ASGI application around another one."""

    def __init__(self, app: ASGIApp, rules: Rules, tickets: Tickets | None = None) -> None:
        self._app = app
        self._rules = rules
        self._tickets = tickets
        self._throttle = Throttle()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let it through, or say why not."""
        if scope["type"] in {"http", "websocket"} and not is_open(scope["path"]):
            try:
                check(await self._with_ticket(visit(scope), scope), self._rules)
            except Failure as failure:
                await self._refuse(failure, scope, receive, send)
                return
        await self._app(scope, receive, send)

    async def _with_ticket(self, seen: Visit, scope: Scope) -> Visit:
        """What is shown at a WebSocket is used up; raises Failure UNAUTHORIZED for a ticket that is not good."""
        given = QueryParams(scope.get("query_string", b"")).get("ticket", "") if seen.socket else ""
        if not given:
            return seen
        if not (self._tickets and await self._tickets.take(given)):
            raise Failure(Code.UNAUTHORIZED, STALE)
        return replace(seen, ticket=True)

    async def _refuse(self, failure: Failure, scope: Scope, receive: Receive, send: Send) -> None:
        answer = refused(failure, self._throttle)
        if scope["type"] == "http":
            await answer(scope, receive, send)
            return
        start = {"type": "websocket.http.response.start", "status": REFUSED, "headers": answer.raw_headers}
        await send(start)
        await send({"type": "websocket.http.response.body", "body": answer.body})


def visit(scope: Scope) -> Visit:
    """What the request says of who sends it. A header that comes twice is none that we know."""
    headers = Headers(scope=scope)
    client: tuple[str, int] | None = scope.get("client")
    return Visit(
        client=client[0] if client else "",
        host=", ".join(headers.getlist("host")),
        origin=", ".join(headers.getlist("origin")),
        authorization=headers.get("authorization", "") or _from_query(scope),
        scheme="https" if scope.get("scheme") in SECURE else "http",
        path=scope["path"],
        socket=scope["type"] == "websocket",
    )


def _from_query(scope: Scope) -> str:
    """The token of a page, `?token=…`: a browser sends no header with an address, nor with a WebSocket."""
    given = QueryParams(scope.get("query_string", b"")).get("token", "")
    return f"Bearer {given}" if given else ""
