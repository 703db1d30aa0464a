"""R24: every process of a show is restarted under load, one after the other: nothing paid for is lost or doubled."""

import asyncio
import random
import signal
import time
from collections import Counter
from dataclasses import dataclass, field

import httpx2

from services.runtime.law import FINAL
from tests.chaos.program import Outcome, Program, Setup
from tests.chaos.scenes import Desk, config, desk_of, post, verdict
from tests.chaos.stack import Stack, Worker

DRAIN_S = 30.0
PATIENCE_S = 60.0
EVERY_S = 0.7
CHATTERS = 3
TWICE = ("ingest", "llm", "tts", "gateway")
"""Run as two processes, so that one goes on while the other is away."""
ONCE = ("asr", "avatar")


@dataclass
class Load:
    """Who pays, and who chats."""

    desk: Desk
    gateways: dict[str, str]
    """Name of a gateway → where it answers."""
    paid: dict[str, str] = field(default_factory=dict[str, str])
    open: Counter[str] = field(default_factory=Counter[str])
    """Gateway → answers that it streams now."""
    answers: int = 0

    async def pay(self, number: int) -> None:
        """Post until it is taken, at whichever gateway; then once more, as a client does that missed the answer."""
        body = {"kind": "super_chat", "text": f"p{number}x.", "amount_fen": 3_000, "id": f"p{number}"}
        bases = list(self.gateways.values())
        at, takes = number, 0
        while takes < 2:
            takes += await asyncio.to_thread(post, bases[at % len(bases)], body)
            at += 1
        self.paid[f"api:super_chat:p{number}"] = f"p{number}x."

    async def pay_on(self) -> None:
        number = 0
        async with asyncio.TaskGroup() as group:
            while True:
                group.create_task(self.pay(number))
                number += 1
                await asyncio.sleep(EVERY_S)

    async def chat_on(self, name: str) -> None:
        """Ask for one answer after the other."""
        body = {"msg": [{"role": "user", "content": "Tell me one thing. Then another one. And a third."}]}
        async with httpx2.AsyncClient(timeout=PATIENCE_S) as client:
            while True:
                self.open[name] += 1
                try:
                    async with client.stream("POST", f"{self.gateways[name]}/api/chat", json=body) as answer:
                        async for line in answer.aiter_lines():
                            self.answers += '"done": true' in line
                except httpx2.HTTPError:
                    await asyncio.sleep(0.2)
                finally:
                    self.open[name] -= 1

    async def busy(self, worker: Worker) -> bool:
        """Whether the worker is inside a job now."""
        if worker.service in {"llm", "tts"}:
            return any(worker.owns(consumer) for _, _, consumer in await self.desk.in_hands())
        if worker.service == "gateway":
            return self.open[worker.name] > 0
        rows = await self.desk.ledger()
        return worker.service == "ingest" and any(row.state not in FINAL for row in rows.values())


@dataclass
class Roll:
    """What the restarts showed."""

    landed: int = 0
    slowest_s: float = 0
    codes: dict[str, int] = field(default_factory=dict[str, int])
    problems: list[str] = field(default_factory=list[str])


async def restart(stack: Stack, load: Load, worker: Worker, roll: Roll) -> None:
    """SIGTERM inside a job, wait for the end, start it again, wait until it is ready."""
    until = time.monotonic() + 10
    while worker.service in TWICE and time.monotonic() < until:
        worker.pause()
        if await load.busy(worker):
            roll.landed += 1
            break
        worker.resume()
        await asyncio.sleep(0.02)
    began = time.monotonic()
    stopped = asyncio.ensure_future(stack.terminate(worker, again=True))
    await asyncio.sleep(0)  # the signal is sent, and waits for the process to go on
    worker.signal(signal.SIGCONT)
    code = await stopped
    took = time.monotonic() - began
    roll.slowest_s = max(roll.slowest_s, took)
    roll.codes[worker.name] = code
    if code:
        roll.problems.append(f"{worker.name} exited {code}")
    if took > DRAIN_S:
        roll.problems.append(f"{worker.name} took {took:.1f} s to end")
    await worker.up.wait()
    await stack.ready()


async def roll_all(stack: Stack, load: Load, setup: Setup) -> Roll:
    """Every process once, in an order that the seed draws; without --short twice."""
    dice, roll = random.Random(setup.seed), Roll()
    for _ in range(1 if setup.short else 2):
        workers = list(stack.workers.values())
        dice.shuffle(workers)
        for worker in workers:
            await restart(stack, load, worker, roll)
    return roll


async def run(setup: Setup) -> Outcome:
    """Load, restart, wait for the end, judge."""
    scene = config(pace=0.01)
    async with (
        Stack(setup.folder, scene, setup.broker, setup.sabotage) as stack,
        stack.bus() as bus,
        desk_of(bus) as desk,
    ):
        for service in (*TWICE, *TWICE, *ONCE):
            await stack.start(service)
        await stack.ready()
        desk.ear("r")
        load = Load(desk, {worker.name: stack.base(worker) for worker in stack.of("gateway")})
        tasks = [asyncio.ensure_future(load.pay_on())]
        tasks += [asyncio.ensure_future(load.chat_on(name)) for name in [*load.gateways] * CHATTERS][:CHATTERS]
        try:
            roll = await roll_all(stack, load, setup)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        problems = await verdict(desk, dict(load.paid), PATIENCE_S)
    figure = (
        f"{len(roll.codes)} processes restarted, {roll.landed} inside a job, {load.answers} chats answered: "
        f"{len(load.paid)} paid, {len(problems)} lost or doubled; the slowest ended in {roll.slowest_s:.1f} s"
    )
    numbers = {"paid": len(load.paid), "restarts": roll.landed, "drain_ms": int(roll.slowest_s * 1_000)}
    needed = 6 if setup.short else 12
    return Outcome(figure, roll.landed, needed, (*roll.problems, *problems), numbers)


PROGRAM = Program(
    "R24",
    "rolling restart of every service under load: 0 paid lost or doubled; drain at most 30 s; exit 0",
    "SIGTERM",
    run,
    ("no_drain", "no_seen"),
)
