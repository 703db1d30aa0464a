"""The door: asks of every request whether it may come in."""

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from services.contract.failure import Failure
from services.gateway.api.http import refused
from services.gateway.core.access import OPEN, Rules, Visit, check


class Guard:
    """An ASGI application around another one."""

    def __init__(self, app: ASGIApp, rules: Rules) -> None:
        self._app = app
        self._rules = rules

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let it through, or say why not."""
        if scope["type"] == "http" and scope["path"] not in OPEN:
            try:
                check(_visit(scope), self._rules)
            except Failure as failure:
                await refused(failure)(scope, receive, send)
                return
        await self._app(scope, receive, send)


def _visit(scope: Scope) -> Visit:
    headers = Headers(scope=scope)
    client: tuple[str, int] | None = scope.get("client")
    return Visit(
        client=client[0] if client else "",
        host=headers.get("host", ""),
        origin=headers.get("origin", ""),
        authorization=headers.get("authorization", ""),
    )
