"""Lets listed pages of other places read what the English partner answers them; nothing of any other route."""

from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

from services.gateway.core import english
from services.gateway.core.access import Rules

METHODS = ("GET", "POST")
HEADERS = ("Authorization", "Content-Type")
KEPT_S = 600
"""A browser asks so seldom whether it may."""


class Cors:
    """An ASGI application around another one. It stands outside the door: what is refused there can be read too."""

    def __init__(self, app: ASGIApp, rules: Rules) -> None:
        self._app = app
        pages = sorted(rules.pages(english.AUDIO))
        self._read = CORSMiddleware(app, pages, METHODS, HEADERS, max_age=KEPT_S)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer what a browser asks beforehand, or pass it on."""
        ours = scope["type"] == "http" and english.serves(scope["path"])
        await (self._read if ours else self._app)(scope, receive, send)
