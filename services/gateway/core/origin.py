"""Where a page comes from: `Origin` and `Host`, read strictly, compared letter by letter."""

import re
from collections.abc import Iterable

from services.contract.failure import Code, Failure

_HOST = r"(?:\[[0-9a-f:.]+\]|[a-z0-9_-]+(?:\.[a-z0-9_-]+)*\.?)"
_AUTHORITY = re.compile(rf"({_HOST})(?::([0-9]{{1,5}}))?")
_ORIGIN = re.compile(rf"([a-z][a-z0-9+.-]*)://({_HOST}(?::[0-9]{{1,5}})?)")
_USUAL = {"http": "80", "https": "443"}
"""Ports that a browser leaves out."""


def host_of(authority: str) -> str:
    """The name or address in `Host`, lower case, without brackets and the last dot; '' for what is none."""
    found = _AUTHORITY.fullmatch(authority.lower())
    return found[1].strip("[]").rstrip(".") if found else ""


def host_in(origin: str) -> str:
    """The name or address of an origin; '' for what a browser would not send as one, as `null`."""
    found = _ORIGIN.fullmatch(origin)
    return host_of(found[2]) if found else ""


def origin_of(scheme: str, authority: str) -> str:
    """The origin of a page that is served there, as a browser says it; '' where the authority is none."""
    found = _AUTHORITY.fullmatch(authority.lower())
    if not found:
        return ""
    port = found[2] if found[2] and found[2] != _USUAL.get(scheme) else ""
    return f"{scheme}://{found[1]}{f':{port}' if port else ''}"


def listed(text: str) -> frozenset[str]:
    """The origins of a list with commas, as a browser says them; raises Failure BAD_CONFIG."""
    return frozenset(_checked(each.strip()) for each in text.split(",") if each.strip())


def hosts_of(origins: Iterable[str]) -> frozenset[str]:
    """The names and addresses in them."""
    return frozenset(map(host_in, origins))


def _checked(text: str) -> str:
    found = _ORIGIN.fullmatch(text.lower())
    if not found:
        raise Failure(
            Code.BAD_CONFIG,
            f"GATEWAY_ORIGINS names {text[:100]!r}; write each origin as a browser sends it: scheme, host and port without "
            "a path, as https://onair.example or http://localhost:8080, international names in their xn-- form",
        )
    return origin_of(found[1], found[2])
