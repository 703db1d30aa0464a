"""What every HTTP route needs: bodies within bounds, failures as answers, notice of a caller who left."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

import structlog
from fastapi import Request, Response
from starlette.requests import ClientDisconnect
from starlette.types import Receive

from services.contract.failure import Code, Failure
from services.gateway.core import answers
from services.gateway.core.caps import Slots
from services.runtime.logs import Throttle
from services.runtime.metrics import REJECTED

log = structlog.get_logger(__name__)
T = TypeVar("T")
ERRORS: dict[int | str, dict[str, Any]] = {
    status: {
        "description": what,
        "content": {
            "application/json": {
                "schema": {
                    "type": "object",
                    "properties": {"code": {"type": "string"}, "detail": {"type": "string"}},
                    "required": ["code", "detail"],
                }
            }
        },
    }
    for status, what in (
        (401, "The operator's token is needed"),
        (413, "Larger than is allowed"),
        (422, "The request can never succeed as it is; `detail` says why"),
        (503, "Busy, or a part is not there; try again after `Retry-After` seconds"),
        (504, "Nobody answered in time"),
    )
}


REASON_BYTES = 120
"""A close frame holds 123 bytes of reason."""


def reason(text: str) -> str:
    """As much of it as a WebSocket's close frame holds."""
    return text.encode()[:REASON_BYTES].decode(errors="ignore")


def refused(failure: Failure, throttle: Throttle | None = None) -> Response:
    """The failure as an HTTP answer; counted and logged, but for a broker in trouble, which is told once for all."""
    REJECTED.labels("gateway", failure.code.value).inc()
    if not throttle or throttle.ready():
        tell = log.debug if failure.code is Code.BUS_DOWN else log.info
        tell("refused", code=failure.code, reason=failure.sentence)
    return Response(
        answers.body(failure),
        answers.status(failure.code),
        answers.headers(failure.code),
        media_type="application/json",
    )


def plain(failure: Failure) -> Response:
    """The failure as the English partner's protocol tells it: 400 and the reason; who is not let in gets 401."""
    REJECTED.labels("gateway", failure.code.value).inc()
    log.info("refused", code=failure.code, reason=failure.sentence)
    status = 401 if failure.code is Code.UNAUTHORIZED else 400
    body = failure.sentence.encode("utf-8", "replace")
    return Response(body, status, answers.headers(failure.code), media_type="text/plain; charset=utf-8")


async def on_failure(_: Request, error: Exception) -> Response:
    """Every Failure that a route raises is told to the caller."""
    assert isinstance(error, Failure)  # noqa: S101  it is registered for Failure alone
    return refused(error)


def take(slots: Slots, what: str) -> None:
    """Take a slot, which the caller gives back; raises Failure BUSY."""
    if not slots.take():
        raise Failure(Code.BUSY, f"{slots.size} {what} are being served already; try again soon", retryable=True)


async def body_of(request: Request, limit: int, patience_ms: int) -> bytes:
    """The whole body; raises Failure TOO_LARGE as soon as it is, BAD_INPUT if it does not arrive."""
    body = bytearray()
    try:
        async with asyncio.timeout(patience_ms / 1_000):
            if int(request.headers.get("content-length") or 0) > limit:
                raise Failure(Code.TOO_LARGE, f"the body is larger than the {limit} bytes that are allowed")
            async for part in request.stream():
                body += part
                if len(body) > limit:
                    raise Failure(Code.TOO_LARGE, f"the body is larger than the {limit} bytes that are allowed")
    except TimeoutError as error:
        raise Failure(Code.BAD_INPUT, f"the body did not arrive within {patience_ms / 1_000:.0f} s") from error
    except ClientDisconnect as error:
        raise Failure(Code.BAD_INPUT, "the connection was closed before the body was complete") from error
    return bytes(body)


async def left(receive: Receive) -> None:
    """Returns when the caller has closed the connection; his body must have been read."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def unless_left(receive: Receive, work: Coroutine[Any, Any, T]) -> T:
    """The result of `work`, which is cancelled if the caller leaves: then Failure BAD_INPUT, which nobody reads."""
    task, gone = asyncio.ensure_future(work), asyncio.ensure_future(left(receive))
    try:
        await asyncio.wait([task, gone], return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise Failure(Code.BAD_INPUT, "the caller closed the connection")
        return task.result()
    finally:
        await end(task, gone)


async def within(ms: int, work: Coroutine[Any, Any, T]) -> T:
    """The result of `work`; raises TimeoutError after `ms`, when it has been ended."""
    async with asyncio.timeout(max(0, ms) / 1_000):
        return await work


async def end(*tasks: asyncio.Future[Any]) -> None:
    """Cancel the tasks and wait until they have ended."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
