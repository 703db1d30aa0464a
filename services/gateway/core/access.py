"""Who may come in: this machine without a token, everybody else with the operator's."""

import hmac
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from urllib.parse import urlsplit

from services.contract.failure import Code, Failure

OPEN = frozenset({"/healthz", "/readyz", "/console"})
"""Answered to everybody: they tell nothing but that the service works, or where the token is asked for."""
OPEN_FOLDER = "/web/"
"""What every page is made of, the same for all."""
_PRIVATE = ("localhost", ".localhost", ".internal")
"""Names that no public domain can have, besides those without a dot."""


@dataclass(frozen=True)
class Rules:
    """What the operator allows."""

    token: str = ""
    """Empty: none is set, and only this machine comes in."""
    loopback: bool = False
    """The port is published on this machine's loopback only, whatever address a client seems to have."""


@dataclass(frozen=True)
class Visit:
    """What a request says of who sends it."""

    client: str = ""
    """Address of the peer."""
    host: str = ""
    origin: str = ""
    authorization: str = ""


def is_open(path: str) -> bool:
    """Whether everybody is answered there."""
    return path in OPEN or path.startswith(OPEN_FOLDER)


def is_loopback(host: str) -> bool:
    """Whether the address or name is this machine's own."""
    return host == "localhost" or ((address := _address(host)) is not None and address.is_loopback)


def may_listen(host: str, rules: Rules) -> None:
    """Raises Failure BAD_CONFIG where the whole network could come in without a token."""
    if not (is_loopback(host) or rules.token or rules.loopback):
        raise Failure(
            Code.BAD_CONFIG,
            f"the gateway would listen on {host} without a token, open to everybody who can reach it: set ONAIR_TOKEN, "
            "or GATEWAY_HOST=127.0.0.1, or GATEWAY_EXPOSED=loopback if its port is published on 127.0.0.1 only",
        )


def check(visit: Visit, rules: Rules) -> None:
    """Raises Failure UNAUTHORIZED with the reason.

    Without the token a request must come from this machine, under a name that only this machine's own pages use: a
    public name in `Host` is DNS rebinding, one in `Origin` a foreign page that spends the operator's money.
    """
    if _has_token(visit, rules):
        return
    if not (rules.loopback or is_loopback(visit.client)):
        raise Failure(Code.UNAUTHORIZED, "send the operator's token: Authorization: Bearer <ONAIR_TOKEN>")
    for name, value in (("Host", f"//{visit.host}"), ("Origin", visit.origin)):
        if value not in {"", "//"} and not _ours(value):
            raise Failure(
                Code.UNAUTHORIZED,
                f"{name} {value.removeprefix('//')[:100]!r} is not this machine; call it by localhost or its address, "
                "or send Authorization: Bearer <ONAIR_TOKEN>",
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


def _has_token(visit: Visit, rules: Rules) -> bool:
    given = visit.authorization.encode()
    return bool(rules.token) and hmac.compare_digest(given, f"Bearer {rules.token}".encode())


def _ours(url: str) -> bool:
    """Whether the URL's host cannot be a public domain: an address, a name without a dot, a private name."""
    try:
        host = (urlsplit(url).hostname or "").rstrip(".")
    except ValueError:
        return False
    return bool(host) and (_address(host) is not None or "." not in host or host.endswith(_PRIVATE))


def _address(host: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(host)
    except ValueError:
        return None
