"""R1: a thousand paid messages in ten rooms, workers of tts killed a hundred times inside a sentence."""

import asyncio

from tests.chaos.audience import config, messages, show
from tests.chaos.killer import speakers
from tests.chaos.program import Outcome, Program, Setup
from tests.chaos.stack import Stack

ROOMS = 10
PACE_S = 0.012
"""A sentence of one second takes 0.6."""


async def run(setup: Setup) -> Outcome:
    """Send all, kill while they are spoken, wait for the end, judge."""
    each, kills, every_s = (8, 10, 0.5) if setup.short else (100, 100, 0.9)
    rooms = [f"room{number}" for number in range(ROOMS)]
    async with Stack(setup.folder, config(ROOMS, pace=PACE_S), setup.broker, setup.sabotage) as stack:
        for service, env in (("ingest", {}), ("llm", {}), ("tts", {"TTS_WORKERS": "6"}), ("tts", {"TTS_WORKERS": "6"})):
            await stack.start(service, env)
        await stack.ready()
        async with show(stack, rooms) as audience:
            samples: dict[str, int] = {}
            for event in messages(rooms, each, samples):
                await audience.send(event)
            killer = speakers(audience.bus, most=1)  # twice, and on a loaded machine it comes too late to be heard
            hunt = asyncio.create_task(killer.hunt(stack.of("tts"), kills, every_s))
            ended = await audience.settled(215)
            hunt.cancel()
            judgement = await audience.judged(samples)
    figure = f"{judgement}; tts killed {killer.landed} times, no sentence more than {killer.worst} times"
    late = () if ended else ("not settled in time",)
    worst = (f"a sentence was hit {killer.worst} times",) if killer.worst > killer.most else ()
    return Outcome(figure, killer.landed, kills, (*judgement.problems, *late, *worst), judgement.counts)


PROGRAM = Program(
    "R1",
    "1,000 paid messages in 10 sessions, a TTS worker killed 100 times: 0 lost, 0 spoken twice, 0 out of order",
    "kill -9 of tts",
    run,
    ("ack_before_commit", "no_reclaim"),
)
