"""Calls: an order makes this worker the one that listens to a call; it listens until nobody speaks any more.

Whoever takes a call over takes it up where its last utterance ended.
"""

from collections.abc import Callable

from services.asr.handlers.call import Call, Ears, failed
from services.contract import streams
from services.contract.failure import Failure
from services.contract.gateway import CallOpened
from services.runtime.attend import Attend
from services.runtime.delivery import Delivery, Duty
from services.runtime.leased import Leased
from services.runtime.line import Line
from services.runtime.work import Work


class Calls(Leased[CallOpened, Attend]):
    """The calls of this worker, `most` at a time."""

    what = "call"

    def __init__(self, work: Work, ears: Ears, lease: Callable[[str], Attend], most: int) -> None:
        """`lease`: of a session, in the name of this worker."""
        super().__init__(work, lease, most)
        self._ears = ears

    async def attend(self, order: CallOpened, lease: Attend) -> None:
        """Listen, from where the last utterance ended; raises LeaseLostError."""
        await Call(self._ears, Line(order.session, lease, self._ears.sessions), order.language).attend()

    async def give_up(self, order: CallOpened, failure: Failure) -> None:
        """Say what went wrong. May run more than once."""
        await self._ears.sessions.publish(order.session, failed(failure))


def attach(delivery: Delivery, calls: Calls) -> None:
    """Take orders, one at a time: each is short."""
    stream = streams.CALLS
    delivery.attach(Duty(stream.key(), stream.group, CallOpened, calls.take, calls.give_up))
