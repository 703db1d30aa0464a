"""A composed project of a test's own: started, asked, taken down; its ports are free ones of this machine."""

import json
import os
import secrets
import shutil
import socket
import subprocess
import time
import urllib.request
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from redis import Redis

from services.contract.ingest import LedgerRow
from tests import waiting

ROOT = Path(__file__).parents[2]
SERVICES = ("asr", "llm", "tts", "gateway", "ingest", "avatar")
BROKERS = ("work", "live")
PATIENCE_S = 60.0
STAGE = "tests/compose/stage.yaml"
"""A room that plays what is posted, spoken by an engine whose pace is known."""


def compose_command() -> list[str]:
    """Compose 2 where it is, else 1.29."""
    plugin = subprocess.run(["docker", "compose", "version"], capture_output=True, check=False)
    return ["docker", "compose"] if plugin.returncode == 0 else ["docker-compose"]


def docker(*words: str, check: bool = True) -> str:
    """What `docker` prints."""
    done = subprocess.run(["docker", *words], capture_output=True, text=True, check=False, timeout=300)
    assert not check or done.returncode == 0, done.stderr
    return done.stdout.strip()


def free_ports(count: int) -> list[int]:
    """That many ports of the loopback that nobody has now."""
    probes = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    try:
        return [int(probe.getsockname()[1]) for probe in probes]
    finally:
        for probe in probes:
            probe.close()


def until(holds: Callable[[], object], patience_s: float = PATIENCE_S, told: Callable[[], object] = str) -> float:
    """As `waiting.until`, with the patience that containers need."""
    return waiting.until(holds, patience_s, told)


@dataclass
class Stack:
    """One project."""

    project: str
    env: dict[str, str]
    file: str = "docker-compose.yml"

    def compose(self, *words: str, check: bool = True) -> str:
        """What Compose prints, both streams."""
        command = [*compose_command(), "-f", self.file, "-p", self.project, *words]
        env = {**os.environ, **self.env, "COMPOSE_PROJECT_NAME": self.project}
        pipes: Any = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
        done = subprocess.run(command, cwd=ROOT, env=env, text=True, check=False, timeout=500, **pipes)
        assert not check or done.returncode == 0, done.stdout
        return str(done.stdout)

    def up(self, *more: str) -> float:
        """Start it and wait until everything is healthy; the seconds it took."""
        begun = time.monotonic()
        self.compose("up", "-d", "--no-build", *more)
        self.healthy()
        return time.monotonic() - begun

    def ids(self, service: str = "") -> list[str]:
        """The containers, those that have ended too."""
        label = f"label=com.docker.compose.project={self.project}"
        more = ["--filter", f"label=com.docker.compose.service={service}"] if service else []
        return docker("ps", "-aq", "--no-trunc", "--filter", label, *more).split()

    def states(self, service: str = "") -> dict[str, str]:
        """Container's name → healthy, unhealthy, starting, exited."""
        found = inspect(self.ids(service))
        return {
            each["Name"]: each["State"].get("Health", {}).get("Status") or each["State"]["Status"] for each in found
        }

    def healthy(self, service: str = "", patience_s: float = PATIENCE_S) -> None:
        """Wait until all of them are."""
        until(
            lambda: set(self.states(service).values()) == {"healthy"},
            patience_s,
            lambda: f"{self.states(service)}\n{self.compose('logs', '--tail', '20', check=False)}",
        )

    def address(self, service: str, port: int) -> str:
        """Where a port of the service's first container is published: host:port."""
        found = inspect(self.ids(service)[:1])[0]["NetworkSettings"]["Ports"][f"{port}/tcp"][0]
        return f"{found['HostIp']}:{found['HostPort']}"

    def broker(self, name: str = "work", password: str = "") -> Any:
        """A client of that broker, by its published port."""
        return cast("Any", Redis).from_url(f"redis://:{password}@{self.address(name, 6379)}/0")

    def ledger(self, room: str, password: str = "") -> dict[str, LedgerRow]:
        """Every paid event's row."""
        with self.broker(password=password) as work:
            rows = cast("dict[bytes, bytes]", work.hgetall(f"ledger:{room}"))
        return {id_.decode(): LedgerRow.from_json(row) for id_, row in rows.items()}

    def post(self, path: str, body: dict[str, object]) -> dict[str, Any]:
        """What the gateway answers."""
        headers = {"Content-Type": "application/json"}
        url = f"http://{self.address('gateway', 8000)}{path}"
        request = urllib.request.Request(url, json.dumps(body).encode(), headers)
        with urllib.request.urlopen(request, timeout=10) as answer:
            return cast("dict[str, Any]", json.load(answer))

    def super_chat(self, room: str, id_: str, text: str) -> None:
        """Somebody pays 30 yuan to have that answered."""
        fields: dict[str, object] = {
            "id": id_,
            "kind": "super_chat",
            "text": text,
            "amount_fen": 3_000,
            "viewer": "小明",
        }
        assert self.post(f"/api/rooms/{room}/events", fields)["new"] is True

    def metrics(self, container: str, port: int) -> str:
        """What one container's service counts."""
        code = f"import urllib.request as u;print(u.urlopen('http://127.0.0.1:{port}/metrics').read().decode())"
        return docker("exec", container, "python", "-c", code)


def inspect(ids: Sequence[str]) -> list[dict[str, Any]]:
    """What the engine knows of these containers or images."""
    return cast("list[dict[str, Any]]", json.loads(docker("inspect", *ids))) if ids else []


@contextmanager
def stack(**env: str) -> Generator[Stack]:
    """A project with ports of its own; nothing of it is left at the end."""
    work, live, gateway, health = free_ports(4)
    ours = {
        "WORK_PUBLISHED_PORT": str(work),
        "LIVE_PUBLISHED_PORT": str(live),
        "GATEWAY_PUBLISHED_PORTS": str(gateway),
        "AVATAR_HEALTH_PORT": str(health),
        "ONAIR_CONFIG": "onair.yaml",
    }
    made = Stack(f"onair-test-{secrets.token_hex(4)}", {**ours, **env}, env.get("COMPOSE_FILE", "docker-compose.yml"))
    try:
        yield made
    finally:
        made.compose("down", "-v", "--remove-orphans", "-t", "10", check=False)


def missing() -> str:
    """Why there are no containers here; '' if there can be."""
    if not shutil.which("docker"):
        return "docker is not installed"
    if subprocess.run(["docker", "info"], capture_output=True, check=False).returncode:
        return "no Docker engine answers"
    if compose_command() == ["docker-compose"] and not shutil.which("docker-compose"):
        return "docker compose is not installed"
    return ""
