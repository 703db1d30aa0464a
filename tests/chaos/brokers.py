"""Brokers that may be killed, frozen and started again: a program of this machine, or `redis:7-bookworm` in a container."""

import asyncio
import contextlib
import ctypes
import os
import signal
import time
from collections import deque
from pathlib import Path
from typing import Any, Protocol, cast

from onair.brokers import LIVE, WORK, ask, binary, free_port

HOST = "127.0.0.1"
PR_SET_PDEATHSIG = 1
IMAGE = "redis:7-bookworm"
NO_REWRITE = ("--auto-aof-rewrite-percentage", "0")
SAMPLE_S = 0.02
UNSYNCED_S = {"always": 0.0, "everysec": 0.5, "no": 30.0}
"""What a power cut takes with it by `appendfsync`, in seconds of writes: of everysec's one second, half on average."""
PATIENCE_S = 30.0
STOP_S = 5.0


class Broker(Protocol):
    """One broker that this run owns; it answers at the same address after each start."""

    name: str
    port: int

    @property
    def url(self) -> str:
        """Where it answers."""
        ...

    async def start(self) -> None:
        """Start it and wait until it answers."""
        ...

    async def kill(self) -> None:
        """SIGKILL; it is gone when this returns."""
        ...

    async def cut(self) -> int:
        """Cut its power: kill it, and what was not fsynced is gone; the bytes that were lost by that."""
        ...

    def pause(self) -> None:
        """SIGSTOP."""
        ...

    def resume(self) -> None:
        """SIGCONT."""
        ...

    async def stop(self) -> None:
        """End it for good."""
        ...


def settings(name: str, more: tuple[str, ...] = ()) -> tuple[str, ...]:
    """What `onair up` promises of it, then `more`, which wins."""
    return (*(WORK if name == "work" else LIVE), *NO_REWRITE, *more)


def die_with_parent() -> None:
    """Run in the child: it ends when the program that started it does, however that ends. Linux only: prctl(2)."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


async def answers(port: int) -> None:
    """Wait until the broker at that port answers and has loaded its file."""
    until = time.monotonic() + PATIENCE_S
    while await ask(port, "PING") != "+PONG":
        if time.monotonic() > until:
            raise TimeoutError(f"the broker at port {port} does not answer")
        await asyncio.sleep(0.01)


class Valkey:
    """The broker that comes with the command line, as a process."""

    def __init__(self, name: str, folder: Path, more: tuple[str, ...] = ()) -> None:
        self.name = name
        self.port = free_port(0)
        self._folder = folder / name
        self._settings = settings(name, more)
        self._process: asyncio.subprocess.Process | None = None
        self._sizes: deque[tuple[float, int]] = deque(maxlen=2_000)
        """When its file was how long."""

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"redis://{HOST}:{self.port}/0"

    @property
    def pid(self) -> int:
        """Of the process that runs now."""
        if self._process is None:
            raise RuntimeError(f"the {self.name} broker was not started")
        return self._process.pid

    async def start(self) -> None:
        """Start it and wait until it answers."""
        self._folder.mkdir(parents=True, exist_ok=True)
        log = self._folder.parent / f"{self.name}.log"
        place = ("--bind", HOST, "--port", str(self.port), "--dir", str(self._folder), "--logfile", str(log))
        self._process = await asyncio.create_subprocess_exec(
            str(binary()),
            *place,
            *self._settings,
            stdout=asyncio.subprocess.DEVNULL,
            start_new_session=True,
            preexec_fn=die_with_parent,
        )
        await answers(self.port)

    async def kill(self) -> None:
        """SIGKILL; it is gone when this returns."""
        if self._process and self._process.returncode is None:
            self._process.kill()
            await self._process.wait()

    async def cut(self) -> int:
        """Hold all writes, kill it, take from its file what its setting leaves to the kernel; the bytes lost by that."""
        file = self._file()
        reader, writer = await asyncio.open_connection(HOST, self.port)
        try:
            held = await _send(reader, writer, "SET chaos:cut 1", "CLIENT PAUSE 5000 WRITE")
            (policy,) = await _send(reader, writer, "CONFIG GET appendfsync", lines=5)
        finally:
            writer.close()
        size, unsynced_s = file.stat().st_size, UNSYNCED_S[policy.split()[-1]]
        since = time.monotonic() - unsynced_s
        await self.kill()
        if not all(line.startswith("+OK") for line in held):
            raise RuntimeError(f"the {self.name} broker answers {held}")
        durable = max((known for at, known in self._sizes if at <= since), default=0) if unsynced_s else size
        os.truncate(file, durable)
        self._sizes.clear()
        return size - durable

    def _file(self) -> Path:
        return next((self._folder / "appendonlydir").glob("*.incr.aof"))

    async def watch_size(self) -> None:
        """Keep noting how long its file is, for `cut`; for ever."""
        while True:
            with contextlib.suppress(OSError, StopIteration):
                self._sizes.append((time.monotonic(), self._file().stat().st_size))
            await asyncio.sleep(SAMPLE_S)

    def pause(self) -> None:
        """SIGSTOP."""
        os.kill(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        """SIGCONT."""
        os.kill(self.pid, signal.SIGCONT)

    async def stop(self) -> None:
        """End it for good."""
        if self._process and self._process.returncode is None:
            self.resume()
            self._process.terminate()
            try:
                await asyncio.wait_for(self._process.wait(), STOP_S)
            except TimeoutError:
                await self.kill()


async def _send(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *commands: str, lines: int = 1
) -> list[str]:
    """The answer to each inline command, `lines` lines long."""
    writer.write("".join(f"{command}\r\n" for command in commands).encode())
    return [
        "".join([(await reader.readuntil(b"\n")).decode() for _ in range(lines)]).replace("\r\n", " ") for _ in commands
    ]


class Docker:
    """`redis:7-bookworm` in a container of this run's own, on a fixed port of the loopback."""

    def __init__(self, name: str, more: tuple[str, ...] = ()) -> None:
        os.environ["TESTCONTAINERS_RYUK_DISABLED"] = "true"
        from testcontainers.community.redis import RedisContainer  # noqa: PLC0415  only where an engine is asked for

        self.name = name
        self.port = free_port(0)
        command = ["redis-server", *settings(name, ("--protected-mode", "no", *more))]
        made = cast("Any", RedisContainer(IMAGE))
        self._container: Any = made.with_bind_ports(6379, self.port).with_command(command)
        self._started = False

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"redis://{HOST}:{self.port}/0"

    @property
    def _engine(self) -> Any:
        return self._container.get_wrapped_container()

    async def start(self) -> None:
        """Start it and wait until it answers."""
        again, self._started = self._started, True
        await asyncio.to_thread(self._engine.start if again else self._container.start)
        await answers(self.port)

    async def kill(self) -> None:
        """SIGKILL; it is gone when this returns."""
        await asyncio.to_thread(self._engine.kill, "SIGKILL")
        await asyncio.to_thread(self._engine.wait)

    async def cut(self) -> int:
        """As `kill`: nobody can take from a container's file what was not fsynced."""
        await self.kill()
        return 0

    def pause(self) -> None:
        """Freeze the container."""
        self._engine.pause()

    def resume(self) -> None:
        """Let it go on."""
        self._engine.unpause()

    async def stop(self) -> None:
        """End it for good."""
        if self._started:
            await asyncio.to_thread(self._container.stop)


def make(kind: str, name: str, folder: Path, more: tuple[str, ...] = ()) -> Broker:
    """A broker of that kind: `valkey` or `docker`."""
    return Docker(name, more) if kind == "docker" else Valkey(name, folder, more)
