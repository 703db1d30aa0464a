"""R3: the sentence of a killed worker is heard again within five seconds, and goes on where its sound stopped."""

import asyncio
import random
from dataclasses import dataclass, field

from services.contract.tts import AIR_RATE, SpeechChunk, SpeechStarted
from services.runtime.clock import now_ms
from services.runtime.sessions import Item
from tests.chaos.audience import Audience, config, length, show, super_chat
from tests.chaos.killer import Killer, speakers
from tests.chaos.program import Outcome, Program, Setup
from tests.chaos.stack import Stack

ROOMS = 3
LIMIT_MS = 5_000
TEXT = "tell us the long story of the grey sea and the small cat {}"
PACE_S = 0.002
"""Sound is made ten times as fast as it is heard."""


@dataclass
class Wound:
    """One sentence whose worker was killed."""

    killed_ms: int
    reached: int
    """Samples that listeners had."""
    back_ms: int = 0
    """When the first sample after them came."""
    begun_ms: int = 0
    """When the next attempt began."""
    from_sample: int = -1
    """Where the next attempt said that it begins."""


@dataclass
class Nurse:
    """Watches the sound of every sentence: how far it came, and when a wounded one went on."""

    reached: dict[str, int] = field(default_factory=dict[str, int])
    wounds: dict[str, Wound] = field(default_factory=dict[str, Wound])

    def watch(self, _room: str, item: Item) -> None:
        """The next entry of a session."""
        if isinstance(item.message, SpeechStarted):
            wound = self.wounds.get(f"{item.message.turn}/{item.message.index}")
            if wound and wound.from_sample < 0 and item.ms > wound.killed_ms:
                wound.from_sample, wound.begun_ms = item.message.from_sample, item.ms
        if not isinstance(item.message, SpeechChunk):
            return
        name = f"{item.message.turn}/{item.message.index}"
        upto = item.message.sample_offset + len(item.blob) // 2
        wound = self.wounds.get(name)
        if wound and item.ms <= wound.killed_ms:
            wound.reached = max(wound.reached, upto)  # it was on its way when the worker was killed
        elif wound and not wound.back_ms and upto > wound.reached:
            wound.back_ms = item.ms
        self.reached[name] = max(self.reached.get(name, 0), upto)

    def wound(self, names: list[str]) -> None:
        """Their worker was killed now."""
        for name in names:
            if name in self.reached:
                self.wounds.setdefault(name, Wound(now_ms(), self.reached[name]))


async def run(setup: Setup) -> Outcome:
    """Long sentences in three rooms; kill in the middle of one, again and again; measure the silence."""
    kills = 3 if setup.short else 20
    rooms, chance = [f"room{number}" for number in range(ROOMS)], random.Random(setup.seed)
    async with Stack(setup.folder, config(ROOMS, pace=PACE_S), setup.broker, setup.sabotage) as stack:
        for service in ("ingest", "llm", "tts", "tts"):
            await stack.start(service)
        await stack.ready()
        async with show(stack, rooms) as audience:
            nurse, killer = Nurse(), speakers(audience.bus, most=1)
            audience.watchers.append(nurse.watch)
            talk = asyncio.create_task(keep_talking(audience))
            await wound_some(stack, killer, nurse, kills, chance)
            talk.cancel()
            ended = await audience.settled(60)
            rows = (await audience.evidence()).rows
            samples = {id_: length(row.event.text) for room in rows.values() for id_, row in room.items()}
            judgement = await audience.judged(samples)
    return told(nurse, judgement.problems, judgement.counts, ended=ended, kills=kills)


async def keep_talking(audience: Audience) -> None:
    """Two messages wait in each room at any time."""
    number = 0
    while True:
        for at, room in enumerate(audience.rooms):
            if len(await audience.show.waiting(room)) < 2:
                number += 1
                await audience.send(super_chat(room, f"{at}-{number}", TEXT.format(number)))
        await asyncio.sleep(0.2)


async def wound_some(stack: Stack, killer: Killer, nurse: Nurse, kills: int, chance: random.Random) -> None:
    """Kill a worker while listeners have a second or more of a sentence that is not at its end."""
    async with asyncio.timeout(200):
        while killer.landed < kills:
            least = chance.randint(AIR_RATE, 3 * AIR_RATE)
            for worker in stack.of("tts"):
                held = await killer.held(worker)
                if any(nurse.reached.get(name, 0) >= least and not killer.hits[name] for name in held):
                    before = set(killer.hits)
                    if await killer.strike(worker):
                        nurse.wound(sorted(set(killer.hits) - before))
                        await asyncio.sleep(1.5)
            await asyncio.sleep(0.01)


def told(nurse: Nurse, problems: tuple[str, ...], counts: dict[str, int], *, ended: bool, kills: int) -> Outcome:
    """The worst silence, and whether each went on where it stopped."""
    wounds = [wound for wound in nurse.wounds.values() if wound.reached]
    waits = [wound.back_ms - wound.killed_ms for wound in wounds if wound.back_ms]
    wrong = [*problems]
    wrong += [] if ended else ["not settled in time"]
    wrong += [f"{len(wounds) - len(waits)} never went on"] if len(waits) < len(wounds) else []
    wrong += [f"one went on after {max(waits)} ms"] if max(waits, default=0) > LIMIT_MS else []
    elsewhere = sum(wound.from_sample != wound.reached for wound in wounds)
    wrong += [f"{elsewhere} did not go on where they stopped"] if elsewhere else []
    slowest = max(wounds, key=lambda wound: wound.back_ms - wound.killed_ms, default=Wound(0, 0))
    taken_ms = max(0, slowest.begun_ms - slowest.killed_ms)
    waits.sort()
    middle = waits[len(waits) // 2] if waits else 0
    figure = (
        f"{max(0, len(waits) - elsewhere)} of {len(wounds)} sentences cut off in mid-sound went on at the very sample, "
        f"after {middle} ms (median), {max(waits, default=0)} ms (worst; taken up after {taken_ms} ms)"
    )
    return Outcome(figure, len(wounds), kills, tuple(wrong), {**counts, "worst_ms": max(waits, default=0)})


PROGRAM = Program(
    "R3",
    "a killed worker's sentence is heard ≤ 5 s later, and goes on where the sound stopped",
    "kill -9 of tts in mid-sentence",
    run,
    ("no_reclaim", "ack_before_commit"),
)
