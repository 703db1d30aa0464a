"""How many connections there are, in all and of each client."""

from collections import Counter
from ipaddress import IPv6Address, ip_address


class Crowd:
    """Who is connected. An IPv6 client is its /64, whose addresses are all its own."""

    def __init__(self, size: int, each: int) -> None:
        self._size = size
        self._each = each
        self._of: Counter[str] = Counter()

    def enter(self, client: str, *, trusted: bool) -> str:
        """Count it in; a sentence with the remedy where there is no room. Who is trusted may take all that is left."""
        who = _who(client)
        if self._of.total() >= self._size:
            return f"{self._size} connections are open already; try again soon"
        if not trusted and self._of[who] >= self._each:
            return f"{self._each} connections from your address are open already; close one, or try again soon"
        self._of[who] += 1
        return ""

    def leave(self, client: str) -> None:
        """Count it out."""
        who = _who(client)
        self._of[who] -= 1
        if not self._of[who]:
            del self._of[who]


def _who(client: str) -> str:
    try:
        address = ip_address(client)
    except ValueError:
        return client
    if isinstance(address, IPv6Address) and not address.ipv4_mapped:
        return address.exploded[:19]
    return client
