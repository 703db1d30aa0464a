"""R8: both brokers are frozen for eight seconds, then the network to them is cut for ten: nothing is lost."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from services.runtime.clock import now_ms
from tests.chaos.program import Outcome, Program, Setup
from tests.chaos.proxy import CUT, Fault, Proxy, Side
from tests.chaos.scenes import Desk, config, desk_of, order, post, verdict, wrong
from tests.chaos.stack import Stack

FROZEN_S, CUT_S = 8.0, 10.0
RESUMED_MS = 3_000
BEFORE_S = 3.0
"""Of quiet running before each fault."""
CHATS = 12
SAYS = "One sentence of this chat. Then there is another one. And here is the third and last."
PATIENCE_S = 40.0
LAST_S = 10.0
"""After the last paid answer nobody waits longer for a chat."""


@dataclass
class Scene:
    """What runs, and what was found."""

    stack: Stack
    desk: Desk
    gateway: str
    wires: tuple[Proxy, Proxy]
    dice: random.Random
    paid: dict[str, str] = field(default_factory=dict[str, str])
    chats: list[str] = field(default_factory=list[str])
    landed: list[int] = field(default_factory=list[int])
    """Entries in somebody's hands when each fault began."""
    resumed_ms: list[int] = field(default_factory=list[int])
    problems: list[str] = field(default_factory=list[str])

    async def pay_on(self) -> None:
        """A paid message every 0.7 s, posted until it is taken."""
        number = 0
        async with asyncio.TaskGroup() as group:
            while True:
                group.create_task(self.pay(number))
                number += 1
                await asyncio.sleep(0.7)

    async def pay(self, number: int) -> None:
        body = {"kind": "super_chat", "text": f"p{number}x.", "amount_fen": 3_000, "id": f"p{number}"}
        while not await asyncio.to_thread(post, self.gateway, body):
            await asyncio.sleep(0.1)
        self.paid[f"api:super_chat:p{number}"] = f"p{number}x."

    async def chat(self) -> str:
        """Ask in a session of its own."""
        name = f"c{len(self.chats)}"
        self.chats.append(name)
        self.desk.ear(name)
        await self.desk.gate.ask(order(name, 1, 0, SAYS))
        return name

    async def suffer(self, begin: Callable[[], None], end: Callable[[], None], seconds: float) -> None:
        """Have many chats spoken, begin the fault in the middle of them, end it, and see when all goes on."""
        names = [await self.chat() for _ in range(CHATS)]
        first = self.desk.ear(names[0])
        await first.until(lambda: bool(first.sounds), 10)
        self.landed.append(len(await self.desk.in_hands()))
        begin()
        await asyncio.sleep(seconds)
        end()
        self.resumed_ms.append(await self.resumed(now_ms()))
        if self.resumed_ms[-1] > RESUMED_MS:
            self.problems.append(f"resumed {self.resumed_ms[-1]} ms after fault {len(self.landed)}")

    async def resumed(self, end_ms: int) -> int:
        """Milliseconds until a whole sentence was made, a post is taken, and the director has settled something."""
        began = time.monotonic()

        async def sound() -> None:
            while not any(ear.made_ms > end_ms for ear in self.desk.ears.values()):
                await asyncio.sleep(0.02)

        async def taken() -> None:
            await self.pay(10_000 + end_ms % 10_000)

        async def directed() -> None:
            while not any(row.at_ms > end_ms for row in (await self.desk.ledger()).values() if row.state != "received"):
                await asyncio.sleep(0.02)

        async def timed(step: Awaitable[None]) -> int:
            await step
            return int((time.monotonic() - began) * 1_000)

        async with asyncio.timeout(PATIENCE_S):
            took = await asyncio.gather(timed(sound()), timed(taken()), timed(directed()))
        return max(took)

    async def fray(self, seconds: float) -> None:
        """A bad wire: late, sliced, and reset or half-closed again and again."""
        bad = Fault(latency_ms=5, jitter_ms=40, slices=900)
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            for wire in self.wires:
                wire.set(bad, bad)
            await asyncio.sleep(self.dice.uniform(0.5, 1.5))
            wire = self.dice.choice(self.wires)
            self.dice.choice((wire.reset, lambda wire=wire: wire.half_close(self.dice.choice(list(Side)))))()
        for wire in self.wires:
            wire.set()


def faults(scene: Scene) -> list[tuple[Callable[[], None], Callable[[], None], float]]:
    """How each begins, how it ends, how long it lasts."""
    brokers, wires = (scene.stack.work, scene.stack.live), scene.wires

    def frozen() -> None:
        for broker in brokers:
            broker.pause()

    def thawed() -> None:
        for broker in brokers:
            broker.resume()

    def cut() -> None:
        for wire in wires:
            wire.set(CUT, CUT)

    def mended() -> None:
        for wire in wires:
            wire.set()

    return [(frozen, thawed, FROZEN_S), (cut, mended, CUT_S)]


async def start(stack: Stack, wires: tuple[Proxy, Proxy]) -> str:
    """Every service, its brokers behind the wires; where the gateway answers."""
    work, live = (f"redis://127.0.0.1:{wire.port}/0" for wire in wires)
    env = {"WORK_REDIS_URL": work, "LIVE_REDIS_URLS": live, "LLM_WORKERS": "8", "TTS_WORKERS": "8"}
    for service in ("llm", "tts", "ingest"):
        await stack.start(service, env)
    gateway = await stack.start("gateway", env)
    await stack.ready()
    return stack.base(gateway)


async def play(scene: Scene, setup: Setup) -> None:
    """Pay all the time, suffer every fault, then a wire that is bad in every way."""
    scene.desk.ear("r")
    paying = asyncio.ensure_future(scene.pay_on())
    try:
        for begin, end, seconds in faults(scene):
            await asyncio.sleep(BEFORE_S)
            await scene.suffer(begin, end, seconds)
        await scene.fray(3 if setup.short else 20)
    finally:
        paying.cancel()
        await asyncio.gather(paying, return_exceptions=True)


async def unheard(scene: Scene) -> list[str]:
    """Chats that did not end, or of which a sentence is missing without a word."""
    ears = [scene.desk.ear(name) for name in scene.chats]
    ended = await asyncio.gather(*(ear.until(lambda ear=ear: bool(ear.closed or ear.cuts), LAST_S) for ear in ears))
    found = [f"chat {ear.session} did not end" for ear, end in zip(ears, ended, strict=True) if not end]
    for ear, end in zip(ears, ended, strict=True):
        if end and not any(line.reason for line in ear.lines):
            found += wrong(ear.lines, SAYS, ear.session, joined=True)
    return found


async def run(setup: Setup) -> Outcome:
    """Freeze, cut, fray; then judge."""
    scene_of = config(pace=0.005)
    async with Stack(setup.folder, scene_of, setup.broker, setup.sabotage) as stack:
        work, live = (Proxy(broker.port, seed=setup.seed + at) for at, broker in enumerate((stack.work, stack.live)))
        async with work, live, stack.bus() as bus, desk_of(bus) as desk:
            gateway = await start(stack, (work, live))
            scene = Scene(stack, desk, gateway, (work, live), random.Random(setup.seed))
            await play(scene, setup)
            lost = await verdict(desk, dict(scene.paid), PATIENCE_S)
            chats = await unheard(scene)
            skipped = sum(bool(line.reason) for name in scene.chats for line in desk.ear(name).lines)
        held = work.held + live.held
    if not held:
        chats.append("the cut met nothing")
    slowest = max(scene.resumed_ms)
    figure = (
        f"frozen {FROZEN_S:.0f} s, cut {CUT_S:.0f} s: {len(scene.paid)} paid, {len(lost)} lost or doubled; "
        f"{len(scene.chats)} chats, {skipped} sentences skipped visibly; resumed {slowest} ms after at most"
    )
    numbers = {"paid": len(scene.paid), "lost": len(lost), "resumed_ms": slowest, "skipped": skipped}
    return Outcome(figure, min(scene.landed), 4, (*scene.problems, *lost, *chats), numbers)


PROGRAM = Program(
    "R8",
    "Redis frozen 8 s, network cut 10 s: 0 lost, resumed at most 3 s after",
    "SIGSTOP of the brokers, a cut and frayed wire",
    run,
    ("no_recovery", "ack_before_commit"),
    ("no_recovery",),
)
