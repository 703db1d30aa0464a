"""R17: sentences are heard in their order, however long each took to be made."""

import asyncio
import random

from services.runtime.timeline import Timeline
from tests.chaos.ear import Ear, Hasty
from tests.chaos.program import Outcome, Program, Setup
from tests.chaos.scenes import Desk, config, desk_of, order, wrong
from tests.chaos.stack import Stack

WORKERS, EACH = 4, 2
"""Processes, and sentences that each makes at once: eight workers."""
SESSIONS, PER_TURN = 10, 10
PATIENCE_S = 60.0


def words(session: int, turn: int) -> str:
    """What one turn says; no two sentences are alike."""
    return " ".join(f"s{session}t{turn}n{index} ok." for index in range(PER_TURN))


async def talk(desk: Desk, session: str, turns: int, number: int, ear: Ear) -> list[str]:
    """One session's turns, one after the other; what was wrong."""
    problems: list[str] = []
    kind = "room" if number % 2 else "chat"
    for no in range(1, turns + 1):
        say = words(number, no)
        request = order(session, no, 0, say, kind=kind)
        await desk.gate.ask(request)
        if not await ear.until(lambda turn=request.turn: turn in ear.closed, PATIENCE_S):
            return [*problems, f"{request.turn} did not end"]
        problems += wrong([line for line in ear.lines if line.turn == request.turn], say, request.turn)
    return problems


async def run(setup: Setup) -> Outcome:
    """Speak, listen, compare."""
    turns = 2 if setup.short else 10
    hasty = setup.sabotage == "no_order"
    async with Stack(setup.folder, config(), setup.broker) as stack, stack.bus() as bus, desk_of(bus) as desk:
        await stack.start("llm")
        for _ in range(WORKERS):
            await stack.start("tts", {"TTS_WORKERS": str(EACH)}, "dawdle")
        await stack.ready()
        names = [f"s{number}-{random.Random(setup.seed).randrange(1_000)}" for number in range(SESSIONS)]
        ears = {name: desk.ear(name, Ear(name, Hasty() if hasty else Timeline())) for name in names}
        told = await asyncio.gather(*(talk(desk, name, turns, at, ears[name]) for at, name in enumerate(names)))
        overtaken, inversions = sum(e.overtaken for e in ears.values()), sum(e.inversions for e in ears.values())
    total = SESSIONS * PER_TURN * turns
    problems = [problem for one in told for problem in one]
    if inversions:
        problems.insert(0, f"{inversions} inversions heard")
    figure = f"{total} sentences by 8 workers, {overtaken} made out of order, {inversions} inversions heard"
    return Outcome(figure, overtaken, total // 10, tuple(problems), {"sentences": total, "inversions": inversions})


PROGRAM = Program(
    "R17",
    "8 workers with delays of 10 to 500 ms, 1,000 sentences: 0 inversions heard",
    "sentences that take 10 to 500 ms",
    run,
    ("no_order",),
)
