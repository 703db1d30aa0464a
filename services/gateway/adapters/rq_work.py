"""RQ, the working end: the process that does jobs, and the cron that puts in what is due."""
# rq leaves parts of its signatures open:
# pyright: reportUnknownMemberType=false

import logging
import os
import secrets
import threading
import time
from collections.abc import Callable, Coroutine, Mapping
from datetime import UTC, datetime
from typing import Any, NoReturn

import structlog
from rq import Queue, Worker
from rq.cron import CronScheduler
from rq.cron_job_registry import get_registry_key
from rq.job import Job

from services.gateway.adapters.rq import FAILURE_KEPT_S, QUEUE, RESULT_KEPT_S, TIMEOUT_S, connect

TTL_S = 20
"""An idle worker is heard of every 5 s: 15 s before this has passed."""
WATCH_S = 2
"""A busy one is heard of so often."""
LOST_S = 10
"""A job of which nothing was heard for so long was lost with its worker."""
TIDY_S = 10
"""How often such jobs are looked for."""
POLL_S = 0.2

Work = Callable[..., Coroutine[Any, Any, Any]]


class Hand(Worker):
    """rq's worker, each job in a process of its own.

    It asks for a broker that is away every second, its jobs do not outlive it, and what it leaves behind when it is
    killed is found after seconds, not minutes.
    """

    exponential_backoff_factor = 1.0
    max_connection_wait_time = 1.0

    def get_heartbeat_ttl(self, job: Job) -> int:
        """Seconds after which the job counts as lost unless it is heard of again."""
        del job
        return LOST_S

    def main_work_horse(self, job: Job, queue: Queue) -> NoReturn:
        """Do the job; ends when the worker does."""
        ends_with(self.pid or 0)
        super().main_work_horse(job, queue)


def ends_with(parent: int) -> None:
    """End this process soon after `parent`, which started it, has ended, however that happened."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(POLL_S)
        os._exit(1)

    threading.Thread(target=watch, daemon=True, name="parent").start()


def work(url: str) -> None:
    """Do jobs until SIGTERM, which lets the one that is being done end; returns also when rq gives up."""
    log_as_json()
    hand = Hand(
        [QUEUE],
        name=f"{QUEUE}-{os.getpid()}-{secrets.token_hex(3)}",
        connection=connect(url),
        worker_ttl=TTL_S,
        job_monitoring_interval=WATCH_S,
        maintenance_interval=TIDY_S,
        default_result_ttl=RESULT_KEPT_S,
    )
    hand.work(logging_level="WARNING")


class _Json(logging.Handler):
    """Hands rq's lines to this process's log."""

    def emit(self, record: logging.LogRecord) -> None:
        """One line of it."""
        error = record.exc_info[1] if record.exc_info else None
        more = {"error": repr(error)} if error else {}
        structlog.get_logger(record.name).log(record.levelno, record.getMessage(), **more)


def log_as_json() -> None:
    """Let rq log as everything else does."""
    logger = logging.getLogger("rq")
    logger.handlers, logger.propagate = [_Json()], False


class Cron:
    """rq's scheduler, driven by who holds the lease: what is due is put in, once, also across restarts."""

    def __init__(self, url: str, entries: Mapping[Work, int]) -> None:
        self._redis = connect(url)
        self._entries = entries
        self._cron: CronScheduler | None = None

    def step(self) -> list[str]:
        """Put in what is due, and say that the scheduler lives; names of what was due. Raises redis errors as they are."""
        if self._cron is None:
            self._cron = self._begin()
        entries = self._cron.enqueue_jobs()
        if entries:
            self._cron.save()
        self._cron.heartbeat()
        return [entry.name for entry in entries]

    def _begin(self) -> CronScheduler:
        """A scheduler that knows when each of its jobs was last put in, by whomever."""
        cron = CronScheduler(self._redis, logging.WARNING, name=f"{QUEUE}-{secrets.token_hex(4)}")
        for func, every_s in self._entries.items():
            entry = cron.register(
                func,
                QUEUE,
                interval=every_s,
                job_timeout=TIMEOUT_S,
                result_ttl=RESULT_KEPT_S,
                failure_ttl=FAILURE_KEPT_S,
            )
            if last := self._redis.zscore(get_registry_key(), entry.name):
                entry.set_enqueue_time(datetime.fromtimestamp(last, UTC))
        cron.register_birth()
        return cron

    def end(self) -> None:
        """Another has the lease, or nobody: this scheduler is no more."""
        cron, self._cron = self._cron, None
        if cron:
            cron.register_death()
