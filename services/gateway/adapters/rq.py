"""RQ, the asking end: jobs are asked for and looked at on the work broker; `rq_work` does them."""
# rq and redis-py leave parts of their signatures open:
# pyright: reportUnknownMemberType=false

import asyncio
import json
import secrets
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from functools import partial
from typing import Literal, TypeVar

from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry as NoRetry
from rq import Queue, Retry
from rq.cron import CronScheduler
from rq.job import Job
from rq.registry import BaseRegistry
from rq.worker import BaseWorker

from services.contract.failure import Code, Failure
from services.gateway.core.ports import JobSeen, JobsSeen, JobWorker
from services.runtime.clock import now_ms
from services.runtime.words import clip

T = TypeVar("T")
State = Literal["queued", "started", "finished", "failed", "scheduled"]
QUEUE = "onair"
REPORT = "services.gateway.jobs.report"
RETRIES = 1
"""A report whose making failed, or was lost, is begun again so often."""
TIMEOUT_S = 120
"""A job that takes longer is ended and has failed."""
RESULT_KEPT_S = 7 * 24 * 3_600
FAILURE_KEPT_S = 30 * 24 * 3_600
CRON_ALIVE_MS = 15_000
"""A cron that has not been heard of for so long is gone."""
LOST = "its worker was lost; it is tried again, or fails, within half a minute"
REASON = 300
"""Characters of a reason."""


def connect(url: str) -> Redis:
    """A client that fails at once and leaves trying again to its caller."""
    return Redis.from_url(url, socket_timeout=5, socket_connect_timeout=2, retry=NoRetry(NoBackoff(), 0))


class Rq:
    """The gateway's end: asks for jobs and looks at them. Raises Failure BUS_DOWN."""

    def __init__(self, url: str) -> None:
        self._redis = connect(url)
        self._queue = Queue(QUEUE, connection=self._redis)

    async def report(self, room: str, language: str, since_ms: int) -> str:
        """Ask for a report of the room's show since then; its id."""
        return await self._call(partial(self._ask_report, room, language, since_ms))

    def _ask_report(self, room: str, language: str, since_ms: int) -> str:
        id_ = secrets.token_hex(8)
        self._queue.enqueue_call(
            REPORT,
            kwargs={"id_": id_, "room": room, "language": language, "since_ms": since_ms},
            job_id=id_,
            description=f"report {room}",
            retry=Retry(max=RETRIES),
            timeout=TIMEOUT_S,
            result_ttl=RESULT_KEPT_S,
            failure_ttl=FAILURE_KEPT_S,
        )
        return id_

    async def job(self, id_: str) -> JobSeen | None:
        """What is known of a job."""
        return await self._call(partial(self._job, id_))

    def _job(self, id_: str) -> JobSeen | None:
        found = Job.fetch_many([id_], connection=self._redis)[0]
        if found is None:
            return None
        known: Mapping[str, State] = {"queued": "queued", "started": "started", "finished": "finished"}
        return seen(found, known.get(found.get_status(refresh=False).value, "failed"))

    async def snapshot(self, newest: int = 20) -> JobsSeen:
        """How things stand, with at most so many jobs of each state."""
        return await self._call(partial(self._snapshot, newest))

    def _snapshot(self, newest: int) -> JobsSeen:
        ids, lost = self._ids(newest), set(self._queue.started_job_registry.get_expired_job_ids())
        jobs = [
            seen(job, state, lost=job.id in lost)
            for state, (_, some) in ids.items()
            for job in Job.fetch_many(some, connection=self._redis)
            if job
        ]
        crons = alive(CronScheduler.all(self._redis, cleanup=False))
        scheduled = due(crons)
        counts = {**{state: count for state, (count, _) in ids.items()}, "scheduled": len(scheduled)}
        workers = tuple(worker(each) for each in BaseWorker.all(queue=self._queue))
        return JobsSeen(counts, (*jobs, *scheduled), workers, len(crons))

    def _ids(self, newest: int) -> dict[State, tuple[int, list[str]]]:
        """How many jobs of each state there are, and the ids of the newest; nothing is tidied up by looking."""
        queue = self._queue
        registries: dict[State, BaseRegistry] = {
            "started": queue.started_job_registry,
            "failed": queue.failed_job_registry,
            "finished": queue.finished_job_registry,
        }
        waiting = queue.get_job_ids()
        found: dict[State, tuple[int, list[str]]] = {"queued": (len(waiting), waiting[-newest:][::-1])}
        for state, registry in registries.items():
            some = registry.get_job_ids(0, newest - 1, desc=True, cleanup=False)
            found[state] = (registry.get_job_count(cleanup=False), list(dict.fromkeys(some)))
        return found

    async def _call(self, ask: Callable[[], T]) -> T:
        try:
            return await asyncio.to_thread(ask)
        except (RedisError, OSError) as error:
            what = f"the broker of the jobs does not answer ({error}); try again"
            raise Failure(Code.BUS_DOWN, what, retryable=True) from error

    async def close(self) -> None:
        """Close the connections."""
        await asyncio.to_thread(self._redis.close)


def seen(job: Job, state: State, *, lost: bool = False) -> JobSeen:
    """The job without its arguments, which would have to be unpickled."""
    reason = _reason(job) if state == "failed" else LOST if lost else ""
    return JobSeen(
        id=job.id,
        what=_what(job.description or ""),
        state=state,
        asked_ms=ms(job.enqueued_at),
        began_ms=ms(job.started_at) if state != "queued" else 0,
        ended_ms=ms(job.ended_at) if state in {"finished", "failed"} else 0,
        tries=RETRIES - min(RETRIES, job.retries_left) if job.retries_left is not None else 0,
        reason=reason,
        result=_result(job) if state == "finished" else "",
    )


def _what(description: str) -> str:
    """`services.gateway.jobs.expire()` → `expire`; a description of our own as it is."""
    head, call, _ = description.partition("(")
    return head.rpartition(".")[2] if call else description


def _reason(job: Job) -> str:
    result = job.latest_result()
    lines = [line.strip() for line in ((result.exc_string if result else "") or "").splitlines() if line.strip()]
    return clip(lines[-1], REASON) if lines else "it does not say why"


def _result(job: Job) -> str:
    result = job.latest_result()
    return json.dumps(result.return_value, ensure_ascii=False, default=str) if result else ""


def due(crons: Iterable[CronScheduler]) -> list[JobSeen]:
    """The scheduled jobs of these crons, each once, with when they are due."""
    found: dict[str, JobSeen] = {}
    for entry in (entry for cron in crons for entry in cron.get_jobs()):
        asked, due_ms = ms(entry.latest_enqueue_time), ms(entry.next_enqueue_time)
        found[entry.name] = JobSeen(
            entry.name, entry.name.rpartition(".")[2], "scheduled", asked_ms=asked, due_ms=due_ms
        )
    return list(found.values())


def alive(crons: Iterable[CronScheduler]) -> list[CronScheduler]:
    """Those that were heard of lately."""
    return [cron for cron in crons if now_ms() - ms(cron.last_heartbeat) < CRON_ALIVE_MS]


def worker(found: BaseWorker) -> JobWorker:
    """A worker as the console shows it."""
    state = found.get_state()
    return JobWorker(
        found.name, str(getattr(state, "value", state)), found.get_current_job_id() or "", ms(found.last_heartbeat)
    )


def ms(at: datetime | None) -> int:
    """Unix milliseconds; 0 for none."""
    return int((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp() * 1_000) if at else 0
