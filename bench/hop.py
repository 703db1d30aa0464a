"""What a hop costs: publish → handler of a work hop and of a session hop, beside raw redis-py, in one run.

python -m bench.hop [--count 2000] [--rate 250]
"""

import argparse
import asyncio
import itertools
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from pathlib import Path
from typing import Any, cast

from services.contract import streams
from services.contract.failure import Failure
from services.contract.ingest import TurnRequested
from services.contract.message import Message
from services.contract.tts import SpeechChunk
from services.runtime import envelope
from services.runtime.bus import Bus
from services.runtime.delivery import Delivery, Duty, Job
from services.runtime.sessions import Item, Sessions, parse
from services.runtime.tail import RawEntry
from services.runtime.work import Work
from tests.conftest import LIVE, WORK, broker

Read = Callable[[Bus, str], AsyncGenerator[Item]]
PAYLOAD = b"\0" * 9_600
"""200 ms of sound."""


def turn(at: int) -> TurnRequested:
    """A turn that carries the time of its publication, in ns."""
    return TurnRequested(
        turn=str(at),
        no=1,
        session="s",
        epoch=0,
        kind="room",
        ask="x" * 200,
        persona="host",
        requested_ms=1,
        deadline_ms=1,
    )


class Hop:
    """Takes times between publication and arrival, both on this machine's monotonic clock."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.took_ms: list[float] = []

    def arrived(self, at_ns: int) -> None:
        """One message came."""
        self.took_ms.append((time.monotonic_ns() - at_ns) / 1e6)

    def line(self) -> str:
        """The row of the table."""
        cuts = statistics.quantiles(self.took_ms, n=100)
        return f"{self.name:34} {statistics.median(self.took_ms):7.2f} {cuts[89]:7.2f} {cuts[98]:7.2f} {len(self.took_ms):7}"


async def publish(count: int, rate: float, send: Callable[[], Awaitable[Any]], hop: Hop) -> None:
    """Send at a steady rate; wait until all have arrived."""
    begin = time.monotonic()
    for number in range(count):
        await asyncio.sleep(max(0.0, begin + number / rate - time.monotonic()))
        await send()
    async with asyncio.timeout(30):
        while len(hop.took_ms) < count:  # noqa: ASYNC110  an event would cost time in the loop that is measured
            await asyncio.sleep(0.01)


async def work_hop(bus: Bus, count: int, rate: float) -> Hop:
    """turns: XADD of the encoded message → FastStream reader → handler, which then finishes its entry."""
    hop, work = Hop("work hop (turns → handler)"), Work(bus.work)

    async def handle(job: Job[TurnRequested]) -> None:
        hop.arrived(int(job.message.turn))
        await work.finish(job.entry)

    async def dead(message: TurnRequested, failure: Failure) -> None:
        raise AssertionError(message.turn) from failure

    delivery = Delivery(bus, work, "bench")
    delivery.attach(Duty(streams.TURNS.key(), "llm", TurnRequested, handle, dead, workers=2))
    await delivery.start()

    async def send() -> None:
        await bus.work.xadd(streams.TURNS.key(), {"__data__": envelope.encode(turn(time.monotonic_ns()))})

    await publish(count, rate, send, hop)
    await delivery.drain()
    return hop


async def session_hop(bus: Bus, name: str, read: Read, keys: int, count: int, rate: float) -> Hop:
    """A speech chunk of 200 ms: Sessions.publish → a reader of each of so many sessions, in turn."""
    hop, sessions = Hop(name), Sessions(bus)
    run = f"{name}-{keys}"

    async def hear(session: str) -> None:
        async for item in read(bus, session):
            if isinstance(item.message, SpeechChunk):
                hop.arrived(int(item.message.turn))

    readers = [asyncio.ensure_future(hear(f"{run}-{number}")) for number in range(keys)]
    await asyncio.sleep(1)  # all of them wait by then
    numbers = itertools.cycle(range(keys))

    async def send() -> None:
        message: Message = SpeechChunk(turn=str(time.monotonic_ns()), index=0, attempt=1, chunk=0, sample_offset=0)
        await sessions.publish(f"{run}-{next(numbers)}", message, PAYLOAD)

    await publish(count, rate, send, hop)
    for reader in readers:
        reader.cancel()
    await asyncio.gather(*readers, return_exceptions=True)
    return hop


def shared(bus: Bus, session: str) -> AsyncGenerator[Item]:
    """As services read."""
    return Sessions(bus).read(session, "0-0")


async def private(bus: Bus, session: str) -> AsyncGenerator[Item]:
    """A blocking read for each session, on a connection of its own."""
    redis, key, after = cast("Any", bus.live(session)), streams.SESSION.of(session), "0-0"
    while True:
        found = await redis.xread({key: after}, count=100, block=1_000)
        entries: list[RawEntry] = found[0][1] if found else []
        for entry in entries:
            after = entry[0].decode()
            if item := parse(entry):
                yield item


async def raw_hop(redis: Any, name: str, key: str, body: bytes, count: int, rate: float) -> Hop:  # noqa: ANN401
    """The same bytes by redis-py alone: XADD → XREADGROUP, XACK."""
    hop = Hop(name)
    await redis.xgroup_create(key, "raw", id="0", mkstream=True)

    async def read() -> None:
        while True:
            found = await redis.xreadgroup("raw", "me", {key: ">"}, count=1, block=1_000)
            entries: list[Any] = found[0][1] if found else []
            for id_, fields in entries:
                hop.arrived(int(fields[b"at"]))
                await redis.xack(key, "raw", id_)

    reader = asyncio.ensure_future(read())

    async def send() -> None:
        await redis.xadd(key, {"at": time.monotonic_ns(), "b": body})

    await publish(count, rate, send, hop)
    reader.cancel()
    await asyncio.gather(reader, return_exceptions=True)
    return hop


async def measure(work_url: str, live_url: str, count: int, rate: float) -> list[Hop]:
    """All hops, one after the other."""
    bus = Bus(work_url, [live_url])
    bus.lives[0].connection_pool.max_connections = 500
    body = envelope.encode(turn(0))
    try:
        return [
            await raw_hop(bus.work, "raw redis-py on work", "raw:work", body, count, rate),
            await work_hop(bus, count, rate),
            await raw_hop(bus.live("bench"), "raw redis-py on live (9.6 KB)", "raw:live", PAYLOAD, count, rate),
            await session_hop(bus, "session hop (9.6 KB of sound)", shared, 1, count, rate),
            await session_hop(bus, "  a blocking read each, 1 session", private, 1, count, rate),
            await session_hop(bus, "session hop, 100 sessions", shared, 100, count, rate),
            await session_hop(bus, "  a blocking read each, 100", private, 100, count, rate),
        ]
    finally:
        await bus.close()


def main() -> int:
    """Measure and print the table; 1 if the work hop's median is over 1 ms."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=2_000, help="messages a hop")
    parser.add_argument("--rate", type=float, default=250, help="messages a second")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "w").mkdir()
        Path(folder, "l").mkdir()
        with broker(Path(folder, "w"), *WORK) as work_url, broker(Path(folder, "l"), *LIVE) as live_url:
            hops = asyncio.run(measure(work_url, live_url, given.count, given.rate))
    print(f"{'ms from publish to handler':34} {'p50':>7} {'p90':>7} {'p99':>7} {'count':>7}")
    for hop in hops:
        print(hop.line())
    medians = [statistics.median(hop.took_ms) for hop in hops]
    print(f"work hop / raw: {medians[1] / medians[0]:.2f}   session hop / raw: {medians[3] / medians[2]:.2f}")
    one, hundred = medians[3] / medians[4], medians[5] / medians[6]
    print(f"shared / own blocking read: {one:.2f} with 1 session, {hundred:.2f} with 100")
    return int(medians[1] > 1.0)


if __name__ == "__main__":
    sys.exit(main())
