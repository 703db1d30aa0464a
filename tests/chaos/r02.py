"""R2: a thousand paid messages while ingest with its directors, llm and the gateway are killed twenty times each."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

import httpx2

from services.llm.core import replies
from tests.chaos.audience import Audience, config, show
from tests.chaos.checker import Judgement
from tests.chaos.killer import directors, thinkers
from tests.chaos.program import Outcome, Program, Setup
from tests.chaos.stack import Stack, Worker

ROOMS = 10
ASK = "早上好{}"
"""The scripted answers are one or two short sentences."""
MOST = 2


async def run(setup: Setup) -> Outcome:
    """Post through the gateway's door, kill whoever works at it, wait for the end, judge."""
    each, kills = (10, 3) if setup.short else (100, 20)
    rooms = [f"room{number}" for number in range(ROOMS)]
    made = config(ROOMS, ask="{message}", say="{gpt}", language="zh")
    async with Stack(setup.folder, made, setup.broker, setup.sabotage) as stack:
        for service in ("ingest", "ingest", "llm", "llm", "tts", "gateway"):
            await stack.start(service, {"TTS_WORKERS": "6"})
        await stack.ready()
        async with show(stack, rooms) as audience, httpx2.AsyncClient(timeout=20) as client:
            hunters = [directors(audience.bus, rooms), thinkers(audience.bus)]
            sending = [asyncio.create_task(post(audience, client, room, each)) for room in rooms]
            siege = Siege(audience)
            hunts = [
                asyncio.create_task(hunters[0].hunt(stack.of("ingest"), kills, 5.0)),
                asyncio.create_task(hunters[1].hunt(stack.of("llm"), kills, 3.0)),
                asyncio.create_task(siege.hunt(stack.of("gateway")[0], kills)),
            ]
            await asyncio.gather(*sending)
            ended = await audience.settled(200)
            for hunt in hunts:
                hunt.cancel()
            await asyncio.gather(*hunts, return_exceptions=True)
            judgement = await audience.judged(texts=answers(audience))
    landed = [*(hunter.landed for hunter in hunters), siege.landed]
    worst = max(*(hunter.worst for hunter in hunters), *audience.broken.values())
    return told(judgement, landed, worst, ended=ended, kills=kills)


async def post(audience: Audience, client: httpx2.AsyncClient, room: str, each: int) -> None:
    """One viewer of one room: a message as soon as the last was taken, at the pace at which they are answered."""
    base = audience.stack.base(audience.stack.of("gateway")[0])
    for number in range(each):
        await audience.post(client, base, room, f"{room}-{number}", ASK.format(number))
        await asyncio.sleep(0.9)


@dataclass
class Siege:
    """Kills the gateway while a request is with it; no message's thrice."""

    audience: Audience
    landed: int = 0
    """Kills that broke a request."""

    async def hunt(self, gateway: Worker, kills: int) -> None:
        """Until so many have landed."""
        audience = self.audience
        while self.landed < kills:
            await gateway.up.wait()
            if audience.waiting and all(audience.broken[id_] < MOST for id_ in audience.waiting):
                before = audience.broken.total()
                gateway.kill()
                await asyncio.sleep(1.0)
                self.landed += audience.broken.total() > before
            await asyncio.sleep(0.003)


def answers(audience: Audience) -> dict[str, frozenset[str]]:
    """What the scripted persona may say to each message: with or without its introduction."""
    found: dict[str, frozenset[str]] = {}
    for ids in audience.acked.values():
        for id_ in ids:
            ask = ASK.format(id_.rpartition("-")[2])
            found[id_] = frozenset(replies.reply(ask, first=first, language="zh") for first in (True, False))
    return found


def told(judgement: Judgement, landed: Sequence[int], worst: int, *, ended: bool, kills: int) -> Outcome:
    """The outcome: each service was killed that often inside a job, no message hit more than twice by one of them."""
    wrong = [*judgement.problems]
    wrong += [] if ended else ["not settled in time"]
    names = list(zip(("ingest", "llm", "gateway"), landed, strict=True))
    wrong += [f"{name} was killed {times} times of {kills}" for name, times in names if times < kills]
    wrong += [f"a message was hit {worst} times"] if worst > MOST else []
    figure = f"{judgement}; killed: {', '.join(f'{name} {times}' for name, times in names)}; worst hit {worst} times"
    return Outcome(figure, sum(landed), 3 * kills, tuple(wrong), judgement.counts)


PROGRAM = Program(
    "R2",
    "1,000 paid messages while ingest with its directors, llm and the gateway are killed 20 times each: "
    "0 lost, 0 spoken twice, 0 out of order",
    "kill -9 of ingest, llm, gateway",
    run,
    ("ack_before_commit", "no_reclaim"),
)
