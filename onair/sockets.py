"""The WebSocket of a client command: how it is opened, and what is said where it cannot be."""

from collections.abc import Mapping
from urllib.parse import urlencode

from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from onair import server as servers
from onair.server import CONNECT_S, Server
from services.contract.failure import Code, Failure

MOST = 16 << 20
"""Bytes of one frame."""
TRIES_S = (0.25, 0.5, 1, 2, 4, 8, 8, 8)
"""How long is waited before each new try: a gateway that is started again is back by then."""
UNAUTHORIZED, REFUSED = 401, {401, 403}


class Straight(connect):
    """A connection to the server that was named, and to no other: the token goes along with a redirect."""

    def process_redirect(self, exc: Exception) -> Exception | str:
        """Follow none."""
        return exc


def connecting(server: Server, path: str, query: Mapping[str, str]) -> Straight:
    """The connection, to be entered; raises what `unreached` explains."""
    headers = {"Authorization": f"Bearer {server.token}"} if server.token else {}
    url = f"{server.url.replace('http', 'ws', 1)}{path}?{urlencode(query)}"
    proxy = None if server.local else True
    return Straight(
        url, additional_headers=headers, proxy=proxy, open_timeout=CONNECT_S, max_size=MOST, compression=None
    )


def unreached(server: Server, error: Exception) -> Failure:
    """Why there is no connection, and what to do."""
    if isinstance(error, InvalidStatus) and (status := error.response.status_code):
        return servers.refusal(
            UNAUTHORIZED if status in REFUSED else status, bytes(error.response.body or b""), server.url
        )
    remedy = "start one by `onair up`, or name another by --server"
    return Failure(Code.BUS_DOWN, f"no server listens at {server.url}: {remedy}", retryable=True)
