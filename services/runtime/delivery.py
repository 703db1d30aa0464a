"""Delivery: how a work entry reaches a handler, is kept alive, tried again, handed back, or buried.

An entry is finished by the commit of its own handler, never by delivery: what is acknowledged was done. The rules:
one entry at a time for each reader; a beat every second from delivery on, and the job ends when the entry is no longer
ours; a second delivery runs alone; three strikes and the entry is buried; a fault of the broker, a full house or SIGTERM
is no strike: the entry is handed back as new.
"""

import asyncio
import contextlib
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar, cast

import structlog
from faststream import AckPolicy
from faststream.redis import StreamSub
from faststream.redis.message import RedisStreamMessage
from redis.exceptions import RedisError

from services.contract.failure import Code, Failure
from services.contract.message import BadMessageError, Message
from services.runtime.bus import BLOCK_MS, Bus, calm, ensure_group
from services.runtime.clock import now_ms
from services.runtime.metrics import JOB_SECONDS, JOBS, WAIT_SECONDS
from services.runtime.permits import Alone, Permits
from services.runtime.work import Entry, Fence, Verdict, Work

log = structlog.get_logger(__name__)
M = TypeVar("M", bound=Message)
BEAT_S = 1.0
RECLAIM_IDLE_MS = 4_000
RECLAIM_POLL_MS = 200
STRIKES = 3
PAUSES_S = (0.2, 1.0)
"""Between tries of a retryable failure in the same worker."""
SHOW_PATIENCE_S = 2.0
"""A show's sentence that waits longer for a permit is handed back."""
DRAIN_S = 20.0


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
        self._me = f"{name}-{secrets.token_hex(4)}"
        self._alone = Alone()
        self._running: set[asyncio.Task[None]] = set()
        self._draining = False
        self._duties: list[Duty[Any]] = []

    def attach(self, duty: Duty[Any]) -> None:
        """Read this duty's stream with `workers` readers and one that reclaims what others lost."""
        self._duties.append(duty)
        for slot in range(duty.workers):
            self._subscribe(duty, f"{self._me}-{slot}", None)
        self._subscribe(duty, f"{self._me}-reclaim", RECLAIM_IDLE_MS)

    def _subscribe(self, duty: Duty[Any], consumer: str, idle: int | None) -> None:
        poll = BLOCK_MS if idle is None else RECLAIM_POLL_MS
        sub = StreamSub(
            duty.stream,
            group=duty.group,
            consumer=consumer,
            max_records=1,
            polling_interval=poll,
            min_idle_time=idle,
        )

        async def consume(raw: RedisStreamMessage) -> None:
            ids = cast("list[bytes]", cast("Any", raw.raw_message)["message_ids"])
            id_ = next(iter(ids), b"0-0")  # FastStream's in-memory broker gives none
            entry = Entry(duty.stream, duty.group, id_.decode(), consumer)
            await self.deliver(duty, entry, raw.body, reclaimed=idle is not None)

        subscriber = self._bus.broker.subscriber(stream=sub, decoder=_whole, ack_policy=AckPolicy.MANUAL, no_reply=True)
        subscriber(consume)

    async def start(self) -> None:
        """Create the groups, then read."""
        for duty in self._duties:
            await ensure_group(self._bus.work, duty.stream, duty.group)
        calm(await self._bus.broker.connect())
        await self._bus.broker.start()

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
            await self._bury(duty, entry, body, Failure(Code.BAD_MESSAGE, str(error)))
            return
        try:
            await self._admit(duty, entry, message, reclaimed=reclaimed)
        except asyncio.CancelledError:
            if self._draining:
                await self._hand_back(entry, message)
            raise
        except (RedisError, OSError) as error:
            log.warning("the broker failed in a job, handing it back", stream=entry.stream, error=str(error))
            await self._hand_back(entry, message)

    async def _admit(self, duty: Duty[Any], entry: Entry, message: Message, *, reclaimed: bool) -> None:
        """Wait for the way to be free: alone after a worker was lost, with a permit where an engine is shared."""
        delivery = await self._work.deliveries(entry) if reclaimed else 1
        if delivery == 0:
            JOBS.labels(duty.stream, "gone").inc()
            return
        if delivery > STRIKES:
            lost = Failure(Code.WORKER_LOST, f"{STRIKES} workers ended before this was done")
            await self._fail(duty, entry, message, lost)
            return
        async with self._alone.exclusive() if reclaimed else self._alone.shared():
            patience = None if duty.urgent else SHOW_PATIENCE_S
            if duty.permits and not await duty.permits.take(patience, urgent=duty.urgent):
                JOBS.labels(duty.stream, "no_permit").inc()
                await self._work.move(entry, entry.stream, message)
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
            try:
                await duty.handler(job)
            except Failure as failure:
                if not failure.retryable or strike == STRIKES:
                    await self._fail(duty, job.entry, job.message, failure)
                    return
                log.warning("trying again", stream=duty.stream, code=failure.code, reason=failure.sentence)
                await asyncio.sleep(PAUSES_S[min(strike, len(PAUSES_S)) - 1])
            except (RedisError, OSError):
                raise
            except Exception as error:
                log.exception("a handler broke", stream=duty.stream, id=job.entry.id)
                await self._fail(
                    duty, job.entry, job.message, Failure(Code.INTERNAL, f"{type(error).__name__}: {error}")
                )
                return
            else:
                JOBS.labels(duty.stream, "done").inc()
                return

    async def _fail(self, duty: Duty[Any], entry: Entry, message: Message, failure: Failure) -> None:
        """Say that it failed for good, then bury it: whoever dies in between is followed by one who says it again.

        Only the owner may say so: a worker that lost the entry knows nothing of how its successor fares.
        """
        if await self._work.beat(entry) is not Verdict.OK:
            return
        await duty.dead(message, failure)
        await self._bury(duty, entry, message.to_json(), failure)

    async def _bury(self, duty: Duty[Any], entry: Entry, body: bytes, failure: Failure) -> None:
        JOBS.labels(duty.stream, "dead").inc()
        log.error("buried", stream=entry.stream, id=entry.id, code=failure.code, reason=failure.sentence)
        reason: dict[str, str | bytes] = {
            "stream": entry.stream,
            "code": failure.code.value,
            "reason": failure.sentence,
            "message": duty.model.__name__,
            "body": body,
        }
        await self._work.bury(entry, reason)

    async def _hand_back(self, entry: Entry, message: Message) -> None:
        """As new, as soon as the broker takes it; if it does not, the entry stays pending and is reclaimed."""
        for _ in range(20):
            with contextlib.suppress(RedisError, OSError):
                JOBS.labels(entry.stream, "handed_back").inc()
                await self._work.move(entry, entry.stream, message)
                return
            await asyncio.sleep(BEAT_S / 4)

    async def _beat(self, entry: Entry, job: asyncio.Task[None]) -> None:
        """Keep the entry ours; end the job when it is not."""
        while True:
            await asyncio.sleep(BEAT_S)
            try:
                if await self._work.beat(entry) is not Verdict.OK:
                    job.cancel()
                    return
            except (RedisError, OSError) as error:
                log.warning("a beat failed", stream=entry.stream, id=entry.id, error=str(error))


async def _whole(message: RedisStreamMessage, _: object) -> RedisStreamMessage:
    """Give the handler the message as it is: its id and bytes are needed, and only `Message` parses them."""
    return message


def _fence(message: Message) -> Fence:
    found = cast("Any", message)
    return Fence(getattr(found, "session", ""), getattr(found, "epoch", 0), getattr(found, "turn", ""))
