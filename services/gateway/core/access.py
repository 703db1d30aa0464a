"""Who may come in: this machine without a token, everybody else with the operator's, a student with one of his own."""

import hmac
import re
from base64 import urlsafe_b64encode
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from urllib.parse import urlsplit

from services.contract.failure import Code, Failure
from services.gateway.core import english
from services.gateway.core.origin import host_in, host_of, hosts_of, origin_of

OPEN = frozenset({"/healthz", "/readyz", "/console", "/talk"})
"""Answered to everybody: they tell nothing but that the service works, or where the token is asked for."""
OPEN_FOLDER = "/web/"
"""What every page is made of, the same for all."""
_OPERATORS = re.compile(
    r"/api/console(/.*)?|/api/tickets|/api/users/.*|/api/reports/.*|/api/tavus/.*"
    r"|/api/rooms/[^/]+/(events|reports)|/metrics"
)
"""What acts for the operator or tells of the business: an open network does not open it."""
_USER = re.compile(r"[1-9][0-9]{0,18}", re.ASCII)
_PRIVATE = ("localhost", ".localhost", ".internal")
"""Names that no public domain can have, besides those without a dot."""


@dataclass(frozen=True)
class Rules:
    """What the operator allows."""

    token: str = ""
    """Empty: none is set, and only this machine comes in."""
    loopback: bool = False
    """The port is published on this machine's loopback only, whatever address a client seems to have."""
    origins: frozenset[str] = frozenset()
    """Pages of other places that may come in, each as a browser says it."""
    open_networks: tuple[IPv4Network | IPv6Network, ...] = ()
    """Whose clients come in without a token."""

    def pages(self, path: str) -> frozenset[str]:
        """Pages of other places that may ask there."""
        return self.origins or (english.PAGES if english.serves(path) else frozenset())


@dataclass(frozen=True)
class Visit:
    """What a request says of who sends it."""

    client: str = ""
    """Address of the peer."""
    host: str = ""
    origin: str = ""
    authorization: str = ""
    scheme: str = "http"
    """Or https: what the client speaks, where a proxy on this machine says so."""
    path: str = ""
    socket: bool = False
    """It is the handshake of a WebSocket, which any page may ask for and then read."""
    ticket: bool = False
    """A ticket was shown, and it was good."""


def is_open(path: str) -> bool:
    """Whether everybody is answered there."""
    return path in OPEN or path.startswith(OPEN_FOLDER)


def is_loopback(host: str) -> bool:
    """Whether the address or name is this machine's own."""
    return host == "localhost" or ((address := _address(host)) is not None and address.is_loopback)


def may_listen(host: str, rules: Rules) -> None:
    """Raises Failure BAD_CONFIG where the whole network could come in without a token."""
    if not (is_loopback(host) or rules.token or rules.loopback or rules.open_networks):
        raise Failure(
            Code.BAD_CONFIG,
            f"the gateway would listen on {host} without a token, open to everybody who can reach it: set ONAIR_TOKEN, "
            "or GATEWAY_HOST=127.0.0.1, or GATEWAY_EXPOSED=loopback if its port is published on 127.0.0.1 only",
        )


def check(visit: Visit, rules: Rules) -> None:
    """Raises Failure UNAUTHORIZED with the reason.

    Without the token a request must come from this machine or an open network, under a name that no public domain can
    have: a public name in `Host` is DNS rebinding, one in `Origin` a foreign page that spends the operator's money. The
    page that opens a WebSocket is our own or a listed one, letter by letter.
    """
    if _has_token(visit, rules) or student(visit, rules):
        return
    local = rules.loopback or is_loopback(visit.client)
    if not visit.ticket:
        if not (local or _is_open_to(visit, rules)):
            raise Failure(Code.UNAUTHORIZED, "send the operator's token: Authorization: Bearer <ONAIR_TOKEN>")
        if visit.host and not (_is_private(host := host_of(visit.host)) or host in hosts_of(rules.origins)):
            raise Failure(
                Code.UNAUTHORIZED,
                f"Host {visit.host[:100]!r} is not this machine; call it by localhost or its address, "
                "or send Authorization: Bearer <ONAIR_TOKEN>",
            )
    if visit.origin and not _may_ask(visit, rules, local=local):
        raise Failure(
            Code.UNAUTHORIZED,
            f"Origin {visit.origin[:100]!r} is not this machine's own page; open the page that the gateway serves, or name "
            "that origin in GATEWAY_ORIGINS if it is yours, or send Authorization: Bearer <ONAIR_TOKEN>",
        )


def same_page(visit: Visit, site: str) -> None:
    """Raises Failure UNAUTHORIZED for an order that another page gives: any page can make a browser send one to here.

    `site` is `Sec-Fetch-Site`. A program sends neither it nor `Origin`.
    """
    there = urlsplit(visit.origin).netloc.lower() if visit.origin else ""
    if site not in {"", "same-origin", "none"} or (visit.origin and there != visit.host.lower()):
        raise Failure(
            Code.UNAUTHORIZED,
            f"another page ({visit.origin[:100] or site!r}) may not act here; open the console itself, or use a program",
        )


def who(visit: Visit, rules: Rules) -> str:
    """Who acts, for the record: by what right, from where."""
    return f"{'token' if _has_token(visit, rules) else 'this machine'}, {visit.client or 'unknown'}"


def token_of(user: int, token: str) -> str:
    """The token with which this user, and nobody else, takes lessons: good until the operator's own is changed."""
    return f"{user}.{_signature(user, token)}"


def student(visit: Visit, rules: Rules) -> int:
    """Whose token is shown, on a path where such tokens are good; 0 for nobody's."""
    user, _, signature = visit.authorization.removeprefix("Bearer ").partition(".")
    if not (rules.token and english.serves(visit.path) and _USER.fullmatch(user)):
        return 0
    good = hmac.compare_digest(signature.encode(), _signature(int(user), rules.token).encode())
    return int(user) if good else 0


def only_for(user: int, visit: Visit, rules: Rules) -> None:
    """Raises Failure UNAUTHORIZED where the token that is shown is another user's."""
    if (shown := student(visit, rules)) and shown != user:
        raise Failure(Code.UNAUTHORIZED, f"this is the token of user {shown}, which opens nothing of user {user}")


def _signature(user: int, token: str) -> str:
    made = hmac.digest(token.encode(), f"onair user {user}".encode(), "sha256")
    return urlsafe_b64encode(made).decode().rstrip("=")


def _has_token(visit: Visit, rules: Rules) -> bool:
    given = visit.authorization.encode()
    return bool(rules.token) and hmac.compare_digest(given, f"Bearer {rules.token}".encode())


def _is_open_to(visit: Visit, rules: Rules) -> bool:
    """Whether it comes from an open network, for what is not the operator's alone."""
    address = _address(visit.client)
    inside = address is not None and any(address in network for network in rules.open_networks)
    return inside and not _OPERATORS.fullmatch(visit.path)


def _may_ask(visit: Visit, rules: Rules, *, local: bool) -> bool:
    """Whether a page from there may: a WebSocket's is ours or listed; what else a page of this machine asks cannot be read by it."""
    if visit.origin in rules.pages(visit.path) or visit.origin == origin_of(visit.scheme, visit.host):
        return True
    return local and not visit.socket and _is_private(host_in(visit.origin))


def _is_private(host: str) -> bool:
    """Whether that cannot be a public domain: an address, a name without a dot, a private name."""
    return bool(host) and (_address(host) is not None or "." not in host or host.endswith(_PRIVATE))


def _address(host: str) -> IPv4Address | IPv6Address | None:
    """Also of an IPv4 client of a socket that serves both."""
    try:
        address = ip_address(host)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address
