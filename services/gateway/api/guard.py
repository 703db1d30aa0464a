"""The door: asks of every request whether it may come in."""

from starlette.datastructures import Headers, QueryParams
from starlette.types import ASGIApp, Receive, Scope, Send

from services.contract.failure import Failure
from services.gateway.api.http import refused
from services.gateway.core.access import Rules, Visit, check, is_open

REFUSED = 4401
"""Close code; the handshake itself is answered with 403."""
REASON = 100


class Guard:
    """An ASGI application around another one."""

    def __init__(self, app: ASGIApp, rules: Rules) -> None:
        self._app = app
        self._rules = rules

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let it through, or say why not."""
        if scope["type"] in {"http", "websocket"} and not is_open(scope["path"]):
            try:
                check(visit(scope), self._rules)
            except Failure as failure:
                answer = refused(failure)
                if scope["type"] == "http":
                    await answer(scope, receive, send)
                else:
                    await send({"type": "websocket.close", "code": REFUSED, "reason": failure.sentence[:REASON]})
                return
        await self._app(scope, receive, send)


def visit(scope: Scope) -> Visit:
    """What the request says of who sends it."""
    headers = Headers(scope=scope)
    client: tuple[str, int] | None = scope.get("client")
    return Visit(
        client=client[0] if client else "",
        host=headers.get("host", ""),
        origin=headers.get("origin", ""),
        authorization=headers.get("authorization", "") or _from_query(scope),
    )


def _from_query(scope: Scope) -> str:
    """The token of a page, `?token=…`: a browser sends no header with an address, nor with a WebSocket."""
    given = QueryParams(scope.get("query_string", b"")).get("token", "")
    return f"Bearer {given}" if given else ""
