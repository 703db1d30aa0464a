"""The pages: `/`, `/rooms/{room}`, `/talk`, `/console`, and the files that they are made of."""

from collections.abc import Sequence
from pathlib import Path

from fastapi import APIRouter, Response
from fastapi.responses import RedirectResponse

from services.contract.failure import Code, Failure
from services.gateway.api.events import of_config

WEB = Path(__file__).parents[1] / "web"
TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
}
HEADERS = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-cache",
}


def router(rooms: Sequence[str]) -> APIRouter:
    """The pages of these rooms; their files are read once, so that no path of a request reaches the disk."""
    routes = APIRouter(include_in_schema=False)
    files = {str(path.relative_to(WEB)): path for path in WEB.rglob("*") if path.suffix in TYPES}
    bodies = {name: path.read_bytes() for name, path in files.items()}

    def first() -> Response:
        """The page of the first room."""
        if not rooms:
            raise Failure(Code.NOT_FOUND, "no room is configured: name one under `rooms` in onair.yaml")
        return RedirectResponse(f"/rooms/{rooms[0]}", 307)

    def page(room: str) -> Response:
        """The page of a room."""
        of_config(room, rooms)
        return Response(bodies["index.html"], media_type=TYPES[".html"], headers=HEADERS)

    def console() -> Response:
        """The operators' console; it holds nothing, what it shows is asked for with the token."""
        return Response(bodies["console.html"], media_type=TYPES[".html"], headers=HEADERS)

    def talk() -> Response:
        """A voice call; the call itself asks for the token."""
        return Response(bodies["talk.html"], media_type=TYPES[".html"], headers=HEADERS)

    def file(name: str) -> Response:
        """A file of the page."""
        if name not in bodies:
            raise Failure(Code.NOT_FOUND, "there is no such file")
        return Response(bodies[name], media_type=TYPES[files[name].suffix], headers=HEADERS)

    routes.add_api_route("/", first, methods=["GET"])
    routes.add_api_route("/rooms/{room}", page, methods=["GET"])
    routes.add_api_route("/console", console, methods=["GET"])
    routes.add_api_route("/talk", talk, methods=["GET"])
    routes.add_api_route("/web/{name:path}", file, methods=["GET"])
    return routes
