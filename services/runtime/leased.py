"""Long things: a short order makes this worker the one that does it, for as long as its lease lasts.

An order is done as soon as the lease is ours, so that what lasts does not lie among the work. Who loses the lease stops at
once. What nobody does is ordered anew by whoever wants it done.
"""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import suppress
from typing import ClassVar, Generic, TypeVar

import structlog

from services.contract.failure import Code, Failure
from services.contract.gateway import CallOpened, ConversationWanted
from services.runtime.attend import Attend
from services.runtime.clock import now_ms
from services.runtime.delivery import Job
from services.runtime.line import LeaseLostError
from services.runtime.permits import Permits
from services.runtime.trouble import TROUBLE, tell
from services.runtime.work import Work

log = structlog.get_logger(__name__)
REST_S = 0.8
"""A worker that is full leaves an order to others, and asks for the next one only after this or with room for it.

Less than a beat of delivery, which ends what has no entry any more.
"""
OrderT = TypeVar("OrderT", CallOpened, ConversationWanted)
L = TypeVar("L", bound=Attend)


class Leased(ABC, Generic[OrderT, L]):
    """What this worker attends, `most` at a time."""

    what: ClassVar[str]
    """For people: call, conversation."""

    def __init__(self, work: Work, lease: Callable[[str], L], most: int) -> None:
        """`lease`: of a session, in the name of this worker."""
        self._work = work
        self._lease = lease
        self._permits = Permits(most)
        self._tasks: set[asyncio.Task[None]] = set()
        self._closed = False

    @abstractmethod
    async def attend(self, order: OrderT, lease: L) -> None:
        """Do it until it is over; raises LeaseLostError."""

    @abstractmethod
    async def give_up(self, order: OrderT, failure: Failure) -> None:
        """It failed for good: say what went wrong. May run more than once."""

    async def take(self, job: Job[OrderT]) -> None:
        """One delivery of one order, to its end: it is attended, by us or by another, or the order is too old."""
        order = job.message
        if now_ms() > order.deadline_ms:
            await self._work.finish(job.entry)
        elif self._closed or not await self._permits.take(0, urgent=False):
            await self._work.hand_back(job.entry)
            if await self._permits.take(REST_S, urgent=False):
                self._permits.give()
        else:
            await self._open(order)
            await self._work.finish(job.entry)

    async def _open(self, order: OrderT) -> None:
        """Attend it, if nobody does. Takes a permit with it."""
        lease = self._lease(order.session)
        try:
            mine = await lease.take() and not self._closed
        except BaseException:
            self._permits.give()
            raise
        if not mine:
            self._permits.give()
            await lease.release()
            return
        task = asyncio.create_task(self._attend(order, lease), name=f"{self.what} {order.session}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _attend(self, order: OrderT, lease: L) -> None:
        log.info("attending", session=order.session)
        try:
            await self.attend(order, lease)
        except LeaseLostError:
            log.warning("another attends it now, or the broker was away", session=order.session)
        except TROUBLE as error:
            tell(f"attending {order.session}", error)
            await _release(lease)
        except Exception as error:
            # The lease is kept to its end: whoever takes it next may break of the same thing, so not at once.
            log.exception("attending broke", session=order.session)
            with suppress(*TROUBLE):
                await self.give_up(order, Failure(Code.INTERNAL, _reason(error)))
        except asyncio.CancelledError:
            await _release(lease)
            raise
        else:
            await _release(lease)
        finally:
            self._permits.give()

    async def run(self) -> None:
        """Until it is cancelled; then all is left where it stands, and the leases given back."""
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            self._closed = True
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)


def _reason(error: BaseException) -> str:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]  isinstance narrows to an unknown group
    return f"{type(error).__name__}: {error}"  # pyright: ignore[reportUnknownArgumentType]  as above


async def _release(lease: Attend) -> None:
    with suppress(*TROUBLE):  # then it ends by itself
        await lease.release()
