"""R14: what was paid for once is answered once, however often the platform tells of it."""

import asyncio
import random

from services.runtime.clock import now_ms
from services.runtime.law import FINAL
from tests.chaos.feed import Platform, super_chat, super_chat_id
from tests.chaos.program import Outcome, Program, Setup
from tests.chaos.scenes import Desk, config, desk_of, verdict
from tests.chaos.stack import Stack, Worker

PATIENCE_S = 60.0


class Town:
    """One platform with two listeners in one room; each frame is told to both."""

    def __init__(self, doors: tuple[Platform, Platform], desk: Desk, dice: random.Random) -> None:
        self.doors = doors
        self.desk = desk
        self.dice = dice
        self.told = dict[int, list[tuple[int, int]]]()
        """Super chat → where it was told: door, number of the frame."""

    def tell(self, numbers: list[int]) -> None:
        for number in numbers:
            frame = super_chat(number, words(number), at_ms=now_ms())
            for at, door in enumerate(self.doors):
                self.told.setdefault(number, []).append((at, door.tell(frame)))

    def taken(self, number: int) -> int:
        """How often ingest was given it."""
        return sum(self.doors[at].taken.get(n, 0) for at, n in self.told.get(number, []))

    async def connected(self) -> None:
        """Both listeners are there."""
        async with asyncio.timeout(PATIENCE_S):
            for door in self.doors:
                await door.connected.wait()

    async def all_taken(self, numbers: list[int], times: int) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while any(self.taken(number) < times for number in numbers):
                await asyncio.sleep(0.02)


def words(number: int) -> str:
    """What a super chat says; none is part of another."""
    return f"no{number}x."


async def open_cases(desk: Desk) -> int:
    """Super chats of which something is still to come."""
    return sum(row.state not in FINAL for row in (await desk.ledger()).values())


async def play(town: Town, directors: list[Worker], numbers: list[int]) -> int:
    """Tell everything eight times: two listeners, a reconnect, a replay, a restart; kills that hit an open case."""
    await town.connected()
    town.tell(numbers)
    await town.all_taken(numbers, 2)
    for door in town.doors:
        door.hang_up()
    await asyncio.sleep(0.1)
    await town.connected()
    town.tell(numbers)  # a platform repeats the newest to who comes back
    await town.all_taken(numbers, 4)
    open_ = await open_cases(town.desk)
    for worker in directors:
        worker.kill()
    await asyncio.sleep(0.5)
    await town.connected()
    town.tell(numbers)  # the restarted ones are told everything again
    await town.all_taken(numbers, 6)
    await town.desk.settled([super_chat_id(number) for number in numbers], PATIENCE_S)
    town.dice.shuffle(numbers)
    town.tell(numbers)  # a recording of it all, played when all is said
    await town.all_taken(numbers, 8)
    return open_


async def run(setup: Setup) -> Outcome:
    """Tell, kill, tell again; count the answers."""
    count = 5 if setup.short else 30
    numbers = list(range(1, count + 1))
    async with Platform() as left, Platform() as right:
        scene = config({"replay": {"path": left.path}}, {"replay": {"path": right.path}})
        async with (
            Stack(setup.folder, scene, setup.broker, setup.sabotage) as stack,
            stack.bus() as bus,
            desk_of(bus) as desk,
        ):
            await stack.start("llm")
            await stack.start("tts", {"TTS_WORKERS": "4"})
            directors = [await stack.start("ingest", None, "listen_to_feeds") for _ in range(2)]
            await stack.ready()
            town = Town((left, right), desk, random.Random(setup.seed))
            desk.ear("r")
            open_ = await play(town, directors, numbers)
            given = {number: town.taken(number) for number in numbers}
            await asyncio.sleep(3)  # an answer too many would be given now
            paid = {super_chat_id(number): words(number) for number in numbers}
            problems = await verdict(desk, paid, PATIENCE_S)
    if not open_:
        problems.append("the restart hit nobody: all was answered before it")
    most = sum(given.values())
    figure = f"{count} super chats delivered {most} times, {open_} unanswered at the restart: {len(problems)} not answered once"
    return Outcome(figure, min(given.values()), 5, tuple(problems), {"super_chats": count, "deliveries": most})


PROGRAM = Program(
    "R14",
    "one super chat delivered five times: one answer",
    "two listeners, a reconnect, a restart, a replay",
    run,
    ("no_seen",),
)
