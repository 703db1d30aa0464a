"""Reads both brokers for the console: everything in a few round trips, nothing of it written."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

from services.contract.failure import Code, Failure
from services.gateway.handlers.live import Live
from services.gateway.handlers.rooms import Rooms
from services.gateway.handlers.work import Streams
from services.runtime.bus import Bus
from services.runtime.trouble import TROUBLE


@asynccontextmanager
async def _told(broker: str) -> AsyncGenerator[None]:
    """What a broker fails at is said in one sentence."""
    try:
        yield
    except TROUBLE as error:
        why = str(error) or type(error).__name__
        raise Failure(Code.BUS_DOWN, f"the {broker} broker does not answer ({why})", retryable=True) from error


class BusPanel:
    """The panel of one gateway. Only one reader at a time asks for each broker's part."""

    def __init__(self, bus: Bus, rooms: Sequence[str], pools: Sequence[str]) -> None:
        self._streams = Streams(bus.work, pools)
        self._rooms = Rooms(bus.work, rooms)
        self._live = Live(bus, rooms)

    async def work(self) -> Mapping[str, Any]:
        """Streams, pools, workers, rooms, ledger, dead letters, the kill switch and what operators did."""
        async with _told("work"):
            return {**await self._streams.read(), **await self._rooms.read()}

    async def live(self) -> Mapping[str, Any]:
        """Sessions."""
        async with _told("live"):
            return await self._live.read()

    def minutes(self) -> Mapping[str, Any]:
        """What went through each work stream in the last minute, by the second."""
        return self._streams.minutes()
