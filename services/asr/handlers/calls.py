"""Calls: an order makes this worker the one that listens to a call; it listens until nobody speaks any more.

An order is done as soon as the call's lease is ours, so that calls, which last, do not lie among the work. Who loses the
lease stops at once. A call that nobody attends is ordered anew by whoever holds it, and is taken up where its last
utterance ended.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress

import structlog

from services.asr.handlers.call import Call, Ears, failed
from services.asr.handlers.line import LeaseLostError, Line
from services.contract import streams
from services.contract.failure import Code, Failure
from services.contract.gateway import CallOpened
from services.runtime.attend import Attend
from services.runtime.clock import now_ms
from services.runtime.delivery import Delivery, Duty, Job
from services.runtime.permits import Permits
from services.runtime.trouble import TROUBLE, tell
from services.runtime.work import Work

log = structlog.get_logger(__name__)
REST_S = 0.8
"""A worker that is full leaves an order to others, and asks for the next one only after this or with room for it.

Less than a beat of delivery, which ends what has no entry any more.
"""


class Calls:
    """The calls of this worker, `most` at a time."""

    def __init__(self, work: Work, ears: Ears, lease: Callable[[str], Attend], most: int) -> None:
        """`lease`: of a session, in the name of this worker."""
        self._work = work
        self._ears = ears
        self._lease = lease
        self._permits = Permits(most)
        self._tasks: set[asyncio.Task[None]] = set()
        self._closed = False

    async def take(self, job: Job[CallOpened]) -> None:
        """One delivery of one order, to its end: the call is attended, by us or by another, or the order is too old."""
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

    async def _open(self, order: CallOpened) -> None:
        """Attend the call, if nobody does. Takes a permit with it."""
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
        task = asyncio.create_task(self._attend(order, lease), name=f"call {order.session}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _attend(self, order: CallOpened, lease: Attend) -> None:
        log.info("attending a call", session=order.session)
        try:
            await Call(self._ears, Line(order.session, lease, self._ears.sessions), order.language).attend()
        except LeaseLostError:
            log.warning("another attends the call now, or the broker was away", session=order.session)
        except TROUBLE as error:
            tell(f"attending {order.session}", error)
            await _release(lease)
        except Exception as error:
            # The lease is kept to its end: whoever takes the call next may break of the same sound, so not at once.
            log.exception("attending a call broke", session=order.session)
            with suppress(*TROUBLE):
                await self.give_up(order, Failure(Code.INTERNAL, _reason(error)))
        except asyncio.CancelledError:
            await _release(lease)
            raise
        else:
            await _release(lease)
        finally:
            self._permits.give()

    async def give_up(self, order: CallOpened, failure: Failure) -> None:
        """It failed for good: say what went wrong. May run more than once."""
        await self._ears.sessions.publish(order.session, failed(failure))

    async def run(self) -> None:
        """Until it is cancelled; then every call is left where its last utterance ended, and its lease given back."""
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


def attach(delivery: Delivery, calls: Calls) -> None:
    """Take orders, one at a time: each is short."""
    stream = streams.CALLS
    delivery.attach(Duty(stream.key(), stream.group, CallOpened, calls.take, calls.give_up))
