"""R23: a stream that is cut at random goes on where it was, at any gateway; where that cannot be, it says so."""

import asyncio
import json
import random
from base64 import b64decode
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import httpx2

from services.contract import streams
from tests.chaos.program import Outcome, Program, Setup
from tests.chaos.scenes import Desk, config, desk_of
from tests.chaos.stack import Stack

AT_ONCE = 6
PACE = 0.012
"""Seconds for each 20 ms of sound: a sentence is spoken for about a second."""
ASK = {"msg": [{"role": "user", "content": "Tell me a story, please."}]}
PATIENCE_S = 30.0
MOST_BYTES = 60_000
"""A connection is cut at the latest behind so many bytes."""


@dataclass
class Client:
    """One answer, through as many connections as it takes."""

    id: str = ""
    session: str = ""
    done: bool = False
    cuts: int = 0
    unrecovered: int = 0
    names: list[str] = field(default_factory=list[str])
    captions: list[tuple[int, str]] = field(default_factory=list[tuple[int, str]])
    sound: dict[int, bytearray] = field(default_factory=dict[int, bytearray])
    problems: list[str] = field(default_factory=list[str])

    def take(self, event: dict[str, str]) -> None:
        """The next event, whole."""
        data: dict[str, Any] = json.loads(event["data"])
        self.id = event["id"]
        match event["event"]:
            case "turn":
                self.session, self.unrecovered = data["session"], self.unrecovered + (not data["recovered"])
            case "sentence":
                self.captions.append((data["index"], data["text"]))
            case "audio":
                heard = self.sound.setdefault(data["index"], bytearray())
                if 2 * data["sample_offset"] != len(heard):
                    self.problems.append(f"{self.id}: sound at {data['sample_offset']}, had {len(heard) // 2}")
                heard += b64decode(data["pcm"])
            case "lost" | "error" as name:
                self.problems.append(f"{self.id}: {name} {data}")
            case "done":
                self.done = True
                self.problems += [] if data["reason"] == "done" else [f"{self.id} ended by {data['reason']}"]
            case _:
                pass

    async def connect(self, base: str, most: int) -> None:
        """One connection, cut behind so many bytes."""
        headers = {"accept": "text/event-stream; profile=onair", **({"last-event-id": self.id} if self.id else {})}
        async with (
            httpx2.AsyncClient(timeout=PATIENCE_S, trust_env=False) as client,
            client.stream("POST", f"{base}/api/chat", json=ASK, headers=headers) as response,
        ):
            if response.status_code != 200:
                self.problems.append(f"answered {response.status_code}: {(await response.aread())[:200]!r}")
                self.done = True
                return
            async for event in events(response.aiter_raw(), most):
                self.take(event)


async def events(raw: AsyncIterator[bytes], most: int) -> AsyncIterator[dict[str, str]]:
    """Those that came whole before the cut."""
    buffer, left = b"", most
    async for part in raw:
        buffer, left = buffer + part[:left], left - len(part)
        *whole, buffer = buffer.split(b"\n\n")
        for block in whole:
            fields = dict(line.split(": ", 1) for line in block.decode().splitlines() if not line.startswith(":"))
            if fields:
                yield fields
        if left <= 0:
            return


async def listen(desk: Desk, bases: list[str], dice: random.Random, cuts: int) -> Client:
    """One answer that is cut so many times, if it lasts; each time the other gateway goes on with it."""
    client = Client()
    while not client.done:
        most = dice.randint(300, MOST_BYTES) if client.cuts < cuts else 1_000_000_000
        await client.connect(bases[client.cuts % len(bases)], most)
        client.cuts += not client.done
    ear = desk.ear(client.session)
    if not await ear.until(lambda: bool(ear.closed), PATIENCE_S):
        client.problems.append(f"{client.session} was not heard to its end")
    if {line.index: bytes(line.pcm) for line in ear.lines} != {at: bytes(pcm) for at, pcm in client.sound.items()}:
        client.problems.append(f"{client.session}: heard other sound than the session holds")
    if client.captions != [(line.index, line.text) for line in ear.lines]:
        client.problems.append(f"{client.session}: other captions than the session holds")
    if any(one >= two for one, two in pairwise(client.captions)) or client.unrecovered:
        client.problems.append(f"{client.session}: captions {client.captions}, {client.unrecovered} not recovered")
    return client


async def forget(desk: Desk, base: str, client: Client, how: str) -> list[str]:
    """Live forgets the client's place: that is told."""
    live, key = desk.bus.live(client.session), streams.SESSION.of(client.session)
    items = await desk.sessions.range(client.session)
    again = Client(id=f"{client.session}.{client.id.split('.')[1]}.{items[0].id}.0.0")
    if how == "trimmed":
        await live.xtrim(key, minid=items[len(items) // 2].id, approximate=False)
    else:
        await live.delete(streams.GENERATION.of(client.session))
    await again.connect(base, 1_000_000_000)
    holes = [problem for problem in again.problems if "lost" in problem or "sound at" in problem]
    told = bool(holes) if how == "trimmed" else again.sound == client.sound
    wrong = [problem for problem in again.problems if problem not in holes]
    return [*wrong, *([] if again.unrecovered == 1 and told else [f"{client.session} was {how}: nothing says so"])]


async def run(setup: Setup) -> Outcome:
    """Answers, each cut several times, at two gateways; then places that are forgotten."""
    cuts, dice = (20 if setup.short else 200), random.Random(setup.seed)
    async with (
        Stack(setup.folder, config(pace=PACE), setup.broker, setup.sabotage) as stack,
        stack.bus() as bus,
        desk_of(bus) as desk,
    ):
        for service in ("gateway", "gateway", "llm", "tts"):
            await stack.start(service, {"LLM_WORKERS": "8", "TTS_WORKERS": "8"})
        await stack.ready()
        bases = [stack.base(worker) for worker in stack.of("gateway")]
        clients = list[Client]()
        while sum(client.cuts for client in clients) < cuts and not any(client.problems for client in clients):
            some = [listen(desk, bases, random.Random(dice.random()), 8) for _ in range(AT_ONCE)]
            clients += await asyncio.gather(*some)
        problems = [problem for client in clients for problem in client.problems]
        forgotten = 0
        for client, how in zip(clients[:4], ("trimmed", "renewed") * 2, strict=False) if not problems else ():
            problems += await forget(desk, bases[forgotten % 2], client, how)
            forgotten += 1
    landed = sum(client.cuts for client in clients)
    figure = (
        f"{len(clients)} answers cut {landed} times, each time gone on with at the other gateway: {len(problems)} samples "
        f"or captions missing or twice; {forgotten} places forgotten, {forgotten} said so"
    )
    return Outcome(figure, landed, cuts, tuple(problems), {"cuts": landed, "answers": len(clients)})


PROGRAM = Program(
    "R23",
    "resume over 200 random cuts: 0 missing, 0 twice inside the kept window; outside it an explicit `recovered:false`",
    "connections cut at a random byte, entries trimmed, live renewed",
    run,
    ("no_place",),
)
