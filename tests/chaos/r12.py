"""R12: a message that kills every worker that speaks it is given up after three; a hundred others do not notice."""

import asyncio
import time
from typing import Any, cast

from services.contract import streams
from services.contract.llm import SentenceReady
from services.runtime import envelope
from services.runtime.bus import Bus
from tests.chaos.audience import config, messages, show, super_chat
from tests.chaos.program import Outcome, Program, Setup
from tests.chaos.stack import Stack

ROOMS = 10
LIMIT_S = 20.0
STRIKES = 3
POISON = "poison"
EXIT = 86


async def run(setup: Setup) -> Outcome:
    """A poisoned message among the first of a hundred and one; its workers end themselves when they speak it."""
    each, rooms = (4 if setup.short else 10), [f"room{number}" for number in range(ROOMS)]
    async with Stack(setup.folder, config(ROOMS, pace=0.012), setup.broker, setup.sabotage) as stack:
        for service in ("ingest", "llm"):
            await stack.start(service)
        for _ in range(2):
            await stack.start("tts", {"TTS_WORKERS": "6"}, POISON)
        await stack.ready()
        async with show(stack, rooms) as audience:
            samples: dict[str, int] = {}
            for sent, event in enumerate(messages(rooms, each, samples)):
                await audience.send(event)
                if sent == len(rooms):
                    await audience.send(super_chat(event.room, POISON, POISON))
            dead_s = await first_dead(stack, audience.bus)
            ended = await audience.settled(120)
            found = await audience.evidence(samples, may_fail=True, ordered=False)
            judgement = await audience.judged(samples, may_fail=True, ordered=False)
            dead = await cast("Any", audience.bus.work).xrange(streams.DEAD)
    killed = sum(code == EXIT for worker in stack.workers.values() for code in worker.deaths)
    rows = {id_: row for room in found.rows.values() for id_, row in room.items()}
    failed = [id_ for id_, row in rows.items() if row.state == "failed"]
    buried = [SentenceReady.from_json(envelope.body(fields[b"was:__data__"])).text for _, fields in dead]
    wrong = [*judgement.problems]
    wrong += [] if ended else ["not settled in time"]
    wrong += [f"{failed} failed"] if failed != [f"api:super_chat:{POISON}"] else []
    wrong += [f"buried: {buried}"] if set(buried) != {POISON} else []
    wrong += [f"it was given up after {dead_s:.1f} s"] if dead_s > LIMIT_S else []
    wrong += [f"{killed} workers died of {len(buried)} letters"] if killed != STRIKES * len(buried) else []
    figure = (
        f"given up after {dead_s:.1f} s, {killed} workers killed by {len(buried)} dead letters (it is asked for twice); "
        f"{judgement.counts['spoken']} of {len(samples)} others spoken to their end"
    )
    return Outcome(figure, killed, STRIKES, tuple(wrong), judgement.counts)


async def first_dead(stack: Stack, bus: Bus) -> float:
    """Seconds from the first death to the first dead letter; for ever if there is none."""
    began, until = 0.0, time.monotonic() + 60
    while time.monotonic() < until:
        if not began and any(worker.deaths for worker in stack.of("tts")):
            began = time.monotonic()
        if began and await cast("Any", bus.work).xlen(streams.DEAD):
            return time.monotonic() - began
        await asyncio.sleep(0.02)
    return float("inf")


PROGRAM = Program(
    "R12",
    "a message that kills its worker is dead-lettered after 3 deliveries ≤ 20 s; the other 100 are unharmed",
    "os._exit in a handler",
    run,
    ("no_strikes", "no_reclaim"),
)
