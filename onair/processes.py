"""The processes that one `onair` started: watched, started again when they die, stopped in order, never left behind."""

import asyncio
import contextlib
import fcntl
import os
import signal
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from onair import watchdog
from services.contract.failure import Code, Failure

USAGE = 2
"""Exit code of a service that cannot run as it is configured."""
POLL_S = 0.1
STOP_POLL_S = 0.02
PAUSES_S = (0.1, 0.5, 1.0, 2.0, 4.0)
"""Before each new start of one that dies; one more death within `WINDOW_S` and it is given up."""
WINDOW_S = 60.0
SERVICE, BROKER = 0, 1
"""Ranks: services are stopped before the brokers that they use."""
GRACE_S = {SERVICE: 3.0, BROKER: 1.0}
"""From SIGTERM to SIGKILL; with `KILL_S` for each rank a stop takes less than 5 s."""
KILL_S = 0.4


@dataclass(frozen=True)
class Part:
    """One process to be kept running."""

    name: str
    """For people, as tts-2."""
    argv: tuple[str, ...]
    env: Mapping[str, str]
    log: Path
    """What it writes goes there; begun anew at its first start."""
    rank: int = SERVICE


@dataclass
class Child:
    """A part with the process that runs it now."""

    part: Part
    process: subprocess.Popen[bytes]
    deaths: deque[float] = field(default_factory=lambda: deque[float](maxlen=len(PAUSES_S) + 1))

    @property
    def pid(self) -> int:
        """Also the id of its process group."""
        return self.process.pid


class Family:
    """All processes of one `onair` with one data folder. Leaving the block stops them all within 5 s.

    A part that cannot run, or dies too often, cancels the block; its Failure is raised at the end of it.
    """

    def __init__(self, data: Path, tell: Callable[[str], None]) -> None:
        self.data = data
        self.tell = tell
        self.children: dict[str, Child] = {}
        self._watchers: list[asyncio.Task[None]] = []
        self._failure: Failure | None = None

    async def __aenter__(self) -> Self:
        """Take the folder; raises Failure(BUSY) if another `onair` has it, BAD_CONFIG if it cannot be written."""
        owner = asyncio.current_task()
        if owner is None:
            raise RuntimeError("a family belongs to a task")
        self._owner = owner
        self._lock = take(self.data)
        self._watchdog = _watchdog(self._lock)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop everything; raises the Failure of a part that was given up."""
        try:
            await self.stop()
        finally:
            if self._watchdog.stdin:
                self._watchdog.stdin.close()
            self._watchdog.wait()
            self._lock.close()
        if self._failure:
            self._owner.uncancel()
            raise self._failure from error

    def start(self, part: Part) -> Child:
        """Start a part and keep it running."""
        part.log.parent.mkdir(parents=True, exist_ok=True)
        part.log.write_bytes(b"")
        child = self.children[part.name] = Child(part, self._spawn(part))
        self._watchers.append(asyncio.create_task(self._keep(child), name=f"keep {part.name}"))
        return child

    def _spawn(self, part: Part) -> subprocess.Popen[bytes]:
        """A process that leads a group of its own: a terminal's Ctrl-C reaches `onair` alone, which stops all in order."""
        try:
            with part.log.open("ab") as log:
                process = subprocess.Popen(  # noqa: S603  the argv is ours
                    part.argv,
                    env=dict(part.env),
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    process_group=0,
                )
        except OSError as error:
            raise Failure(Code.ENGINE_MISSING, f"{part.name} cannot be started: {error}") from error
        self._note("+", process.pid)
        return process

    def _note(self, sign: str, pid: int) -> None:
        if self._watchdog.stdin:
            with contextlib.suppress(BrokenPipeError):
                self._watchdog.stdin.write(f"{sign} {pid}\n".encode())
                self._watchdog.stdin.flush()

    async def _keep(self, child: Child) -> None:
        """Start the part again whenever it dies, until it dies too often."""
        loop = asyncio.get_running_loop()
        while True:
            while (code := child.process.poll()) is None:  # noqa: ASYNC110  a process has no event of ours
                await asyncio.sleep(POLL_S)
            self._sweep(child)
            while child.deaths and child.deaths[0] < loop.time() - WINDOW_S:
                child.deaths.popleft()
            child.deaths.append(loop.time())
            if failure := given_up(child.part, code, len(child.deaths)):
                self._failure = self._failure or failure
                self._owner.cancel()
                return
            self.tell(f"{child.part.name} ended ({ending(code)}), starting it again; see {child.part.log}")
            await asyncio.sleep(PAUSES_S[len(child.deaths) - 1])
            try:
                child.process = self._spawn(child.part)
            except Failure as failure:
                self._failure = self._failure or failure
                self._owner.cancel()
                return

    def _sweep(self, child: Child) -> None:
        """End what a dead leader left in its group."""
        watchdog.reach(child.pid, signal.SIGKILL)
        self._note("-", child.pid)

    async def stop(self) -> None:
        """SIGTERM, a moment, SIGKILL: services first, brokers last."""
        for task in self._watchers:
            task.cancel()
        await asyncio.gather(*self._watchers, return_exceptions=True)
        self._watchers.clear()
        for rank, grace_s in sorted(GRACE_S.items()):
            group = [child for child in self.children.values() if child.part.rank == rank]
            for child in group:
                child.process.terminate()
            await _gone(group, grace_s)
            for child in group:
                if child.process.poll() is None:
                    self.tell(f"{child.part.name} did not stop within {grace_s:g} s and was killed")
                watchdog.reach(child.pid, signal.SIGKILL)
            await _gone(group, KILL_S)
            for child in group:
                self._note("-", child.pid)
        self.children.clear()


async def _gone(children: list[Child], patience_s: float) -> None:
    """Wait until all of them have ended, or as long as that."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(patience_s):
            while any(child.process.poll() is None for child in children):  # noqa: ASYNC110  as in _keep
                await asyncio.sleep(STOP_POLL_S)


def take(data: Path) -> IO[str]:
    """The lock of a data folder, made if it is not there; held until the file is closed by all who have it."""
    try:
        data.mkdir(parents=True, exist_ok=True)
        lock = (data / "onair.lock").open("a+", encoding="utf-8")
    except OSError as error:
        remedy = "name another folder by --data or ONAIR_DATA"
        raise Failure(Code.BAD_CONFIG, f"cannot write to {data} ({error.strerror}); {remedy}") from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        lock.seek(0)
        pid = lock.read().strip() or "unknown"
        lock.close()
        remedy = "stop it, or name another folder by --data"
        raise Failure(Code.BUSY, f"another onair (process {pid}) works in {data}; {remedy}") from error
    lock.truncate(0)
    lock.write(str(os.getpid()))
    lock.flush()
    return lock


def held(data: Path) -> bool:
    """Whether an `onair` works in that folder now."""
    if not (data / "onair.lock").exists():
        return False
    try:
        take(data).close()
    except Failure as failure:
        if failure.code is Code.BUSY:
            return True
        raise
    return False


def _watchdog(lock: IO[str]) -> subprocess.Popen[bytes]:
    """The watchdog, which shares the lock: the folder is free only when nothing that we started uses it any more."""
    argv = (sys.executable, "-I", "-S", str(watchdog.__file__))
    return subprocess.Popen(  # noqa: S603  the argv is ours
        argv, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, process_group=0, pass_fds=(lock.fileno(),)
    )


def given_up(part: Part, code: int, deaths: int) -> Failure | None:
    """Why this part is not started again; None if it is."""
    if code == USAGE and part.rank == SERVICE and deaths == 1:
        return Failure(
            Code.BAD_CONFIG, f"{part.name} cannot run: {' '.join(tail(part.log, 1)) or 'it does not say why'}"
        )
    if deaths <= len(PAUSES_S):
        return None
    last = " / ".join(tail(part.log, 2)) or "nothing"
    what = f"{part.name} died {deaths} times within {WINDOW_S:g} s, the last time by {ending(code)}"
    return Failure(Code.WORKER_LOST, f"{what}; its log {part.log} ends: {last}")


def ending(code: int) -> str:
    """An exit status in words."""
    if code >= 0:
        return f"exit code {code}"
    try:
        return signal.Signals(-code).name
    except ValueError:
        return f"signal {-code}"


def tail(log: Path, lines: int, most: int = 8_192) -> list[str]:
    """The last lines of a log that are not empty."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - most))
            text = file.read().decode(errors="replace")
    except OSError:
        return []
    return [line.strip() for line in text.splitlines() if line.strip()][-lines:]
