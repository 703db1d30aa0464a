"""Trouble with a broker: what passes by itself, how it is told, and how long one waits before trying again.

Every loop that talks to a broker uses this, so that a process whose broker is gone writes one line a second in all,
however many loops it has, and comes back within moments when the broker does.
"""

import structlog
from redis.exceptions import (
    ClusterDownError,
    MasterDownError,
    NoPermissionError,
    NoScriptError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
    TryAgainError,
)
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from services.runtime.logs import Throttle
from services.runtime.metrics import BUS_ERRORS

log = structlog.get_logger(__name__)
TROUBLE = (RedisError, OSError)
"""What a call to a broker may raise."""
HEAL_S = 0.3
"""Pause before what failed is tried again."""
_PASSING = (
    RedisConnectionError,
    RedisTimeoutError,
    ReadOnlyError,
    OutOfMemoryError,
    NoScriptError,
    NoPermissionError,
    MasterDownError,
    ClusterDownError,
    TryAgainError,
    ConnectionError,
    TimeoutError,
)
_STATES = ("NOGROUP", "MISCONF", "NOREPLICAS", "UNBLOCKED", "BUSY ", "UNKILLABLE")
"""How error replies begin that tell of the broker, not of what was asked, and have no class of their own."""
_throttle = Throttle()


def passes(error: BaseException) -> bool:
    """Whether the broker's state is to blame, so that the same call may succeed later.

    Any other error reply, as of a key of a wrong type, comes back as often as the call is repeated.
    """
    return isinstance(error, _PASSING) or (isinstance(error, RedisError) and str(error).startswith(_STATES))


def tell(part: str, error: BaseException) -> None:
    """Count it, and log it where this process has logged no trouble for a second."""
    BUS_ERRORS.labels(type(error).__name__).inc()
    if _throttle.ready():
        held, _throttle.held_back = _throttle.held_back, 0
        log.warning("trouble with a broker, trying again", part=part, error=_text(error), not_told=held)


def _text(error: BaseException) -> str:
    """The sentence; of a group of errors the first one's, of an error without words its name."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]  isinstance narrows to an unknown group
    return f"{type(error).__name__}: {error}".rstrip(": ")  # pyright: ignore[reportUnknownArgumentType]  as above
