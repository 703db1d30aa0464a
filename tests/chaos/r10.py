"""R10: work refuses writes, as a replica and with its memory full: quiet, back at once, and what was paid for meanwhile is answered."""

import asyncio
import contextlib
import os
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from services.runtime.clock import now_ms
from tests.chaos.feed import Platform, super_chat, super_chat_id
from tests.chaos.program import Outcome, Program, Setup
from tests.chaos.scenes import Desk, config, desk_of, order, verdict, wrong
from tests.chaos.stack import Stack, Worker

CORE = 0.10
"""Of a core for each process while work refuses."""
LINES_A_SECOND = 1.0
BACK_MS = 2_000
NOTICED_S = 4.0
"""So long after its begin a fault is known to every readiness."""
TICKS = os.sysconf("SC_CLK_TCK")
SERVICES = ("llm", "tts", "ingest", "gateway", "asr", "avatar")
PATIENCE_S = 60.0
GIVEN_UP_S = 15.0
BUSY = 4
SAYS = "Busy one. Busy two. Busy three."


@dataclass(frozen=True)
class Reading:
    """What a process has used and said so far."""

    pid: int
    seconds: float
    lines: int


def read(worker: Worker) -> Reading:
    """Of its present process."""
    fields = Path(f"/proc/{worker.pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    lines = worker.log.read_bytes().count(b"\n") if worker.log.exists() else 0
    return Reading(worker.pid, (int(fields[11]) + int(fields[12])) / TICKS, lines)


@dataclass
class Drought:
    """What was done, and what it cost."""

    stack: Stack
    desk: Desk
    door: Platform
    seconds: float
    told: dict[int, int] = field(default_factory=dict[int, int])
    """Super chat → the number of its frame."""
    landed: int = 0
    """Entries in somebody's hands when work began to refuse."""
    spooled: int = 0
    """Super chats that ingest was given while work refused them."""
    core: float = 0
    lines: float = 0
    """Log lines a second of the one who says most."""
    back_ms: int = 0
    problems: list[str] = field(default_factory=list[str])

    async def pay_on(self) -> None:
        """The platform tells of a super chat every second, once."""
        while True:
            number = len(self.told) + 1
            self.told[number] = self.door.tell(super_chat(number, f"p{number}x.", at_ms=now_ms()))
            await asyncio.sleep(1)

    @property
    def taken(self) -> list[int]:
        """Super chats that ingest was given."""
        return [number for number, frame in self.told.items() if self.door.taken.get(frame)]

    async def suffer(
        self, name: str, begin: Callable[[], Awaitable[Any]], end: Callable[[], Awaitable[Any]], *, kill: bool
    ) -> None:
        """Work refuses for a while; ingest may be killed in the middle of it."""
        for number in range(BUSY):
            await self.desk.gate.ask(order(f"{name}{number}", 1, 0, SAYS))
        ear = self.desk.ear(f"{name}0")
        await ear.until(lambda: bool(ear.sounds), 10)
        self.landed += len(await self.desk.in_hands())
        before = len(self.taken)
        await begin()
        try:
            await self.watch(name, kill=kill)
        finally:
            await end()
        self.spooled += len(self.taken) - before
        await self.back(name, now_ms())

    async def watch(self, name: str, *, kill: bool) -> None:
        """What it costs, and whether it is said."""
        workers = list(self.stack.workers.values())
        began, first = time.monotonic(), {worker.name: read(worker) for worker in workers}
        await asyncio.sleep(min(NOTICED_S, self.seconds / 2))
        ready = [worker.name for worker in workers if (await self.stack.readiness(worker)).get("ready")]
        if ready:
            self.problems.append(f"{name}: {', '.join(ready)} say that they are ready")
        await asyncio.sleep(max(0.0, self.seconds - (time.monotonic() - began)))
        took = time.monotonic() - began
        for worker in workers:
            self.charge(name, worker, first[worker.name], took)
        if kill:
            await self.kill_ingest()

    def charge(self, name: str, worker: Worker, before: Reading, took: float) -> None:
        now = read(worker)
        if now.pid != before.pid:
            self.problems.append(f"{name}: {worker.name} ended ({worker.deaths})")
            return
        core, lines = (now.seconds - before.seconds) / took, (now.lines - before.lines) / took
        self.core, self.lines = max(self.core, core), max(self.lines, lines)
        if core > CORE:
            self.problems.append(f"{name}: {worker.name} used {core:.0%} of a core")
        if now.lines - before.lines > LINES_A_SECOND * took + 1:
            self.problems.append(f"{name}: {worker.name} wrote {lines:.1f} lines a second")

    async def kill_ingest(self) -> None:
        """SIGKILL while its spool is all that knows; it listens again when work takes writes."""
        number = len(self.told)
        async with asyncio.timeout(PATIENCE_S):
            while len(self.told) == number or number + 1 not in self.taken:
                await asyncio.sleep(0.01)
        await asyncio.sleep(0.5)  # what it was given is on its way to the disk
        for worker in self.stack.of("ingest"):
            worker.kill()
            await worker.up.wait()

    async def back(self, name: str, end_ms: int) -> None:
        """After the relief a new chat is heard, and what waited in the spool is in the ledger."""
        ids = [super_chat_id(number) for number in self.taken]

        async def heard() -> None:
            say = "Back again."
            ear = self.desk.ear(f"{name}-back")
            while not ear.closed:
                with contextlib.suppress(Exception):  # a broker that still refuses
                    await self.desk.gate.ask(order(ear.session, 1, 0, say))
                    await ear.until(lambda: bool(ear.closed), PATIENCE_S)
            self.problems.extend(wrong(ear.lines, say, ear.session))

        async def kept() -> None:
            while not set(ids) <= set(await self.desk.ledger()):
                await asyncio.sleep(0.02)

        with contextlib.suppress(TimeoutError):  # the time that it took says it
            async with asyncio.timeout(GIVEN_UP_S):
                await asyncio.gather(heard(), kept())
        took = now_ms() - end_ms
        self.back_ms = max(self.back_ms, took)
        if took > BACK_MS:
            self.problems.append(f"{name}: back after {took} ms")


async def play(drought: Drought) -> None:
    """As a replica, then without memory; ingest is killed in the second."""
    work: Any = drought.desk.bus.work
    await asyncio.wait_for(drought.door.connected.wait(), PATIENCE_S)
    paying = asyncio.ensure_future(drought.pay_on())
    try:
        await asyncio.sleep(2)
        await drought.suffer(
            "readonly", lambda: work.replicaof("127.0.0.1", 1), lambda: work.replicaof("NO", "ONE"), kill=False
        )
        await asyncio.sleep(2)
        await drought.suffer(
            "oom", lambda: work.config_set("maxmemory", 1), lambda: work.config_set("maxmemory", 0), kill=True
        )
    finally:
        paying.cancel()
        await asyncio.gather(paying, return_exceptions=True)


async def run(setup: Setup) -> Outcome:
    """Two droughts, then the verdict on all that ingest was given."""
    seconds = 8.0 if setup.short else 30.0
    async with Platform() as door:
        scene = config({"replay": {"path": door.path}})
        async with (
            Stack(setup.folder, scene, setup.broker, setup.sabotage) as stack,
            stack.bus() as bus,
            desk_of(bus) as desk,
        ):
            for service in SERVICES:
                await stack.start(service, None, *(["listen_to_feeds"] if service == "ingest" else []))
            await stack.ready()
            desk.ear("r")
            drought = Drought(stack, desk, door, seconds)
            await play(drought)
            await asyncio.sleep(1)
            paid = {super_chat_id(number): f"p{number}x." for number in drought.taken}
            problems = await verdict(desk, paid, PATIENCE_S)
    figure = (
        f"READONLY and OOM for {seconds:.0f} s each: at most {drought.core:.1%} of a core and {drought.lines:.2f} log lines "
        f"a second, back after {drought.back_ms} ms; {drought.spooled} of {len(paid)} paid came meanwhile, "
        f"{len(problems)} lost or doubled"
    )
    numbers = {"paid": len(paid), "spooled": drought.spooled, "back_ms": drought.back_ms}
    needed = int(seconds) if drought.landed else drought.spooled + 1
    return Outcome(figure, drought.spooled, needed, (*drought.problems, *problems), numbers)


PROGRAM = Program(
    "R10",
    "READONLY or OOM for 30 s: at most 10 % of a core, 1 log line a second, recovered 2 s after; paid events spooled",
    "REPLICAOF, maxmemory, kill -9 of ingest",
    run,
    ("no_pause", "no_spool"),
)
