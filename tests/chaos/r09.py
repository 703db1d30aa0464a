"""R9: consumer groups are destroyed and the whole broker is flushed under running jobs: the show heals, or says that it cannot."""

import asyncio
import random
import time
from dataclasses import dataclass, field
from typing import Any

from services.contract import streams
from tests.chaos.program import Outcome, Program, Setup
from tests.chaos.scenes import Desk, config, desk_of, order, wrong
from tests.chaos.stack import Stack

LIMIT_MS = 5_000
BUSY = 4
"""Chats that are being answered when a fault comes."""
SAYS = "Busy one. Busy two. Busy three."
PROBE = "Still here {n}."
PATIENCE_S = 12.0
CALL, SHOW = (streams.speak("scripted", kind) for kind in ("chat", "room"))
GROUPS = ((streams.TURNS.key(), "llm"), (CALL, "tts"), (SHOW, "tts"), (streams.LISTEN.key(), "asr"))


@dataclass
class Siege:
    """What was done, and what became of it."""

    stack: Stack
    desk: Desk
    landed: int = 0
    """Faults that came while a worker of the group was in a job; a flush under any job."""
    healed_ms: list[int] = field(default_factory=list[int])
    gave_up: int = 0
    """Faults after which a process ended, with a code that is not 0."""
    problems: list[str] = field(default_factory=list[str])
    chats: list[str] = field(default_factory=list[str])
    """Sessions to which somebody listens."""
    asked: int = 0

    async def chat(self, says: str, kind: str) -> str:
        self.asked += 1
        name = f"{kind}{self.asked}"
        self.chats.append(name)
        self.desk.ear(name)
        await self.desk.gate.ask(order(name, 1, 0, says, kind=kind))
        return name

    async def busy(self, stream: str) -> bool:
        """Fill the hands of those who read that stream; whether they are full."""
        kind = "room" if stream == SHOW else "chat"
        for _ in range(BUSY):
            await self.chat(SAYS, kind)
        until = time.monotonic() + 5
        while time.monotonic() < until:
            if any(key == stream for key, _, _ in await self.desk.in_hands()):
                return True
            await asyncio.sleep(0.005)
        return False

    async def destroy(self, stream: str, group: str) -> None:
        self.landed += await self.busy(stream) if stream != streams.LISTEN.key() else 0
        await self.desk.bus.work.xgroup_destroy(stream, group)
        await self.heal(f"{group} of {stream} was destroyed", "room" if stream == SHOW else "chat")

    async def flush(self) -> None:
        self.landed += await self.busy(CALL)
        work: Any = self.desk.bus.work
        await work.flushall()
        await work.script_flush()
        await self.heal("all was flushed", "chat")
        if missing := await self.without():
            self.problems.append(f"after a flush nobody made the group of {missing}")

    async def heal(self, what: str, kind: str) -> None:
        """Wait until a new chat is heard whole and everybody is ready; or until who cannot go on has ended and says so."""
        began, deaths = time.monotonic(), self.deaths()
        for number in range(100):
            say = PROBE.format(n=number)
            ear = self.desk.ear(await self.chat(say, kind))
            if await ear.until(lambda ear=ear: bool(ear.closed), 1.0) and not wrong(ear.lines, say, ear.session):
                break
            if time.monotonic() - began > PATIENCE_S:
                self.problems.append(f"{what}: nobody answers for {PATIENCE_S:.0f} s")
                return
        await self.stack.ready()
        took = int((time.monotonic() - began) * 1_000)
        ended = self.deaths() - deaths
        self.gave_up += ended > 0
        self.healed_ms.append(took)
        if took > LIMIT_MS:
            self.problems.append(f"{what}: healed after {took} ms, {ended} processes ended")

    def deaths(self) -> int:
        """Processes that ended so far; one that ends with 0 says that all is well, and is wrong."""
        codes = [code for worker in self.stack.workers.values() for code in worker.deaths]
        if 0 in codes:
            self.problems.append("a process ended with code 0")
        return len(codes)

    async def without(self) -> str:
        """Streams whose group nobody made again though somebody reads them."""
        work: Any = self.desk.bus.work
        until = time.monotonic() + LIMIT_MS / 1_000
        lacking: list[str] = [key for key, _ in GROUPS]
        while lacking and time.monotonic() < until:
            lacking = [key for key in lacking if not await groups(work, key)]
            await asyncio.sleep(0.1)
        return ", ".join(lacking)

    async def leave(self) -> None:
        """Listen to nobody."""
        for name in self.chats:
            await self.desk.dismiss(name)
        self.chats.clear()


async def groups(work: Any, key: str) -> int:
    return len(await work.xinfo_groups(key)) if await work.exists(key) else 0


async def play(siege: Siege, setup: Setup) -> None:
    """Every group, and a flush, in an order that the seed draws."""
    dice, rounds = random.Random(setup.seed), 1 if setup.short else 3
    for _ in range(rounds):
        faults: list[tuple[str, str] | None] = [*GROUPS, None]
        dice.shuffle(faults)
        for fault in faults:
            await (siege.destroy(*fault) if fault else siege.flush())
            await siege.leave()
            if siege.problems:
                return


async def run(setup: Setup) -> Outcome:
    """Destroy, flush, see what becomes of it."""
    async with (
        Stack(setup.folder, config(pace=0.01), setup.broker, setup.sabotage) as stack,
        stack.bus() as bus,
        desk_of(bus) as desk,
    ):
        for service in ("llm", "tts", "ingest", "gateway", "asr"):
            await stack.start(service, {"TTS_WORKERS": "4"})
        await stack.ready()
        siege = Siege(stack, desk)
        await play(siege, setup)
    slowest = max(siege.healed_ms, default=0)
    figure = (
        f"{len(siege.healed_ms)} groups destroyed or brokers flushed, {siege.landed} of them under a job: "
        f"healed after {slowest} ms at most, {siege.gave_up} by a process that ended and was started again"
    )
    numbers = {"faults": len(siege.healed_ms), "healed_ms": slowest, "gave_up": siege.gave_up}
    return Outcome(figure, siege.landed, 3 if setup.short else 9, tuple(siege.problems), numbers)


PROGRAM = Program(
    "R9",
    "group destroyed, FLUSHALL: healed or exited non-zero with readiness false in at most 5 s",
    "XGROUP DESTROY, FLUSHALL, SCRIPT FLUSH",
    run,
    ("no_heal",),
)
