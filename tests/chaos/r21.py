"""R21: ten clients stop reading in the middle of a show: little is kept for them, they are cut off, nobody else notices."""

import asyncio
import select
import struct
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from statistics import median, quantiles
from typing import Any, cast

from websockets.frames import Opcode

from services.contract.ingest import TurnAired, TurnRequested
from services.contract.tts import SpeechChunk, SpeechEnded, SpeechStarted
from services.runtime.bus import Bus
from services.runtime.sessions import Sessions
from tests.caller import request
from tests.chaos.pages import CALL, There, attached, forget_peak, memory, sound, stays, unread
from tests.chaos.program import Outcome, Program, Setup
from tests.chaos.scenes import ROOM, config, order
from tests.chaos.stack import Stack, Worker
from tests.gateway.studio import Studio
from tests.security.ground import Wire, masked

LISTENERS, PAGES, CALLS = 5, 5, 5
EVERY_S, PIECE, SENTENCE = 0.025, 4_800, 40
"""So many bytes of sound so often, four times as fast as they are spoken; so many pieces in a sentence."""
BUFFER = 8_192
CUT_S, KEPT_BYTES = 10.0, 2**20
SLOWER, NOISE_MS = 1.1, 5.0
"""The 99th percentile of two times may differ so much; and by what a machine makes of it that does other things too."""
STAMP = struct.Struct("=d")


@dataclass
class Air:
    """What is on the air of a room and of calls, faster than anybody plays it."""

    bus: Bus
    turns: dict[str, str]
    """Session → the turn that is spoken there."""
    numbers: dict[str, int] = field(default_factory=dict[str, int])

    async def speak(self) -> None:
        """For ever; each piece of sound begins with the time."""
        sessions, number = Sessions(self.bus), 0
        while True:
            began = time.monotonic()
            for session, turn in self.turns.items():
                await self._piece(sessions, session, turn, number)
            number += 1
            await asyncio.sleep(max(0, EVERY_S - (time.monotonic() - began)))

    async def _piece(self, sessions: Sessions, session: str, turn: str, number: int) -> None:
        index, chunk = divmod(number, SENTENCE)
        place: dict[str, Any] = {"turn": turn, "index": index, "attempt": 1}
        if not chunk:
            begun = SpeechStarted(**place, no=self.numbers[session], epoch=0, text="Hello.")
            await sessions.publish(session, begun)
        pcm = STAMP.pack(time.monotonic()) + bytes(PIECE - STAMP.size)
        said = SpeechChunk(**place, chunk=chunk, sample_offset=chunk * PIECE // 2)
        await sessions.publish(session, said, pcm)
        if chunk == SENTENCE - 1:
            await sessions.publish(session, SpeechEnded(**place, samples=SENTENCE * PIECE // 2))


async def on_air(studio: Studio, callers: list[Wire]) -> Air:
    """A turn in the room, and one in each call."""
    request_: TurnRequested = order(ROOM, 1, 0, "Hello.", kind="room")
    sessions, air = studio.sessions, Air(studio.bus, {ROOM: request_.turn}, {ROOM: 1})
    await sessions.publish(ROOM, request_)
    await sessions.publish(ROOM, TurnAired(turn=request_.turn, no=1, epoch=0))
    for caller in callers:
        caller.say(masked(Opcode.BINARY, request("TextInput", text="hello")))
        turn = await studio.turn()
        air.turns[turn.session], air.numbers[turn.session] = turn.turn, turn.no
    return air


async def listen(page: Wire, delays: list[float]) -> None:
    """How long each piece was on its way, in milliseconds."""
    while True:
        opcode, body = await page.message()
        if opcode == Opcode.BINARY:
            delays.append(1_000 * (time.monotonic() - STAMP.unpack_from(sound(body))[0]))


@dataclass
class Deaf:
    """Clients that stop reading."""

    wires: list[Wire]
    cuts: list[float] = field(default_factory=list[float])
    """Seconds until each was cut off."""
    kept: int = 0
    """Bytes that the kernel kept for one of them, at most on average."""

    async def measure(self, port: int) -> None:
        """What the kernel keeps, for ever."""
        peers = {int(wire.writer.get_extra_info("sockname")[1]) for wire in self.wires}
        while True:
            self.kept = max(self.kept, unread(port, peers) // len(peers))
            await asyncio.sleep(0.25)

    async def stop(self) -> None:
        """Stop reading; returns when all are cut off, or when that takes too long."""
        began, waiting = time.monotonic(), dict[int, Wire]()
        for wire in self.wires:
            cast("asyncio.Transport", wire.writer.transport).pause_reading()
            waiting[wire.writer.get_extra_info("socket").fileno()] = wire
        poll = select.poll()
        for number in waiting:
            poll.register(number, 0)
        while waiting and time.monotonic() - began < CUT_S + 2:
            await asyncio.sleep(0.1)
            for number, _ in poll.poll(0):
                poll.unregister(number)
                del waiting[number]
                self.cuts.append(time.monotonic() - began)


@dataclass
class Watched:
    """What all the times showed."""

    count: int = 0
    cuts: list[float] = field(default_factory=list[float])
    grown: int = 0
    kept: int = 0
    pieces: int = 0
    before: list[float] = field(default_factory=list[float])
    after: list[float] = field(default_factory=list[float])
    """Each time's 99th percentile of the others."""


async def watch(setup: Setup, studio: Studio, worker: Worker, seen: Watched) -> None:
    """All come; some stop reading; how it goes for the others before and after."""
    there, stage = There(int(worker.env["GATEWAY_PORT"])), f"/api/rooms/{ROOM}/stage"
    async with AsyncExitStack() as stack:
        pages = [await stack.enter_async_context(attached(there, stage)) for _ in range(LISTENERS)]
        deaf = [await stack.enter_async_context(attached(there, stage, BUFFER)) for _ in range(PAGES)]
        calls = [f"{CALL}?sid=deaf{call}" for call in range(CALLS)]
        callers = [await stack.enter_async_context(attached(there, path, BUFFER)) for path in calls]
        air, heard, those = await on_air(studio, callers), list[float](), Deaf([*deaf, *callers])
        works = [air.speak(), those.measure(there.port), *(listen(page, heard) for page in pages)]
        tasks = [asyncio.create_task(work) for work in (*works, *map(stays, those.wires))]
        try:
            await asyncio.sleep(2)  # they have come in
            heard.clear()
            await asyncio.sleep(4 if setup.short else 8)
            seen.before.append(quantiles(heard, n=100)[-1])
            heard.clear()
            memory_before = memory(worker.pid)
            forget_peak(worker.pid)
            await those.stop()
            seen.after.append(quantiles(heard, n=100)[-1])
            seen.grown = max(seen.grown, memory(worker.pid, "VmHWM") - memory_before)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
    seen.count, seen.pieces = seen.count + len(those.wires), seen.pieces + len(heard)
    seen.cuts, seen.kept = seen.cuts + those.cuts, max(seen.kept, those.kept)


async def run(setup: Setup) -> Outcome:
    """A room and calls on the air; ten clients stop reading; five go on. So several times: the median is told."""
    seen, died = Watched(), 0
    for number in range(1 if setup.short else 3):
        folder = setup.folder / str(number)
        folder.mkdir()
        async with Stack(folder, config(), setup.broker, setup.sabotage) as stack, stack.bus() as bus:
            gateway = await stack.start("gateway")
            await stack.ready()
            await watch(setup, Studio(bus), gateway, seen)
            died += len(gateway.deaths)
    before, after = median(seen.before), median(seen.after)
    each, lasted = seen.grown // (PAGES + CALLS), max(seen.cuts, default=0)
    left = seen.count - len(seen.cuts)
    problems = [f"{left} of {seen.count} were not cut off"] if left else []
    problems += [f"one was cut off after {lasted:.1f} s"] if lasted > CUT_S else []
    problems += [f"{(each + seen.kept) >> 10} KiB were kept for each"] if each + seen.kept > KEPT_BYTES else []
    if after > max(SLOWER * before, before + NOISE_MS):
        problems.append(f"others' 99th percentile: {before:.1f} ms before, {after:.1f} ms after")
    problems += ["the gateway ended"] if died else []
    figure = (
        f"{seen.count // 2} pages and as many calls stop reading, {PAGES + CALLS} at a time: cut off after {lasted:.1f} s at "
        f"worst; {each >> 10} KiB of the gateway's memory and {seen.kept >> 10} KiB of the kernel's for each; {LISTENERS} "
        f"others' 99th percentile {before:.1f} ms before, {after:.1f} ms after, of {seen.pieces} pieces"
    )
    numbers = {"cut_ms": int(1_000 * lasted), "kept": each + seen.kept}
    return Outcome(figure, len(seen.cuts), seen.count, tuple(problems), numbers)


PROGRAM = Program(
    "R21", "10 readers that stop reading: at most 1 MiB each, cut within 10 s, others' p99 within 10 %",
    "clients that stop reading", run, ("no_watch",),
)  # fmt: skip
