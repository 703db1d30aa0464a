"""The jobs' process on a real broker: done, scheduled once, stopped in time, healed, and never lost in silence."""

import os
import signal
import subprocess
import time
from collections.abc import Generator
from pathlib import Path

import pytest
from rq import Retry

from services.contract.ingest import Kind, Lane, LedgerRow, LiveEvent
from services.gateway.jobs import NAME, expire
from services.runtime.bus import connect
from tests.conftest import WORK, ask, broker
from tests.gateway.hands import CONFIG, Eyes, Jobs, alive, children, descendants, jobs, until

SLEEP = "time.sleep"
"""A job that takes as long as it is told."""
pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]


@pytest.fixture
def eyes(broker_url: str) -> Generator[Eyes]:
    """What rq's registries say."""
    found = Eyes(broker_url)
    yield found
    found.close()


@pytest.fixture
def one(tmp_path: Path, broker_url: str) -> Generator[Jobs]:
    """One process, ready."""
    with jobs(tmp_path, broker_url) as running:
        until(running.ready, lambda: running.log)
        yield running


def busy(eyes: Eyes, id_: str, one: Jobs) -> int:
    """Pid of the process that does this job now."""
    until(lambda: eyes.job(id_).state == "started" and children(one.hand), lambda: (eyes.job(id_), one.log))
    return children(one.hand)[0]


def test_what_is_due_is_done_and_seen(one: Jobs, eyes: Eyes) -> None:
    """At the first start what expires is looked at; the registries show the worker, the cron and when it is due next."""
    until(lambda: eyes.all().counts["finished"] == 1, eyes.all)
    seen = eyes.all()
    assert seen.counts == {"queued": 0, "started": 0, "failed": 0, "finished": 1, "scheduled": 1}
    done = next(job for job in seen.jobs if job.state == "finished")
    due = next(job for job in seen.jobs if job.state == "scheduled")
    assert (done.what, due.what) == ("expire", "expire")
    assert done.result == '{"dry_run": false}'
    assert done.asked_ms <= done.began_ms <= done.ended_ms
    assert due.due_ms == due.asked_ms + 3_600_000
    assert seen.crons == 1
    assert [worker.state for worker in seen.workers] == ["idle"]
    assert one.said("expired")


def test_two_processes_are_one_cron(tmp_path: Path, broker_url: str, eyes: Eyes) -> None:
    """Both work, one schedules; when it is killed the other takes over and knows what was put in already."""
    first, second = tmp_path / "1", tmp_path / "2"
    first.mkdir()
    second.mkdir()
    with jobs(first, broker_url) as a, jobs(second, broker_url) as b:
        until(lambda: a.ready() and b.ready() and eyes.all().counts["finished"], lambda: (a.log, b.log))
        until(lambda: len(eyes.all().workers) == 2, eyes.all)
        holds = [each for each in (a, b) if each.said("this process is the cron")]
        assert len(holds) == 1
        other = b if holds == [a] else a
        os.kill(holds[0].process.pid, signal.SIGKILL)
        until(lambda: other.said("this process is the cron"), lambda: other.log)
        until(lambda: eyes.all().counts["scheduled"] == 1, eyes.all)
        assert eyes.all().counts["finished"] == 1
        assert eyes.all().counts["queued"] == 0
        done = eyes.ask(SLEEP, 0)
        until(lambda: eyes.job(done).state == "finished", lambda: other.log)


def test_a_restart_does_not_repeat_what_was_done(tmp_path: Path, broker_url: str, eyes: Eyes) -> None:
    """A stop is clean (exit code 0, no worker and no cron left in the registries), the next start puts nothing in."""
    for _ in range(2):
        with jobs(tmp_path, broker_url) as one:
            until(lambda one=one: one.ready() and eyes.all().counts["finished"], lambda one=one: one.log)
            one.process.terminate()
            assert one.process.wait(10) == 0
        assert eyes.all().counts["finished"] == 1
        assert eyes.all().workers == ()
        assert eyes.all().crons == 0


def test_a_job_that_is_killed_is_tried_once_more(one: Jobs, eyes: Eyes) -> None:
    """After kill -9 of the process that does it a job begins again; after the second it has failed, with the reason."""
    id_ = eyes.ask(SLEEP, 30, retry=Retry(max=1))
    first = busy(eyes, id_, one)
    os.kill(first, signal.SIGKILL)
    until(lambda: not alive(first) and eyes.job(id_).tries == 1, lambda: eyes.job(id_))
    os.kill(busy(eyes, id_, one), signal.SIGKILL)
    until(lambda: eyes.job(id_).state == "failed", lambda: eyes.job(id_))
    assert "signal 9" in eyes.job(id_).reason
    assert eyes.all().counts["failed"] == 1


def test_a_lost_worker_is_told_and_its_job_tried_again(one: Jobs, eyes: Eyes) -> None:
    """After kill -9 of the worker its job ends too, is shown as lost, and is begun again by the next worker."""
    id_ = eyes.ask(SLEEP, 30, retry=Retry(max=1))
    hand, horse = one.hand, busy(eyes, id_, one)
    os.kill(hand, signal.SIGKILL)
    until(lambda: not alive(horse))
    until(lambda: any("lost" in job.reason for job in eyes.all().jobs if job.id == id_), eyes.all)
    until(lambda: eyes.job(id_).tries == 1 and eyes.job(id_).state == "started", lambda: (eyes.job(id_), one.log))
    assert one.hand != hand
    assert one.said("the worker ended, starting it again")


def test_a_stop_waits_for_a_job(one: Jobs, eyes: Eyes) -> None:
    """SIGTERM lets a job end that ends soon."""
    id_ = eyes.ask(SLEEP, 2)
    busy(eyes, id_, one)
    one.process.terminate()
    assert one.process.wait(10) == 0
    assert eyes.job(id_).state == "finished"


def test_a_stop_does_not_wait_for_ever(one: Jobs, eyes: Eyes) -> None:
    """A job that goes on is ended with its process within 10 s, and is not lost: it is there for the next worker."""
    id_ = eyes.ask(SLEEP, 50, retry=Retry(max=1))
    horse, began = busy(eyes, id_, one), time.monotonic()
    one.process.terminate()
    assert one.process.wait(12) == 0
    assert time.monotonic() - began < 10
    until(lambda: not alive(horse))
    assert eyes.job(id_).state == "started"
    assert [job.id for job in eyes.all().jobs if job.state == "started"] == [id_]


def test_nothing_is_left_of_a_killed_process(one: Jobs, eyes: Eyes) -> None:
    """After kill -9 of the service its worker and the job end by themselves."""
    busy(eyes, eyes.ask(SLEEP, 50), one)
    left = descendants(one.process.pid)
    assert len(left) == 2
    one.process.kill()
    until(lambda: not any(alive(pid) for pid in left))


def test_it_heals_when_the_broker_comes_back(tmp_path: Path) -> None:
    """While its broker is gone it is not ready and writes a few lines a second at most; then it works within 5 s."""
    (tmp_path / "data").mkdir()
    with broker(tmp_path, *WORK) as url, jobs(tmp_path / "data", url) as one:
        until(one.ready, lambda: one.log)
        eyes, port = Eyes(url), int(url.rpartition(":")[2])
        pid = int(eyes.redis.info("server")["process_id"])
        before = eyes.ask(SLEEP, 0)
        until(lambda: eyes.job(before).state == "finished")
        argv = (Path(f"/proc/{pid}/exe").readlink(), "--port", str(port), "--dir", str(tmp_path), *WORK)
        os.kill(pid, signal.SIGKILL)
        until(lambda: not one.ready())
        lines, began = len(one.log), time.monotonic()
        while time.monotonic() < began + 6:  # the outage
            assert not one.ready()
            time.sleep(0.5)
        assert len(one.log) - lines <= 18
        again = subprocess.Popen(argv, stdout=subprocess.DEVNULL)
        try:
            until(lambda: ask(port, "PING") == "+PONG")
            back, id_ = time.monotonic(), eyes.ask(SLEEP, 0)
            until(lambda: eyes.job(id_).state == "finished" and one.ready(), lambda: one.log)
            assert time.monotonic() - back < 5
            assert eyes.job(before).state == "finished"
        finally:
            eyes.close()
            again.terminate()
            again.wait(20)


def test_a_broken_configuration_ends_it(tmp_path: Path, broker_url: str) -> None:
    """Exit code 2 and one sentence, as every service."""
    with jobs(tmp_path, broker_url, CONFIG + "keep: {ledger: 5m}\n") as one:
        assert one.process.wait(20) == 2
        told = (tmp_path / f"log-{one.process.pid}").read_text()
    assert told.strip().endswith("onair.yaml:3: keep.ledger: 5m is too short to be meant; keep it for 1h at least")


def test_rq_finds_the_functions_under_this_name() -> None:
    """The name under which jobs are put in is the module's own."""
    assert __import__(NAME, fromlist=["expire"]).expire.__module__ == NAME


async def test_expiry_by_the_policy(tmp_path: Path, broker_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files and rows that are older than `keep` says go, `forever` keeps all; a dry run says the same and does nothing."""
    keep = "keep: {audio: 2d, recordings: forever, reports: 2d, ledger: 2d, shows: 2d}\n"
    (tmp_path / "onair.yaml").write_text(CONFIG + keep)
    for name, value in {"CONFIG": tmp_path / "onair.yaml", "DATA": tmp_path}.items():
        monkeypatch.setenv(f"ONAIR_{name}", str(value))
    monkeypatch.setenv("WORK_REDIS_URL", broker_url)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "reports").symlink_to(tmp_path / "elsewhere")
    for folder in ("audio", "recordings", "reports", "work"):
        file = tmp_path / folder / "old"
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(b"123")
        os.utime(file, (1, 1))
    redis = connect(broker_url)
    event = LiveEvent(id="a", room="gone", source="api", kind=Kind.SUPER_CHAT, lane=Lane.PAID, at_ms=0)
    await redis.hset("ledger:gone", "a", LedgerRow(event=event, state="spoken", at_ms=1).to_json())  # pyright: ignore[reportGeneralTypeIssues]  redis-py leaves it open
    told = {"audio": {"files": 1, "bytes": 3}, "reports": "it is a link, which is not followed", "ledger": 1}
    assert await expire(dry_run=True) == {"dry_run": True, **told}
    assert (tmp_path / "audio" / "old").exists()
    assert await expire() == {"dry_run": False, **told}
    left = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("old"))  # noqa: ASYNC240  a few files
    assert left == ["elsewhere/old", "recordings/old", "work/old"]
    assert await redis.exists("ledger:gone") == 0
    assert await expire() == {"dry_run": False, "reports": told["reports"]}
    await redis.aclose()
