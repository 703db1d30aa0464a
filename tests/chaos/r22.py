"""R22: a gateway dies with a thousand clients on it, who all come back: each is told how things stand soon."""

import asyncio
import random
import time

from tests.chaos.pages import CALL, There, attached, many_files, stays
from tests.chaos.program import Outcome, Program, Setup
from tests.chaos.scenes import ROOM, config
from tests.chaos.stack import Stack

LIMIT_S = 10.0
CALLS = 10
"""Every so manieth client is a call."""


class Crowd:
    """Clients that come back by themselves."""

    def __init__(self, there: There, dice: random.Random) -> None:
        self._there = there
        self._dice = dice
        self.inside: set[int] = set()
        self.tries = 0
        self.came = asyncio.Condition()

    async def live(self, number: int, within_s: float) -> None:
        """Come in, stay, and come back within so many seconds after each loss."""
        path = f"{CALL}?sid=c{number}" if number % CALLS == 0 else f"/api/rooms/{ROOM}/stage"
        while True:
            await asyncio.sleep(self._dice.uniform(0, within_s))
            while True:
                self.tries += 1
                try:
                    async with attached(self._there, path) as plain:
                        await self._enter(number)
                        await stays(plain)
                        break
                except (OSError, TimeoutError, asyncio.IncompleteReadError):
                    await asyncio.sleep(self._dice.uniform(0.2, 0.6))
                finally:
                    self.inside.discard(number)

    async def _enter(self, number: int) -> None:
        async with self.came:
            self.inside.add(number)
            self.came.notify_all()

    async def all_in(self, count: int, limit_s: float) -> bool:
        """Wait until so many are in; False if they are not in time."""
        try:
            async with asyncio.timeout(limit_s), self.came:
                await self.came.wait_for(lambda: len(self.inside) == count)
        except TimeoutError:
            return False
        return True


async def run(setup: Setup) -> Outcome:
    """All come in, the gateway is killed, all come back; so several times."""
    many_files()
    count, within_s, kills = (500, 2.0, 3) if setup.short else (1_000, 5.0, 3)
    dice, problems, took = random.Random(setup.seed), list[str](), list[float]()
    async with Stack(setup.folder, config(), setup.broker, setup.sabotage) as stack:
        gateway = await stack.start("gateway")
        await stack.ready()
        crowd = Crowd(There(int(gateway.env["GATEWAY_PORT"])), dice)
        clients = [asyncio.create_task(crowd.live(number, within_s)) for number in range(count)]
        try:
            if not await crowd.all_in(count, within_s + LIMIT_S):
                problems.append(f"{len(crowd.inside)} of {count} came in at all")
            landed, tries = 0, crowd.tries
            while landed < kills and not problems:
                gateway.kill()
                began = time.monotonic()
                while crowd.inside:
                    await asyncio.sleep(0.01)
                landed += 1
                if not await crowd.all_in(count, LIMIT_S):
                    problems.append(f"{len(crowd.inside)} of {count} were back after {LIMIT_S:.0f} s")
                took.append(time.monotonic() - began)
        finally:
            for client in clients:
                client.cancel()
            await asyncio.gather(*clients, return_exceptions=True)
    figure = (
        f"{count} clients, {count // CALLS} of them calls, come back within {within_s:g} s of a kill, {landed} times: all "
        f"attached after {max(took, default=0):.1f} s at worst, by {crowd.tries - tries} attempts"
    )
    numbers = {"clients": count, "attached_ms": int(1_000 * max(took, default=0))}
    return Outcome(figure, landed, kills, tuple(problems), numbers)


PROGRAM = Program(
    "R22", "1,000 reconnects in 5 s: all attached within 10 s", "a gateway killed under 1,000 clients", run,
    ("own_reads",),
)  # fmt: skip
