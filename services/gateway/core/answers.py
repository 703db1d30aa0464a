"""How a failure is told over HTTP."""

import json

from services.contract.failure import Code, Failure

_STATUS = {
    Code.BAD_INPUT: 422,
    Code.BAD_AUDIO: 422,
    Code.BAD_MESSAGE: 422,
    Code.TOO_LARGE: 413,
    Code.UNAUTHORIZED: 401,
    Code.NOT_FOUND: 404,
    Code.ENGINE_SILENT: 504,
    Code.EXPIRED: 504,
    Code.INTERNAL: 500,
}
BUSY = 503
RETRY_AFTER_S = 5
"""After how long a caller may find a slot or a service again."""


def status(code: Code) -> int:
    """The HTTP status; whatever may pass by itself is 503."""
    return _STATUS.get(code, BUSY)


def headers(code: Code) -> dict[str, str]:
    """What goes with the status."""
    if status(code) == BUSY:
        return {"retry-after": str(RETRY_AFTER_S)}
    return {"www-authenticate": "Bearer"} if code is Code.UNAUTHORIZED else {}


def body(failure: Failure) -> bytes:
    """`{"code": …, "detail": …}`: a stable word for programs, a sentence for people."""
    told = {"code": failure.code.value, "detail": failure.sentence}
    return json.dumps(told, ensure_ascii=False).encode("utf-8", "replace")
