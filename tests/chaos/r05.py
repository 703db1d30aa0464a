"""R5: ten thousand paid messages while the work broker is killed twenty times; half of the kills cut its power."""

import asyncio
import json
import time
from dataclasses import dataclass, field
from typing import Any

from services.contract import streams
from services.runtime.bus import connect
from tests.chaos.audience import POOL, Audience, config, length, show, super_chat
from tests.chaos.brokers import Valkey
from tests.chaos.program import Outcome, Program, Setup
from tests.chaos.stack import Stack

SPEAKING = 5
MUTE = 38
"""Rooms whose persona says nothing: their messages end as failed, visibly, after two turns."""
LIMIT_MS = 2_000
BUSY_S = 10.0
"""Nobody has anything to do if nothing is in hand for so long."""
PACE_S = 0.02


@dataclass
class Storm:
    """Kills the work broker, and measures how long it takes until all its readers work again."""

    stack: Stack
    kills: int = 0
    landed: int = 0
    """Kills after which the broker's file held entries that were pending for a worker."""
    cuts: int = 0
    lost_bytes: int = 0
    waits_ms: list[int] = field(default_factory=list[int])

    async def hunt(self, kills: int, every_s: float) -> None:
        """Kill until so many kills have landed, or until twice as many were tried, or nobody has anything to do."""
        while self.landed < kills and self.kills < 2 * kills:
            await asyncio.sleep(every_s)
            if not await self._busy():
                return
            cut = self.kills % 2 == 0
            self.kills += 1
            self.lost_bytes += await self.stack.kill_broker(self.stack.work, cut=cut)
            self.cuts += cut
            await self._recovery()

    async def _busy(self) -> bool:
        """Wait until somebody has something in hand; whether that came."""
        redis, until = connect(self.stack.work.url), time.monotonic() + BUSY_S
        try:
            while not (await marks(redis)).pending and time.monotonic() < until:
                await asyncio.sleep(0.002)
        finally:
            await redis.aclose()
        return time.monotonic() < until

    async def _recovery(self) -> None:
        """From the first answer of the broker to the first thing that ingest wrote, llm read and tts read."""
        began, redis = time.monotonic(), connect(self.stack.work.url)
        try:
            found = await marks(redis)
            self.landed += found.pending > 0
            while not all(now > then for now, then in zip((await marks(redis)).ids, found.ids, strict=True)):
                if time.monotonic() > began + 10:
                    break
                await asyncio.sleep(0.02)
            self.waits_ms.append(int((time.monotonic() - began) * 1_000))
        finally:
            await redis.aclose()


@dataclass(frozen=True)
class Marks:
    """How far writers and readers have come."""

    ids: tuple[tuple[int, ...], ...]
    pending: int


async def marks(redis: Any) -> Marks:
    """What ingest wrote last, what llm and tts were given last, and how much is in their hands."""
    ids, pending = list[tuple[int, ...]](), 0
    for key, group in ((s.key(POOL), s.group) for s in (streams.TURNS, streams.SPEAK_SHOW)):
        found = next(g for g in await redis.xinfo_groups(key) if g["name"] in {group, group.encode()})
        ids.append(_order(found["last-delivered-id"]))
        pending += int(found["pending"])
    info = await redis.xinfo_stream(streams.TURNS.key())
    return Marks((*ids, _order(info["last-generated-id"])), pending)


def _order(id_: bytes | str) -> tuple[int, ...]:
    text = id_.decode() if isinstance(id_, bytes) else id_
    return tuple(int(part) for part in text.split("-"))


def made() -> dict[str, Any]:
    """Some rooms that speak, many that say nothing."""
    found = config(SPEAKING + MUTE, pace=PACE_S)
    host: dict[str, Any] = found["personas"]["host"]
    found["personas"]["mute"] = {**host, "templates": {"super_chat": {"ask": "", "say": ""}}}
    for number in range(SPEAKING, SPEAKING + MUTE):
        found["rooms"][f"room{number}"] = {**found["rooms"][f"room{number}"], "persona": "mute"}
    return found


async def run(setup: Setup) -> Outcome:
    """Send to all rooms for as long as the broker is killed, wait for the end, judge."""
    spoken, mute, kills, every_s = (60, 380, 3, 2.0) if setup.short else (500, 9_500, 20, 4.5)
    rooms = [f"room{number}" for number in range(SPEAKING + MUTE)]
    async with Stack(setup.folder, made(), setup.broker, setup.sabotage) as stack:
        for service in ("ingest", "ingest", "llm", "llm", "tts"):
            await stack.start(service, {"LLM_WORKERS": "8", "TTS_WORKERS": "4"})
        await stack.ready()
        syncing = asyncio.create_task(watch(stack))
        async with show(stack, rooms, listen=rooms[:SPEAKING]) as audience:
            storm, samples = Storm(stack), dict[str, int]()
            span_s = 1.5 * kills * (every_s + 1.0)
            sending = [
                asyncio.create_task(talk(audience, room, count // many, span_s, samples))
                for count, many, some in ((spoken, SPEAKING, rooms[:SPEAKING]), (mute, MUTE, rooms[SPEAKING:]))
                for room in some
            ]
            await storm.hunt(kills, every_s)
            await asyncio.gather(*sending)
            ended = await audience.settled(200)
            judgement = await audience.judged(samples, may_fail=True)
            failed = [
                id_
                for room in rooms[:SPEAKING]
                for id_, row in (await audience.show.ledger(room)).items()
                if row.state != "spoken"
            ]
        syncing.cancel()
        await asyncio.gather(syncing, return_exceptions=True)
    worst = max(storm.waits_ms, default=0)
    wrong = [*judgement.problems]
    wrong += [] if ended else ["not settled in time"]
    wrong += [f"{len(failed)} of the rooms that speak were not spoken: {failed[:3]}"] if failed else []
    wrong += [f"readers were back after {worst} ms"] if worst > LIMIT_MS else []
    (setup.folder / "waits.json").write_text(json.dumps(storm.waits_ms), encoding="utf-8")
    middle = sorted(storm.waits_ms)[len(storm.waits_ms) // 2]
    figure = (
        f"{judgement}; work broker killed {storm.kills} times, {storm.cuts} by a cut of its power, which lost {storm.lost_bytes} "
        f"bytes; readers back after {middle} ms (median), {worst} ms (worst)"
    )
    return Outcome(figure, storm.landed, kills, tuple(wrong), {**judgement.counts, "worst_ms": worst})


async def watch(stack: Stack) -> None:
    """Note how long the broker's file is, where it can be seen."""
    if isinstance(stack.work, Valkey):
        await stack.work.watch_size()


async def talk(audience: Audience, room: str, count: int, span_s: float, samples: dict[str, int]) -> None:
    """So many messages into a room, spread over that time; each one acknowledged before the next."""
    began = time.monotonic()
    for number in range(count):
        await asyncio.sleep(max(0.0, began + span_s * number / count - time.monotonic()))
        event = super_chat(room, f"{room}-{number}", f"a{number}.")
        samples[event.id] = length(event.text)
        await audience.send(event)


PROGRAM = Program(
    "R5",
    "Redis killed 20 times during 10,000 paid messages: 0 acknowledged lost, readers back ≤ 2 s after it",
    "kill -9 of the work broker, every other time with its power",
    run,
    ("everysec",),
)
