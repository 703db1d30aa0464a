"""Delivery through FastStream's in-memory broker: the shape of a handler, without a server."""

from typing import Any

from faststream.redis import TestRedisBroker

from services.contract.failure import Failure
from services.contract.ingest import TurnRequested
from services.runtime.bus import Bus
from services.runtime.delivery import Delivery, Duty, Job
from services.runtime.work import Entry
from tests.model.work import ModelWork

TURN = TurnRequested(
    turn="t1", no=1, session="s", epoch=3, kind="chat", ask="hi", persona="host", requested_ms=1, deadline_ms=2
)


class Delivered(ModelWork):
    """The in-memory broker keeps no entries, so nothing is pending: each delivery counts as the first."""

    async def deliveries(self, entry: Entry) -> int:
        """Once."""
        return 1 if entry.stream else 0


async def test_a_published_message_reaches_the_handler_typed() -> None:
    """FastStream's envelope is opened by the contract's model alone; the fence is the message's own."""
    bus, seen = Bus("redis://127.0.0.1:1", ["redis://127.0.0.1:1"]), list[Job[TurnRequested]]()
    work: Any = Delivered()
    delivery = Delivery(bus, work, "llm")

    async def handle(job: Job[TurnRequested]) -> None:
        seen.append(job)

    async def dead(message: TurnRequested, failure: Failure) -> None:
        raise AssertionError(message.turn) from failure

    delivery.attach(Duty("turns", "llm", TurnRequested, handle, dead))
    async with TestRedisBroker(bus.broker) as broker:
        await broker.publish(TURN.to_json(), stream="turns")
    assert seen[0].message == TURN
    assert (seen[0].fence.session, seen[0].fence.epoch, seen[0].fence.turn) == ("s", 3, "t1")
    assert (seen[0].entry.stream, seen[0].entry.group, seen[0].delivery) == ("turns", "llm", 1)
    await bus.close()
