"""R15: after anything at all, the ledger alone: received paid = spoken + failed visibly + withdrawn visibly."""

import asyncio
import random

import httpx2

from services.contract.ingest import Kind, Lane, LiveEvent
from services.runtime.clock import now_ms
from services.runtime.work import Work
from tests.chaos.audience import Audience, config, show, super_chat
from tests.chaos.checker import Judgement
from tests.chaos.killer import Killer, directors, speakers, thinkers
from tests.chaos.program import Outcome, Program, Setup
from tests.chaos.stack import Stack

ROOMS = 8


async def run(setup: Setup) -> Outcome:
    """Purchases, duplicates, withdrawals, gifts in a row, interrupts; every service and both brokers die at random."""
    each, faults = (10, 8) if setup.short else (60, 60)
    rooms, chance = [f"room{number}" for number in range(ROOMS)], random.Random(setup.seed)
    async with Stack(setup.folder, config(ROOMS, pace=0.005), setup.broker, setup.sabotage) as stack:
        for service in ("ingest", "ingest", "llm", "llm", "tts", "tts", "gateway"):
            await stack.start(service, {"TTS_WORKERS": "4"})
        await stack.ready()
        async with show(stack, rooms) as audience, httpx2.AsyncClient(timeout=20) as client:
            crowds = [
                asyncio.create_task(crowd(audience, client, room, each, random.Random(chance.random())))
                for room in rooms
            ]
            havoc = Havoc(stack, audience, chance)
            await havoc.wreak(faults)
            await asyncio.gather(*crowds)
            ended = await audience.settled(150)
            judgement = await audience.judged(may_fail=True, ordered=False)
    wrong = law_alone(judgement) + ([] if ended else ["not settled in time"])
    figure = f"{judgement}; {havoc.told()}"
    return Outcome(figure, havoc.landed, faults * 2 // 3, tuple(wrong), judgement.counts)


def law_alone(judgement: Judgement) -> list[str]:
    """What is wrong by the ledger: sound that a killed live broker took with it is told there, not here."""
    heard = ("heard", "sounds that do not", "out of order", "out of the order")
    return [problem for problem in judgement.problems if not any(words in problem for words in heard)]


async def crowd(audience: Audience, client: httpx2.AsyncClient, room: str, each: int, chance: random.Random) -> None:
    """What a room's viewers do, every other one of them by the gateway's door."""
    base = audience.stack.base(audience.stack.of("gateway")[0])
    for number in range(each):
        await asyncio.sleep(chance.uniform(0.3, 1.5))
        if number % 2:
            await audience.post(client, base, room, f"{room}-{number}", f"a{number}.")
            continue
        event = super_chat(room, f"{room}-{number}", f"a{number}.", chance.choice((3_000, 5_000, 10_000)))
        if chance.random() < 0.2:
            event = event.model_copy(update={"kind": Kind.GIFT, "gift": "rose", "combo": f"{room}-{number // 10}"})
        await audience.send(event)
        if chance.random() < 0.2:
            await audience.send(event)
        if chance.random() < 0.1:
            await audience.withdraw(withdrawal(event))


def withdrawal(event: LiveEvent) -> LiveEvent:
    """The platform takes it back."""
    taken = {"id": f"{event.id}:back", "kind": Kind.WITHDRAWAL, "withdraws": (event.id,), "text": "", "amount_fen": 0}
    return event.model_copy(update={**taken, "lane": Lane.PAID, "at_ms": now_ms()})


class Havoc:
    """Kills and freezes whatever runs, in an order that the seed decides."""

    def __init__(self, stack: Stack, audience: Audience, chance: random.Random) -> None:
        self._stack, self._audience, self._chance = stack, audience, chance
        bus = audience.bus
        killers = (("ingest", directors(bus, audience.rooms)), ("llm", thinkers(bus)), ("tts", speakers(bus)))
        self._killers: dict[str, Killer] = dict(killers)
        self._other = {"work": 0, "live": 0, "gateway": 0, "interrupt": 0, "freeze": 0}

    async def wreak(self, faults: int) -> None:
        """So many, one after the other."""
        kinds = ("tts", "tts", "llm", "llm", "ingest", "work", "live", "gateway", "gateway", "interrupt", "freeze")
        for _ in range(faults):
            kind = self._chance.choice(kinds)
            if kind in self._killers:
                killer = self._killers[kind]
                hunt = killer.hunt(self._stack.of(kind), 1, 0.0)
                try:
                    await asyncio.wait_for(hunt, 5)
                except TimeoutError:
                    continue
            else:
                self._other[kind] += 1
                await self._do(kind)
            await asyncio.sleep(self._chance.uniform(0.3, 1.5))

    async def _do(self, kind: str) -> None:
        stack, audience = self._stack, self._audience
        match kind:
            case "work" | "live":
                await stack.kill_broker(stack.work if kind == "work" else stack.live)
            case "gateway":
                await stack.of("gateway")[0].up.wait()
                stack.of("gateway")[0].kill()
            case "freeze":
                worker = self._chance.choice(stack.of("tts"))
                await worker.up.wait()
                worker.pause()
                await asyncio.sleep(5)
                worker.resume()
            case _:
                room = self._chance.choice(audience.rooms)
                await audience.sessions.interrupt(Work(audience.bus.work), room, "havoc")

    @property
    def landed(self) -> int:
        """Kills inside a job, and what always hits: brokers, interrupts, freezes."""
        return sum(killer.landed for killer in self._killers.values()) + sum(self._other.values())

    def told(self) -> str:
        """What was done."""
        kills = {name: killer.landed for name, killer in self._killers.items()} | self._other
        return ", ".join(f"{name} {times}" for name, times in kills.items())


PROGRAM = Program(
    "R15",
    "after every run: received paid = spoken + failed visibly + withdrawn visibly; nothing pending",
    "the ledger alone, after kills of everything, interrupts and withdrawals",
    run,
    ("ack_before_commit",),
    ("ack_before_commit",),
)
