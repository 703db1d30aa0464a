"""`services.gateway.jobs` as processes on a broker of a test, and what rq says of them."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rq import Queue

from services.gateway.adapters.rq import QUEUE, Rq, connect
from services.gateway.core.ports import JobSeen, JobsSeen
from tests import waiting

ROOT = Path(__file__).parents[2]
CONFIG = """\
personas: {host: {voice: plain}}
voices: {plain: {engines: [{espeak: {voice: cmn}}]}}
"""
PATIENCE_S = 40


@dataclass
class Jobs:
    """One process of the service."""

    process: subprocess.Popen[str]
    data: Path

    @property
    def log(self) -> list[dict[str, Any]]:
        """Its lines; each is JSON."""
        return [json.loads(line) for line in (self.data / f"log-{self.process.pid}").read_text().splitlines()]

    def said(self, event: str) -> bool:
        return any(line["event"] == event for line in self.log)

    @property
    def hand(self) -> int:
        """Pid of its worker."""
        return next(iter(children(self.process.pid)))

    def ready(self) -> bool:
        """What its own page says."""
        notes = list((self.data / "run").glob(f"jobs-{self.process.pid}.json"))
        if not notes:
            return False
        port = json.loads(notes[0].read_text())["health_port"]
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5) as answer:
                return answer.status == 200
        except urllib.error.HTTPError as error:
            error.close()
            return False


@contextmanager
def jobs(data: Path, url: str, config: str = CONFIG, **more: str) -> Generator[Jobs]:
    """The service on that broker, with more variables; whatever is left of it is killed at the end."""
    (data / "onair.yaml").write_text(config)
    env = {
        "PATH": os.environ["PATH"],
        "ONAIR_CONFIG": str(data / "onair.yaml"),
        "ONAIR_DATA": str(data),
        "WORK_REDIS_URL": url,
        "JOBS_HEALTH_PORT": "0",
        **more,
    }
    command = [sys.executable, "-m", "services.gateway.jobs"]
    with (data / "log").open("w") as log:
        process = subprocess.Popen(command, cwd=ROOT, env=env, stdout=log, stderr=log, text=True)
    (data / "log").rename(data / f"log-{process.pid}")
    try:
        yield Jobs(process, data)
    finally:
        pids = [process.pid, *descendants(process.pid)]
        for pid in pids:
            if alive(pid):
                os.kill(pid, signal.SIGKILL)
        process.wait()


def children(pid: int) -> list[int]:
    """Pids of the processes that it started."""
    tasks = Path(f"/proc/{pid}/task")
    found = [(task / "children").read_text().split() for task in tasks.iterdir()] if tasks.exists() else []
    return [int(each) for some in found for each in some]


def descendants(pid: int) -> list[int]:
    return [each for child in children(pid) for each in (child, *descendants(child))]


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def until(true: Callable[[], object], seen: Callable[[], object] = lambda: "", patience_s: float = PATIENCE_S) -> None:
    """Look again for a while."""
    waiting.until(true, patience_s, seen)


class Eyes:
    """What rq's registries say."""

    def __init__(self, url: str) -> None:
        self.rq = Rq(url)
        self.redis: Any = connect(url)
        self.queue: Any = Queue(QUEUE, connection=self.redis)

    def close(self) -> None:
        self.redis.close()
        asyncio.run(self.rq.close())

    def all(self) -> JobsSeen:
        return asyncio.run(self.rq.snapshot(100))

    def job(self, id_: str) -> JobSeen:
        found = asyncio.run(self.rq.job(id_))
        assert found
        return found

    def ask(self, function: str, *args: object, **options: Any) -> str:
        """Put in any function that can be imported; the id of the job."""
        return str(self.queue.enqueue_call(function, args=args, timeout=60, **options).id)
