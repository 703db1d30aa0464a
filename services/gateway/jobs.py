"""Slow and scheduled work: `python -m services.gateway.jobs` runs one rq worker, and the cron unless another has it."""

import asyncio
import contextlib
import os
import sys
import time
from dataclasses import asdict
from functools import partial
from typing import Any

import structlog
from redis.exceptions import RedisError

from services.contract import streams
from services.contract.failure import Code, Failure
from services.gateway.adapters import rq_work
from services.gateway.adapters.disk import FOLDERS, Shelf, forget
from services.gateway.adapters.tavus import Options, TavusApi
from services.gateway.core.report import Material, gather
from services.gateway.core.report_page import page
from services.gateway.handlers.tavus import TavusConversations
from services.gateway.settings import JobsSettings
from services.gateway.settings import jobs as settings
from services.runtime import logs, scripts
from services.runtime.archive import Archive
from services.runtime.bus import Bus, connect
from services.runtime.clock import now_ms
from services.runtime.config import Keep
from services.runtime.presence import lately
from services.runtime.service import Service, forever, run
from services.runtime.settings import Common

log = structlog.get_logger(__name__)
NAME = "services.gateway.jobs"
"""Its name for rq, which imports it to do a job: `python -m` gives it another."""
WORKER = "worker"
GATEWAY = "gateway"
EVERY_S = 3_600
RENEW_S = 1.0
STOP_S = 8.0
"""A stop waits so long for the job that is being done, then ends it; it is tried again later."""
PAUSES_S = (0.5, 1.0, 2.0, 4.0, 8.0)
"""Before each new start of a worker that ended; from the first again once one has lived for `LIVED_S`."""
LIVED_S = 30.0


async def expire(*, dry_run: bool = False) -> dict[str, Any]:
    """Delete what `keep` of the configuration does not keep any longer; how much of each. `dry_run` only counts."""
    machine = settings().common
    keep = machine.config().keep
    found = {**_files(machine, keep, dry_run=dry_run), **await _rows(machine, keep, dry_run=dry_run)}
    told = {name: count for name, count in found.items() if count}
    log.info("expired", dry_run=dry_run, **told)
    return {"dry_run": dry_run, **told}


def _files(machine: Common, keep: Keep, *, dry_run: bool) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name in FOLDERS:
        folder, kept_ms = machine.data / name, keep.ms(name)
        if folder.is_symlink():
            found[name] = "it is a link, which is not followed"
        elif kept_ms is not None:
            forgotten = asdict(forget(folder, now_ms() - kept_ms, dry_run=dry_run))
            found[name] = {what: count for what, count in forgotten.items() if count}
    return found


async def _rows(machine: Common, keep: Keep, *, dry_run: bool) -> dict[str, int]:
    """Rows of ledgers, and what was kept of shows, of all rooms."""
    redis = connect(machine.work_url)
    archive, found = Archive(redis), {"ledger": 0, "shows": 0}
    try:
        for room in await archive.rooms():
            for name, drop in (("ledger", archive.forget), ("shows", archive.trim)):
                if (kept_ms := keep.ms(name)) is not None:
                    found[name] += await drop(room, now_ms() - kept_ms, dry_run=dry_run)
    finally:
        await redis.aclose()
    return found


async def report(id_: str, room: str, language: str, since_ms: int) -> dict[str, Any]:
    """Write the report of a room's show since then; where it lies, and its sums."""
    machine = settings().common
    redis = connect(machine.work_url)
    archive = Archive(redis)
    try:
        books = await archive.books(room)
        records = [record async for record in archive.record(room, since_ms)]
    finally:
        await redis.aclose()
    rows, lane = list(books.rows.values()), list(books.lane.values())
    told = gather(Material(room, since_ms, now_ms(), rows, lane, records))
    path = Shelf(machine.data).write(id_, page(told, language, time.localtime().tm_gmtoff // 60))
    log.info("reported", room=room, id=id_, captions=told.sentences, law=told.law.holds)
    return {"file": f"{path.parent.name}/{path.name}", "captions": told.sentences, "law": told.law.holds}


async def hang_up() -> dict[str, Any]:
    """End the conversations at Tavus that OnAir created and that nobody else will end; how many.

    Those that have lasted as long as `tavus.forget_after` says, those whose answer was lost, and all while no gateway
    lives, nor did a minute ago. Raises Failure for those that could not be ended: the next hour tries again.
    """
    wanted = settings()
    config, redis = wanted.common.config(), connect(wanted.common.work_url)
    api = TavusApi(Options(wanted.tavus.key, wanted.tavus.base_url, config.network.proxy_of("tavus")))
    try:
        alone = not await lately(redis, GATEWAY)
        done = await TavusConversations(redis, api).end_forgotten(config.tavus.forget_ms, alone=alone)
    finally:
        await api.close()
        await redis.aclose()
    log.info("ended forgotten conversations", ended=done.ended, over=done.over, failed=done.failed)
    if done.failed:
        raise Failure(Code.ENGINE_BROKEN, f"{len(done.failed)} conversations may go on; {done.failed[0]}")
    return {"ended": len(done.ended), "over": len(done.over)}


class Hand:
    """The worker: a process of its own, because rq's waits for its broker and for its jobs in the only thread it has."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._process: asyncio.subprocess.Process | None = None
        self._why = "the worker has not started yet"

    async def check(self) -> str:
        """'' while it runs."""
        return self._why

    async def run(self) -> None:
        """Keep one running until cancelled; then let its job end, for a while."""
        deaths = 0
        try:
            while True:
                await self._bus.ready(float("inf"))
                began = time.monotonic()
                self._process = await asyncio.create_subprocess_exec(sys.executable, "-m", NAME, WORKER)
                self._why = ""
                code = await self._process.wait()
                deaths = 0 if time.monotonic() - began > LIVED_S else deaths + 1
                self._why = f"the worker ended (exit code {code}) and is started again; the log says why"
                log.warning("the worker ended, starting it again", code=code, deaths=deaths)
                await asyncio.sleep(PAUSES_S[min(deaths, len(PAUSES_S) - 1)])
        finally:
            await self._stop()

    async def _stop(self) -> None:
        process = self._process
        if process is None or process.returncode is not None:
            return
        process.terminate()
        try:
            async with asyncio.timeout(STOP_S):
                await process.wait()
        except TimeoutError:
            log.warning("the job did not end in time; it is tried again by the next worker")
            process.kill()
            await process.wait()


class Clock:
    """The cron of the jobs, in one process at a time: who holds its lease puts in what is due."""

    def __init__(self, bus: Bus, cron: rq_work.Cron) -> None:
        self._bus = bus
        self._cron = cron
        self._scripts = scripts.Scripts(bus.work)
        self._me = f"{os.uname().nodename}-{os.getpid()}-{now_ms()}"
        self._mine = False

    async def step(self) -> None:
        """Take or keep the lease; with it, put in what is due."""
        keys, args = [streams.CRON, streams.CRON_TERM], [self._me, streams.LEASE_MS]
        mine = bool(await self._scripts.run(scripts.LEASE, keys, args))
        if mine != self._mine:
            log.info("this process is the cron" if mine else "another process is the cron")
        if self._mine and not mine:
            await asyncio.to_thread(self._cron.end)
        self._mine = mine
        if mine and (names := await asyncio.to_thread(self._cron.step)):
            log.info("put in what was due", jobs=names)

    async def close(self) -> None:
        """Give the lease back, so that the next holder need not wait."""
        if self._mine:
            with contextlib.suppress(RedisError, OSError):  # both run out by themselves
                await asyncio.to_thread(self._cron.end)
                await self._scripts.run(scripts.RELEASE, [streams.CRON], [self._me])


def build(wanted: JobsSettings) -> Service:
    """The service; raises Failure(BAD_CONFIG)."""
    machine = wanted.common
    machine.config()
    bus = Bus(machine.work_url, ())
    due: dict[rq_work.Work, int] = {expire: EVERY_S, **({hang_up: EVERY_S} if wanted.tavus.key else {})}
    hand, clock = Hand(bus), Clock(bus, rq_work.Cron(machine.work_url, due))
    service = Service(machine, bus, checks={"worker": hand.check}, closers=[clock.close])
    service.loops += [hand.run, partial(forever, clock.step, RENEW_S)]
    return service


def main(argv: list[str]) -> None:
    """The service, or with `worker` the process that it keeps running."""
    if argv != [WORKER]:
        run(settings, build)
    machine = settings().common
    logs.configure(machine.service, machine.log_level, debug=machine.debug)
    rq_work.ends_with(os.getppid())
    rq_work.work(machine.work_url)


if __name__ == "__main__":
    from services.gateway import jobs  # noqa: PLW0406  under the name by which rq can import its functions

    jobs.main(sys.argv[1:])
