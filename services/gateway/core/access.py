"""Who may come in: this machine without a token, everybody else with the operator's."""

import hmac
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from urllib.parse import urlsplit

from services.contract.failure import Code, Failure

OPEN = frozenset({"/healthz", "/readyz"})
"""Answered to everybody: they tell nothing but that the service works."""
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
    if rules.token and hmac.compare_digest(visit.authorization.encode(), f"Bearer {rules.token}".encode()):
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
