"""R18: an interrupt silences at once, and what is answered next is right: for readers of a session, and over HTTP."""

import asyncio
import json
import random
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any

import httpx2

from services.contract.ingest import TurnRequested
from services.contract.streams import SESSION
from services.runtime.clock import now_ms
from services.runtime.timeline import Timeline
from services.runtime.work import Work
from tests.chaos.ear import Deaf, Ear
from tests.chaos.program import Outcome, Program, Setup
from tests.chaos.scenes import Desk, config, desk_of, order, wrong
from tests.chaos.stack import Stack

AT_ONCE = 4
SILENT_MS = 200
"""After an interrupt nothing of the old epoch is heard for longer."""
PACE = 0.012
"""Seconds for each 20 ms of sound: a sentence is spoken for about a second."""
LONG = "This is a long sentence, number {n}. It is followed by another one, and a third. This is the third of {n}."
PATIENCE_S = 30.0


@dataclass
class Tally:
    """What came of the interrupts."""

    landed: int = 0
    """Hit the turn while it was spoken."""
    silent_ms: list[int] = field(default_factory=list[int])
    """From each interrupt to the last sound that was heard of what it ended."""
    wasted_ms: list[int] = field(default_factory=list[int])
    """To the last sound that was made of it, heard or not."""
    problems: list[str] = field(default_factory=list[str])


@dataclass
class Stage:
    """Where it is played."""

    desk: Desk
    base: str
    dice: random.Random
    deaf: bool
    tally: Tally = field(default_factory=Tally)

    def ear(self, session: str) -> Ear:
        return self.desk.ear(session, Ear(session, Deaf() if self.deaf else Timeline()))

    async def silence(self, ear: Ear, turn: str, at_ms: int, *, late: bool = False) -> None:
        """Note when the turn was last heard; it has to be over by now, and is watched for a moment.

        `late`: the ear came after the interrupt; for one that was there, what it heard counts when it was written.
        """
        await asyncio.sleep(2 * SILENT_MS / 1_000)
        written = max((line.at_ms for line in ear.lines if line.turn == turn), default=0)
        self.tally.silent_ms.append(max(0, (written if late else ear.heard_ms.get(turn, 0)) - at_ms))
        self.tally.wasted_ms.append(max(0, ear.sounds.get(turn, 0) - at_ms))
        if self.tally.silent_ms[-1] > SILENT_MS:
            self.tally.problems.append(f"{turn} was heard for {self.tally.silent_ms[-1]} ms after its interrupt")


async def interrupt_readers(stage: Stage, session: str, times: int) -> None:
    """A session whose turns are interrupted, each followed by one that is heard to its end."""
    desk, ear, work = stage.desk, stage.ear(session), Work(stage.desk.bus.work)
    epoch = 0
    for number in range(times):
        turn = order(session, 2 * number + 1, epoch, LONG.format(n=number))
        await desk.gate.ask(turn)
        await ear.until(lambda turn=turn: turn.turn in ear.heard_ms, PATIENCE_S)
        await asyncio.sleep(stage.dice.uniform(0, 0.5))
        stage.tally.landed += turn.turn not in ear.closed
        at_ms = now_ms()
        epoch = await desk.sessions.interrupt(work, session, "test")
        say = f"right answer {number}."
        then = order(session, 2 * number + 2, epoch, say)
        await desk.gate.ask(then)
        await stage.silence(ear, turn.turn, at_ms)
        if not await ear.until(lambda then=then: then.turn in ear.closed, PATIENCE_S):
            stage.tally.problems.append(f"{then.turn} was not heard to its end")
            return
        stage.tally.problems += wrong([line for line in ear.lines if line.turn == then.turn], say, then.turn)


async def lines(answer: httpx2.Response) -> AsyncGenerator[dict[str, str | bool | None]]:
    """What the chat's stream says, line by line."""
    async for line in answer.aiter_lines():
        if line.startswith("data: "):
            yield json.loads(line.removeprefix("data: "))


async def ask(client: httpx2.AsyncClient, stage: Stage, text: str, *, leave: bool) -> list[str]:
    """Have something answered; the texts of its pieces, the whole answer last. `leave`: after the first piece."""
    said: list[str] = []
    body = {"msg": [{"role": "user", "content": text}]}
    async with client.stream("POST", f"{stage.base}/api/chat", json=body) as answer, aclosing(lines(answer)) as told:
        async for line in told:
            said.append(str(line["message"]))
            if leave:
                await asyncio.sleep(stage.dice.uniform(0, 0.3))
                break
    return said


async def session_of(desk: Desk, text: str) -> tuple[str, str]:
    """Session and turn of the chat in which that was asked."""
    live: Any = desk.bus.lives[0]
    async for key in live.scan_iter(match=f"{SESSION.of('chat-')}*", count=1_000):
        name = str(key.decode()).removeprefix(SESSION.of(""))
        if name in desk.ears:
            continue
        for item in await desk.sessions.range(name):
            if isinstance(item.message, TurnRequested) and item.message.ask == text:
                return name, item.message.turn
    raise LookupError(text)


async def interrupt_callers(stage: Stage, name: str, times: int) -> None:
    """A client of the chat that leaves in the middle of an answer and asks for another."""
    async with httpx2.AsyncClient(timeout=PATIENCE_S) as client:
        for number in range(times):
            mark = f"{name} {number}"
            text = LONG.format(n=mark)
            if len(await ask(client, stage, text, leave=True)) != 1:
                stage.tally.problems.append(f"{mark}: no piece came")
            at_ms = now_ms()
            session, turn = await session_of(stage.desk, text)
            ear = stage.ear(session)
            say = f"right answer {mark}."
            said = await ask(client, stage, say, leave=False)
            await stage.silence(ear, turn, at_ms, late=True)
            stage.tally.landed += turn not in ear.closed and bool(ear.interrupts)
            await stage.desk.dismiss(session)
            if "".join(said[:-1]).strip() != say or say not in said[-1]:
                stage.tally.problems.append(f"{mark}: the next answer was {said}")


async def run(setup: Setup) -> Outcome:
    """Interrupt readers, then callers."""
    each = 5 if setup.short else 25
    scene = config(pace=PACE)
    async with (
        Stack(setup.folder, scene, setup.broker, setup.sabotage) as stack,
        stack.bus() as bus,
        desk_of(bus) as desk,
    ):
        await stack.start("llm", {"LLM_WORKERS": "8"}, "parrot")
        for _ in range(2):
            await stack.start("tts", {"TTS_WORKERS": "8"})
        gateway = await stack.start("gateway")
        await stack.ready()
        stage = Stage(desk, stack.base(gateway), random.Random(setup.seed), setup.sabotage == "no_epoch")
        for part in (interrupt_readers, interrupt_callers):
            await asyncio.gather(*(part(stage, f"{part.__name__}{at}", each) for at in range(AT_ONCE)))
    tally, total = stage.tally, 2 * AT_ONCE * each
    silent, wasted = max(tally.silent_ms, default=0), max(tally.wasted_ms, default=0)
    figure = (
        f"{tally.landed} interrupts in mid-speech: silent after {silent} ms at most, workers stopped after {wasted} ms"
    )
    numbers = {"interrupts": tally.landed, "silent_ms": silent, "wasted_ms": wasted}
    return Outcome(figure, tally.landed, total * 9 // 10, tuple(tally.problems), numbers)


PROGRAM = Program(
    "R18",
    "200 interrupts in mid-speech: nothing of the old epoch heard after 200 ms, the next answer right",
    "interrupts of sessions, callers that leave",
    run,
    ("no_epoch",),
)
