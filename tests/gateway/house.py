"""Gateways as processes that have a key of Tavus, on the brokers of a test."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import httpx2
from redis import Redis

from services.contract import streams
from services.runtime.clock import now_ms
from tests.gateway.hands import ROOT, until
from tests.gateway.tavus import KEY, Tavus, serving

CONFIG = """\
personas: {friend: {voice: plain, language: en, prompt: Be a friend.}}
voices: {plain: {engines: [{espeak: {voice: cmn}}]}}
"""
PATH = "/api/tavus/conversations"


@dataclass
class Gateway:
    """One gateway as a process."""

    process: subprocess.Popen[bytes]
    data: Path
    url: str = ""

    @property
    def log(self) -> str:
        return (self.data / "log").read_text(encoding="utf-8")

    def create(self) -> str:
        """A conversation that goes on; its id."""
        answer = httpx2.post(f"{self.url}{PATH}", json={"persona": "p1"}, timeout=20, trust_env=False)
        assert answer.status_code == 200, answer.text
        return str(answer.json()["id"])

    def stop(self) -> int:
        """SIGTERM; its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(20)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(20)


@dataclass
class House:
    """Gateways on the brokers of a test, and the account."""

    folder: Path
    work: str
    live: str
    tavus: Tavus
    stack: ExitStack
    redis: Any

    @property
    def env(self) -> dict[str, str]:
        return {"TAVUS_API_KEY": KEY, "TAVUS_BASE_URL": self.tavus.url}

    def gateway(self) -> Gateway:
        """One more, ready."""
        data = self.folder / f"gateway-{len(list(self.folder.iterdir()))}"
        return self.stack.enter_context(started(self, data))

    @property
    def living(self) -> int:
        """Gateways that said lately that they live."""
        members = [member.decode() for member in self.redis.zrange(streams.WORKERS, 0, -1)]
        return sum(self.redis.exists(streams.WORKER.of(each)) for each in members if each.startswith("gateway:"))

    def gone(self) -> None:
        """Wait until no gateway lives, and let a minute pass: for the hourly job one may come back until then."""
        until(lambda: not self.living)
        for member in self.redis.zrange(streams.WORKERS, 0, -1):
            self.redis.zadd(streams.WORKERS, {member: now_ms() - streams.GONE_KEPT_MS})

    @property
    def held(self) -> int:
        """Conversations that OnAir answers for."""
        return int(self.redis.hlen(streams.TAVUS))


@contextmanager
def started(house: House, data: Path) -> Generator[Gateway]:
    data.mkdir()
    (data / "onair.yaml").write_text(CONFIG, encoding="utf-8")
    env = {
        "PATH": os.environ["PATH"],
        "ONAIR_CONFIG": str(data / "onair.yaml"),
        "ONAIR_DATA": str(data),
        "WORK_REDIS_URL": house.work,
        "LIVE_REDIS_URLS": house.live,
        "GATEWAY_PORT": "0",
        "ONAIR_DEBUG": "1",
        **house.env,
    }
    with (data / "log").open("wb") as log:
        process = subprocess.Popen((sys.executable, "-m", "services.gateway"), cwd=ROOT, env=env, stderr=log)
    found = Gateway(process, data)
    try:
        note = data / "run" / f"gateway-{process.pid}.json"
        before = house.living
        until(note.exists, lambda: found.log)
        until(lambda: house.living > before, lambda: found.log)
        found.url = f"http://127.0.0.1:{json.loads(note.read_text())['port']}"
        yield found
    finally:
        found.kill()


@contextmanager
def built(folder: Path, work: str, live: str) -> Generator[House]:
    """A house without a gateway yet."""
    with serving() as tavus, ExitStack() as stack, cast("Any", Redis).from_url(work) as redis:
        yield House(folder, work, live, tavus, stack, redis)
