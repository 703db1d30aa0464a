"""A call whose listener is killed, frozen or ended in mid-utterance, again and again: what is said is heard, once.

`python -m tests.chaos.calls 20` kills twenty times.
"""

import asyncio
import random
import sys
import tempfile
from collections import defaultdict
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

from services.contract.asr import Transcribed, VoiceBegan
from services.runtime.clock import now_ms
from services.runtime.sessions import Item
from tests.asr.caller import Caller
from tests.asr.speech import silence, speech
from tests.chaos.stack import Stack, Worker

SESSION = "call-chaos"
LIMIT_MS = 4_000
TEXT = "hello there my good old friend how is the weather in the far away city today"
CONFIG = {"asr": {"end_of_turn_ms": 500, "adaptive": False}}
FAULTS = ("kill", "freeze", "end")


@dataclass
class Wound:
    """One utterance whose listener was lost."""

    kind: str
    ms: int
    start: int
    until: int
    """Where it was spoken, in samples."""
    back_ms: int = 0
    """How long until somebody said anything on the session again."""


@dataclass
class Ward:
    """What happened in a run."""

    wounds: list[Wound] = field(default_factory=list[Wound])
    problems: list[str] = field(default_factory=list[str])
    repeated: int = 0
    """Utterances that were told more than once, under one name."""

    @property
    def worst_ms(self) -> int:
        """The longest that a killed worker's call was deaf."""
        return max((wound.back_ms for wound in self.wounds if wound.kind == "kill"), default=0)

    def __str__(self) -> str:
        waits = {kind: sorted(one.back_ms for one in self.wounds if one.kind == kind) for kind in FAULTS}
        told = ", ".join(
            f"{kind} {len(ms)}: {ms[len(ms) // 2]} ms, at worst {ms[-1]} ms" for kind, ms in waits.items() if ms
        )
        return f"{told}; {self.repeated} told twice under one name; {'; '.join(self.problems) or 'nothing lost, nothing doubled'}"


async def run(folder: Path, faults: list[str], seed: int = 1) -> Ward:
    """Say a sentence for each fault, which hits whoever listens in the middle of it."""
    ward, chance, said = Ward(), random.Random(seed), await speech(TEXT)
    async with Stack(folder, CONFIG) as stack:
        for _ in range(2):
            await stack.start("asr")
        await stack.ready()
        async with stack.bus() as bus:
            caller = Caller(bus, SESSION)
            caring = asyncio.create_task(caller.care())
            try:
                for kind in faults:
                    await strike(stack, caller, said, kind, chance, ward)
            finally:
                caring.cancel()
                await asyncio.gather(caring, return_exceptions=True)
            judge(await caller.told(), ward)
    return ward


async def strike(stack: Stack, caller: Caller, said: bytes, kind: str, chance: random.Random, ward: Ward) -> None:
    """One sentence, one fault; returns when the sentence has its text."""
    await caller.say(silence(400))
    owner = (await caller.listened()).decode()
    victim = next(worker for worker in stack.of("asr") if worker.owns(owner))
    start, count = caller.at, len({one.utterance for one in await caller.began()})
    speaking = asyncio.create_task(caller.say(said + silence(1_500)))
    await caller.until(lambda told: len({one.utterance for one in told if isinstance(one, VoiceBegan)}) > count)
    await asyncio.sleep(chance.uniform(0.1, 1.2))
    wound = Wound(kind, now_ms(), start, start + len(said) // 2)
    ended = asyncio.create_task(fault(stack, victim, kind))
    await speaking
    async with asyncio.timeout(30):
        while not [one for one in await caller.finals() if one.until_sample >= wound.until]:
            await asyncio.sleep(0.05)
    if kind == "freeze":
        victim.resume()
    await ended
    again = [item.ms for item in await caller.told() if item.ms > wound.ms + 100]
    wound.back_ms = again[0] - wound.ms
    ward.wounds.append(wound)


async def fault(stack: Stack, victim: Worker, kind: str) -> None:
    if kind == "kill":
        victim.kill()
    elif kind == "freeze":
        victim.pause()
    else:
        await stack.terminate(victim, again=True)


def judge(items: list[Item], ward: Ward) -> None:
    """Each sentence has one name and a text; no two names share a sample; nobody was deaf for too long."""
    told: dict[str, list[Transcribed]] = defaultdict(list)
    for item in items:
        if isinstance(item.message, Transcribed) and item.message.final:
            told[item.message.utterance].append(item.message)
    ward.repeated = sum(len(finals) > 1 for finals in told.values())
    spans = sorted(
        (int(name.rpartition("-")[2]), finals[0].until_sample) for name, finals in told.items() if finals[0].text
    )
    for wound in ward.wounds:
        heard = [span for span in spans if span[0] < wound.until and span[1] > wound.start]
        if len(heard) != 1 or heard[0][0] > wound.start + 1_600 or heard[0][1] < wound.until:
            ward.problems.append(f"{wound.kind}: said {wound.start} to {wound.until}, heard {heard}")
    ward.problems += [f"{one} and {other} overlap" for one, other in pairwise(spans) if one[1] > other[0]]
    if ward.worst_ms > LIMIT_MS:
        ward.problems.append(f"a call was deaf for {ward.worst_ms} ms after a kill")


def main() -> None:
    """As many kills as the command line says."""
    with tempfile.TemporaryDirectory() as folder:
        ward = asyncio.run(run(Path(folder), ["kill"] * int(sys.argv[1])))
    sys.stdout.write(f"{ward}\n")
    sys.exit(bool(ward.problems))


if __name__ == "__main__":
    main()
