"""A broker's trouble as a failure that can be told to whoever asked."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from services.contract.failure import Code, Failure
from services.runtime.trouble import TROUBLE, tell


@asynccontextmanager
async def told(part: str) -> AsyncGenerator[None]:
    """What the brokers fail at is said in one sentence: raises Failure BUS_DOWN."""
    try:
        yield
    except TROUBLE as error:
        tell(part, error)
        sentence = f"the broker does not take this now ({error}); try again"
        raise Failure(Code.BUS_DOWN, sentence, retryable=True) from error
