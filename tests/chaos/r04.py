"""R4: workers of tts and llm that are frozen for ten seconds inside a job, and wake up, emit nothing twice."""

import asyncio
from dataclasses import dataclass, field

from services.contract.tts import SpeechChunk, SpeechEnded, SpeechStarted
from services.runtime.clock import now_ms
from services.runtime.sessions import Item
from tests.chaos.audience import Audience, config, length, show, super_chat
from tests.chaos.killer import Killer, speakers, thinkers
from tests.chaos.program import Outcome, Program, Setup
from tests.chaos.stack import Stack, Worker

ROOMS = 2
"""In its short form one: a worker that speaks for another room takes over only when it has ended, perhaps too late."""
FROZEN_S = 10.0
GRACE_MS = 300
"""What was on its way when the worker was frozen may still arrive when it wakes up."""
TEXT = "the old captain told us of the long way around the cold cape and of ice and of the whales of the south and of home {}"
PACE_S = 0.02
"""Sound is made as fast as it is heard, so that the next worker is still at it when the first wakes up.

So slow a voice may be late where it has to begin again: such a sentence is skipped, visibly."""


@dataclass
class Witness:
    """Notes what is said by attempts that are over: a later one has begun."""

    attempts: dict[str, int] = field(default_factory=dict[str, int])
    woken_ms: list[int] = field(default_factory=list[int])
    ghosts: int = 0
    """Entries of an attempt that was over, later than a moment after a worker woke up."""

    def watch(self, _room: str, item: Item) -> None:
        """The next entry of a session."""
        message = item.message
        if isinstance(message, SpeechStarted | SpeechChunk | SpeechEnded):
            name = f"{message.turn}/{message.index}"
            newest = self.attempts[name] = max(self.attempts.get(name, 0), message.attempt)
            woken = [ms for ms in self.woken_ms if ms <= item.ms]
            self.ghosts += message.attempt < newest and bool(woken) and item.ms > woken[-1] + GRACE_MS


async def run(setup: Setup) -> Outcome:
    """Long sentences in two rooms; freeze one worker of each kind inside a job, wake it, look what it says."""
    rounds = 1 if setup.short else 5
    rooms = [f"room{number}" for number in range(1 if setup.short else ROOMS)]
    made = config(len(rooms), ask="hello", say="{message} {gpt}", pace=PACE_S)
    async with Stack(setup.folder, made, setup.broker, setup.sabotage) as stack:
        for service in ("ingest", "llm", "llm", "tts", "tts"):
            await stack.start(service, {"TTS_WORKERS": "6"})
        await stack.ready()
        async with show(stack, rooms) as audience:
            witness = Witness()
            audience.watchers.append(witness.watch)
            number, ended = 0, True
            for _ in range(rounds):
                for at, room in enumerate(rooms):
                    number += 1
                    await audience.send(super_chat(room, f"{at}-{number}", TEXT.format(number)))
                await freeze(stack, audience, witness)
                ended &= await audience.settled(60)
            rows = (await audience.evidence()).rows
            judgement = await audience.judged()
            said = [said for ear in audience.ears.values() for said in ear.said]
            late = sum(one.reason == "late" for one in said)
            cut = [one for one in said if one.reason != "late" and one.samples != length(one.text)]
    frozen = len(witness.woken_ms)
    wrong = [*judgement.problems]
    wrong += [] if ended else ["not settled in time"]
    wrong += [f"{witness.ghosts} entries of attempts that were over"] if witness.ghosts else []
    wrong += [f"{len(cut)} sentences not heard to their end"] if cut else []
    wrong += [] if all(len(room) == rounds for room in rows.values()) else ["a message is missing"]
    again = sum(attempt > 1 for attempt in witness.attempts.values())
    figure = f"{judgement}; {frozen} workers frozen for 10 s, {again} sentences taken over, {witness.ghosts} emitted twice, {late} skipped as late"
    return Outcome(figure, frozen, 2 * rounds, tuple(wrong), judgement.counts)


async def freeze(stack: Stack, audience: Audience, witness: Witness) -> None:
    """One worker of tts and one of llm, each inside a job, for ten seconds."""
    frozen = [
        await caught(thinkers(audience.bus), stack.of("llm")),
        await caught(speakers(audience.bus), stack.of("tts"), 1.0),
    ]
    await asyncio.sleep(FROZEN_S)
    for worker in frozen:
        witness.woken_ms.append(now_ms())
        worker.resume()


async def caught(killer: Killer, workers: list[Worker], after_s: float = 0.0) -> Worker:
    """A worker that is frozen inside a job, which it has had for `after_s` seconds."""
    async with asyncio.timeout(60):
        while True:
            for worker in workers:
                before = await killer.held(worker)
                await asyncio.sleep(after_s if before else 0.005)
                worker.pause()
                if before and set(before) & set(await killer.held(worker)):
                    return worker
                worker.resume()


PROGRAM = Program(
    "R4",
    "a worker paused 10 s and woken emits nothing twice",
    "SIGSTOP, SIGCONT of tts and llm inside a job",
    run,
    ("no_fence", "blind_beat"),
)
