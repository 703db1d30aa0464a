"""One-time tickets: what a browser shows at a WebSocket, which can send no header."""

import hashlib
import re

KEPT_MS = 30_000
"""A ticket is good for so long, once."""
BYTES = 32
"""Of chance in one."""
_FORM = re.compile(r"[A-Za-z0-9_-]{43}")


def key_of(ticket: str) -> str:
    """Under what it is kept: who reads the broker cannot use it. '' for what is no ticket."""
    return hashlib.sha256(ticket.encode()).hexdigest() if _FORM.fullmatch(ticket) else ""
