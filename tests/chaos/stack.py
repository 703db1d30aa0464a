"""A whole show as processes that this run owns: brokers and services, each of which it may kill, freeze or restart."""

import asyncio
import contextlib
import itertools
import json
import os
import signal
import sys
import urllib.error
import urllib.request
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from onair.brokers import free_port
from services.runtime.bus import Bus
from tests.chaos import brokers
from tests.chaos.sabotage import BROKER

ROOT = Path(__file__).parents[2]
PATIENCE_S = 30.0
STOP_S = 25.0
KEPT = ("PATH", "HOME", "LANG", "VIRTUAL_ENV", "TMPDIR")
"""What a service gets of our environment."""


@dataclass
class Worker:
    """One process of a service, started again as soon as it ends unless it was told to end."""

    name: str
    service: str
    env: dict[str, str]
    log: Path
    sabotage: list[str]
    pid: int = 0
    starts: int = 0
    deaths: list[int] = field(default_factory=list[int])
    """Exit codes: negative ones are signals."""
    keep: bool = True
    """Start it again when it ends."""
    up: asyncio.Event = field(default_factory=asyncio.Event)
    """It has a process now."""
    down: asyncio.Event = field(default_factory=asyncio.Event)
    """It has none."""

    def signal(self, number: signal.Signals) -> None:
        """Send that to its process."""
        os.kill(self.pid, number)

    def kill(self) -> None:
        """SIGKILL; it is started again at once."""
        self.up.clear()
        self.signal(signal.SIGKILL)

    def pause(self) -> None:
        """SIGSTOP; in effect when this returns."""
        self.signal(signal.SIGSTOP)
        while _state(self.pid) not in "TZX":
            os.sched_yield()

    def resume(self) -> None:
        """SIGCONT."""
        self.signal(signal.SIGCONT)

    def owns(self, consumer: str) -> bool:
        """Whether that consumer of a group is one of its present process."""
        return f"-p{self.pid}-" in consumer


def _state(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0]
    except OSError:
        return "X"


class Stack:
    """Brokers, and the nest that services are forked from. Leaving it ends every process of it, by its id."""

    def __init__(self, folder: Path, config: Mapping[str, Any], kind: str = "valkey", sabotage: str = "") -> None:
        self.folder = folder
        self.config = folder / "onair.yaml"
        self.config.write_text(json.dumps(config), encoding="utf-8")  # JSON is YAML
        more = BROKER.get(sabotage, ())
        self.work = brokers.make(kind, "work", folder, more)
        self.live = brokers.make(kind, "live", folder)
        self.workers: dict[str, Worker] = {}
        self._rules = [sabotage] if sabotage and sabotage not in BROKER else []
        self._names = itertools.count(1)
        self._nest: asyncio.subprocess.Process | None = None
        self._told: asyncio.Task[None] | None = None
        self._hatched = asyncio.Event()

    async def __aenter__(self) -> Self:
        """Start the brokers and the nest."""
        try:
            await asyncio.gather(self.work.start(), self.live.start())
            argv = (sys.executable, "-m", "tests.chaos.nest")
            pipe = asyncio.subprocess.PIPE
            with (self.folder / "nest.log").open("wb") as log:
                self._nest = await asyncio.create_subprocess_exec(
                    *argv, cwd=ROOT, stdin=pipe, stdout=pipe, stderr=log, start_new_session=True
                )
            self._told = asyncio.create_task(self._listen(self._nest), name="nest")
            await asyncio.wait_for(self._hatched.wait(), PATIENCE_S)
        except BaseException:
            await self._end()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        """End everything."""
        await self._end()

    async def _end(self) -> None:
        for worker in self.workers.values():
            worker.keep = False
        if self._nest:
            if self._nest.stdin:
                self._nest.stdin.close()  # it kills what it started
            try:
                await asyncio.wait_for(self._nest.wait(), 5)
            except TimeoutError:
                self._nest.kill()
                await self._nest.wait()
        if self._told:
            self._told.cancel()
            await asyncio.gather(self._told, return_exceptions=True)
        await asyncio.gather(self.work.stop(), self.live.stop())

    async def _listen(self, nest: asyncio.subprocess.Process) -> None:
        """What the nest says: who runs, who has ended; the latter are started again."""
        if nest.stdout is None:
            raise RuntimeError("the nest has no output")
        while line := await nest.stdout.readline():
            told = json.loads(line)
            if told.get("key") == "nest":
                self._hatched.set()
            elif "key" in told:
                worker = self.workers[told["key"]]
                worker.pid, worker.starts = told["pid"], worker.starts + 1
                worker.down.clear()
                worker.up.set()
            else:
                self._ended(told["pid"], told["code"])

    def _ended(self, pid: int, code: int) -> None:
        for worker in self.workers.values():
            if worker.pid == pid:
                worker.deaths.append(code)
                worker.up.clear()
                worker.down.set()
                if worker.keep:
                    self._hatch(worker)

    def _hatch(self, worker: Worker) -> None:
        if self._nest is None or self._nest.stdin is None:
            raise RuntimeError("the stack was not started")
        order = {
            "key": worker.name,
            "service": worker.service,
            "env": worker.env,
            "log": str(worker.log),
            "sabotage": worker.sabotage,
        }
        self._nest.stdin.write(f"{json.dumps(order)}\n".encode())

    async def start(self, service: str, env: Mapping[str, str] | None = None, *rules: str) -> Worker:
        """A process of that service with `env` on top of what all have, and with more `rules` broken; it runs."""
        name = f"{service}-{next(self._names)}"
        own = {key: os.environ[key] for key in KEPT if key in os.environ}
        usual = {
            "WORK_REDIS_URL": self.work.url,
            "LIVE_REDIS_URLS": self.live.url,
            "ONAIR_CONFIG": str(self.config),
            "ONAIR_DATA": str(self.folder / name),
            f"{service.upper()}_HEALTH_PORT": str(free_port(0)),
            "GATEWAY_PORT": str(free_port(0)),
            "TTS_ENGINES": "scripted",
        }
        worker = Worker(
            name, service, {**own, **usual, **(env or {})}, self.folder / f"{name}.log", [*self._rules, *rules]
        )
        self.workers[name] = worker
        self._hatch(worker)
        await asyncio.wait_for(worker.up.wait(), PATIENCE_S)
        return worker

    async def terminate(self, worker: Worker, *, again: bool = False) -> int:
        """SIGTERM; its exit code. It is started again only if `again`."""
        worker.keep = again
        before = len(worker.deaths)
        worker.signal(signal.SIGTERM)
        async with asyncio.timeout(STOP_S + 10):
            while len(worker.deaths) == before:
                await asyncio.sleep(0.02)
        return worker.deaths[before]

    def base(self, worker: Worker) -> str:
        """Where its health is told; for the gateway, where it serves."""
        name = "GATEWAY_PORT" if worker.service == "gateway" else f"{worker.service.upper()}_HEALTH_PORT"
        return f"http://{brokers.HOST}:{worker.env[name]}"

    async def readiness(self, worker: Worker) -> dict[str, Any]:
        """What its /readyz says: `ready`, `problems`; empty while it does not answer."""
        return await asyncio.to_thread(_asked, f"{self.base(worker)}/readyz")

    async def ready(self) -> None:
        """Wait until every worker says that it is ready."""
        async with asyncio.timeout(PATIENCE_S):
            for worker in self.workers.values():
                while not (await self.readiness(worker)).get("ready"):
                    await asyncio.sleep(0.05)

    @asynccontextmanager
    async def bus(self) -> AsyncGenerator[Bus]:
        """Connections of our own to both brokers."""
        bus = Bus(self.work.url, [self.live.url])
        try:
            yield bus
        finally:
            await bus.close()

    async def kill_broker(self, broker: brokers.Broker, *, cut: bool = False) -> int:
        """Kill it and start it again at once; the bytes that a cut of its power lost."""
        lost = 0
        if cut:
            lost = await broker.cut()
        else:
            await broker.kill()
        await broker.start()
        return lost

    def of(self, service: str) -> list[Worker]:
        """Its workers."""
        return [worker for worker in self.workers.values() if worker.service == service]


def _asked(url: str) -> dict[str, Any]:
    with contextlib.suppress(OSError, ValueError):
        try:
            with urllib.request.urlopen(url, timeout=2) as answer:
                return json.loads(answer.read())
        except urllib.error.HTTPError as error:
            return json.loads(error.read())
    return {}
