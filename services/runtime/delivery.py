"""Delivery: how a work entry reaches a handler, is kept alive, tried again, handed back, or buried.

An entry is finished by the commit of its own handler, never by delivery: what is acknowledged was done. The rules:
one entry at a time for each reader; a beat every second from delivery on, and the job ends when the entry is no longer
ours, or the beat dies; a second delivery runs alone; three strikes and the entry is buried; a fault of a broker, a full
house or SIGTERM is no strike: the entry is handed back as new, after a fault as soon as both brokers take writes again.
"""

import asyncio
import contextlib
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic, TypeVar, cast

import structlog
from faststream import AckPolicy
from faststream.redis import StreamSub
from faststream.redis.message import RedisStreamMessage

from services.contract.failure import Code, Failure
from services.contract.message import BadMessageError, Message
from services.runtime import janitor
from services.runtime.bus import BLOCK_MS, Bus
from services.runtime.clock import now_ms
from services.runtime.metrics import JOB_SECONDS, JOBS, WAIT_SECONDS
from services.runtime.permits import Alone, Permits
from services.runtime.reads import Reads, ensure_group, parsed, whole
from services.runtime.trouble import HEAL_S, TROUBLE, passes, tell
from services.runtime.work import Entry, Fence, Verdict, Work

log = structlog.get_logger(__name__)
M = TypeVar("M", bound=Message)
BEAT_S = 1.0
GONE_S = 0.1
"""A job whose entry is gone has so long to return: its own commit may have ended it just now."""
RECLAIM_IDLE_MS = 4_000
RECLAIM_POLL_MS = 200
STRIKES = 3
PAUSES_S = (0.2, 1.0)
"""Between tries of a retryable failure in the same worker."""
SHOW_PATIENCE_S = 2.0
"""A show's sentence that waits longer for a permit is handed back."""
DRAIN_S = 20.0
LOOK_S = 1.0
"""Who waits for the brokers looks so often whether the process is leaving."""
LEAVING_TRIES = 3
"""How often a leaving process offers an entry to a broker in trouble before it lets it be reclaimed."""


@dataclass(frozen=True)
class Job(Generic[M]):
    """One delivery of one message."""

    message: M
    entry: Entry
    fence: Fence
    delivery: int
    """1 for the first; more after a worker was lost."""


@dataclass(frozen=True)
class Duty(Generic[M]):
    """What a service does with one work stream."""

    stream: str
    group: str
    model: type[M]
    handler: Callable[[Job[M]], Awaitable[None]]
    """Finishes its entry through `Work` before it returns."""
    dead: Callable[[M, Failure], Awaitable[None]]
    """Tells the world that this failed for good; may run more than once."""
    workers: int = 1
    permits: Permits | None = None
    """Shared by the duties of one engine."""
    urgent: bool = False
    """Takes permits before those that are not."""


class Delivery:
    """The readers of one process."""

    def __init__(self, bus: Bus, work: Work, name: str) -> None:
        self._bus = bus
        self._work = work
        self.me = f"{name}-{secrets.token_hex(4)}"
        self._alone = Alone()
        self._running: set[asyncio.Task[None]] = set()
        self._draining = False
        self.duties: list[Duty[Any]] = []
        self._again: set[bytes] = set()

    def attach(self, duty: Duty[Any]) -> None:
        """Read this duty's stream with `workers` readers and one that reclaims what others lost."""
        self.duties.append(duty)
        for slot in range(duty.workers):
            self._subscribe(duty, f"{self.me}-{slot}", None)
        self._subscribe(duty, f"{self.me}-reclaim", RECLAIM_IDLE_MS)

    def _subscribe(self, duty: Duty[Any], consumer: str, idle: int | None) -> None:
        poll = BLOCK_MS if idle is None else RECLAIM_POLL_MS
        sub = StreamSub(
            duty.stream, group=duty.group, consumer=consumer, max_records=1, polling_interval=poll, min_idle_time=idle
        )

        async def consume(raw: RedisStreamMessage) -> None:
            ids = cast("list[bytes]", cast("Any", raw.raw_message)["message_ids"])
            id_ = next(iter(ids), b"0-0")  # FastStream's in-memory broker gives none
            entry = Entry(duty.stream, duty.group, id_.decode(), consumer)
            again = id_ in self._again
            self._again.discard(id_)
            await self.deliver(duty, entry, raw.body, reclaimed=again or idle is not None)

        subscriber = self._bus.broker.subscriber(
            stream=sub, parser=parsed, decoder=whole, ack_policy=AckPolicy.MANUAL, no_reply=True
        )
        subscriber(consume)

    async def start(self) -> None:
        """Create the groups, then read."""
        for duty in self.duties:
            await ensure_group(self._bus.work, duty.stream, duty.group)
        Reads(await self._bus.broker.connect(), self._again).mend()
        await self._bus.broker.start()

    async def sweep(self) -> None:
        """Forget the consumers of its groups that are gone."""
        await janitor.sweep(self._work, [(duty.stream, duty.group) for duty in self.duties])

    async def drain(self, grace_s: float = DRAIN_S) -> None:
        """Read no more; let jobs end; hand back what has not ended after `grace_s`."""
        self._draining = True
        stop = asyncio.ensure_future(self._bus.broker.stop())
        if self._running:
            await asyncio.wait(self._running, timeout=grace_s)
        for task in self._running:
            task.cancel()
        await stop

    async def deliver(self, duty: Duty[Any], entry: Entry, body: bytes, *, reclaimed: bool = False) -> None:
        """One delivery from its arrival to its end. Never raises: what went wrong is buried or waits to be reclaimed."""
        task = asyncio.ensure_future(self._deliver(duty, entry, body, reclaimed=reclaimed))
        self._running.add(task)
        beat = asyncio.ensure_future(self._beat(entry, task))
        started = now_ms()
        WAIT_SECONDS.labels(duty.stream).observe(max(0, started - int(entry.id.partition("-")[0])) / 1000)
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        except Exception:
            log.exception("delivery broke", stream=entry.stream, id=entry.id)
        finally:
            beat.cancel()
            self._running.discard(task)
            JOB_SECONDS.labels(duty.stream).observe((now_ms() - started) / 1000)

    async def _deliver(self, duty: Duty[Any], entry: Entry, body: bytes, *, reclaimed: bool) -> None:
        try:
            message = duty.model.from_json(body)
        except BadMessageError as error:
            reason = str(error) if body else "the entry has no message: its field __data__ is missing or destroyed"
            await self._insist(entry, lambda: self._bury(duty, entry, Failure(Code.BAD_MESSAGE, reason)))
            return
        try:
            await self._admit(duty, entry, message, reclaimed=reclaimed)
        except asyncio.CancelledError:
            if self._draining:
                await self._insist(entry, lambda: self._hand_back(entry))
            raise
        except TROUBLE as error:
            tell(f"a job of {entry.stream}", error)
            await asyncio.sleep(HEAL_S)
            await self._bus_healed()
            await self._insist(entry, lambda: self._hand_back(entry))

    async def _insist(self, entry: Entry, step: Callable[[], Awaitable[None]]) -> None:
        """Do this as soon as the brokers let us; where we must leave before, the entry waits to be reclaimed."""
        tries = 0
        while not self._draining or tries < LEAVING_TRIES:
            try:
                await step()
            except TROUBLE as error:
                if not passes(error):
                    raise
                tell(f"the end of a job of {entry.stream}", error)
            else:
                return
            tries += 1
            await asyncio.sleep(HEAL_S)
            await self._bus_healed()

    async def _bus_healed(self) -> None:
        """Wait until both brokers take writes, or until we must leave."""
        healed = False
        while not (healed or self._draining):
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOOK_S):
                    await self._bus.healed()
                    healed = True

    async def _admit(self, duty: Duty[Any], entry: Entry, message: Message, *, reclaimed: bool) -> None:
        """Wait for the way to be free: alone after a worker was lost, with a permit where an engine is shared."""
        delivery = await self._work.deliveries(entry) if reclaimed else 1
        if delivery == 0:
            JOBS.labels(duty.stream, "gone").inc()
            return
        if delivery > STRIKES:
            lost = Failure(Code.WORKER_LOST, f"{STRIKES} workers ended before this was done")
            await self._insist(entry, lambda: self._fail(duty, entry, message, lost))
            return
        async with self._alone.exclusive() if delivery > 1 else self._alone.shared():
            patience = None if duty.urgent else SHOW_PATIENCE_S
            if duty.permits and not await duty.permits.take(patience, urgent=duty.urgent):
                JOBS.labels(duty.stream, "no_permit").inc()
                await self._work.hand_back(entry)
                return
            try:
                await self._attempt(duty, Job(message, entry, _fence(message), delivery))
            finally:
                if duty.permits:
                    duty.permits.give()

    async def _attempt(self, duty: Duty[Any], job: Job[Any]) -> None:
        """Run the handler; a retryable failure is tried again here, each try is a strike."""
        structlog.contextvars.bind_contextvars(turn=job.fence.turn, trace=getattr(job.message, "trace", ""))
        for strike in range(job.delivery, STRIKES + 1):
            failure = await self._try(duty, job)
            if failure is None:
                JOBS.labels(duty.stream, "done").inc()
                return
            if not failure.retryable or strike == STRIKES:
                await self._insist(job.entry, partial(self._fail, duty, job.entry, job.message, failure))
                return
            log.warning("trying again", stream=duty.stream, code=failure.code, reason=failure.sentence)
            await asyncio.sleep(PAUSES_S[min(strike, len(PAUSES_S)) - 1])

    @staticmethod
    async def _try(duty: Duty[Any], job: Job[Any]) -> Failure | None:
        """Run the handler once; what it failed of. A broker in trouble is no failure of the job: it is raised."""
        try:
            await duty.handler(job)
        except Failure as failure:
            return failure
        except Exception as error:
            if passes(error):
                raise
            log.exception("a handler broke", stream=duty.stream, id=job.entry.id)
            return Failure(Code.INTERNAL, f"{type(error).__name__}: {error}")
        return None

    async def _fail(self, duty: Duty[Any], entry: Entry, message: Message, failure: Failure) -> None:
        """Say that it failed for good, then bury it: whoever dies in between is followed by one who says it again.

        Only the owner may say so: a worker that lost the entry knows nothing of how its successor fares.
        """
        if await self._work.beat(entry) is not Verdict.OK:
            return
        try:
            await duty.dead(message, failure)
        except Exception as error:
            if passes(error):
                raise
            log.exception("a failure could not be told", stream=entry.stream, id=entry.id)
        await self._bury(duty, entry, failure, getattr(message, "trace", ""))

    async def _bury(self, duty: Duty[Any], entry: Entry, failure: Failure, trace: str = "") -> None:
        said = {"code": failure.code.value, "reason": failure.sentence, "message": duty.model.__name__, "trace": trace}
        verdict = await self._work.bury(entry, {name: text.encode("utf-8", "replace") for name, text in said.items()})
        if verdict is Verdict.OK:
            JOBS.labels(duty.stream, "dead").inc()
            log.error("buried", stream=entry.stream, id=entry.id, code=failure.code, reason=failure.sentence)

    async def _hand_back(self, entry: Entry) -> None:
        if await self._work.hand_back(entry) is Verdict.OK:
            JOBS.labels(entry.stream, "handed_back").inc()

    async def _beat(self, entry: Entry, job: asyncio.Task[None]) -> None:
        """Keep the entry ours; end the job when it is not, and if the beat itself dies."""
        try:
            while True:
                await asyncio.sleep(BEAT_S)
                try:
                    if await self._work.beat(entry) is not Verdict.OK:
                        await asyncio.wait({job}, timeout=GONE_S)
                        return
                except TROUBLE as error:
                    tell(f"keeping an entry of {entry.stream}", error)
        finally:
            job.cancel()


def _fence(message: Message) -> Fence:
    found = cast("Any", message)
    return Fence(getattr(found, "session", ""), getattr(found, "epoch", 0), getattr(found, "turn", ""))
