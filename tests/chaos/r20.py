"""R20: a thousand pages that wait and a hundred calls, ten of which speak and are answered: sound is not late."""

import asyncio
import json
import os
import statistics
import sys
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from services.contract.ingest import TurnAired
from services.contract.llm import SentenceReady
from services.contract.tts import SpeechChunk, SpeechEnded, SpeechStarted
from services.runtime.clock import now_ms
from services.runtime.mic import Mic
from services.runtime.sessions import Sessions
from tests.chaos.program import Outcome, Program, Setup
from tests.chaos.scenes import ROOM, config, order
from tests.chaos.stack import ROOT, Stack, Worker

LIMIT_MS = 20.0
LIMIT_KIB = 45.0
WARM = 20
"""Listeners before memory is looked at: what the first ones load is no part of what each costs."""
SPEAK = 10
PIECE_S = 0.2
PIECE_SAMPLES = 4_800
CAUGHT_UP_S = 10.0


class Crowd:
    """The clients' process."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def do(self, **what: Any) -> dict[str, Any]:
        """Order it, and wait until it is done."""
        if self._process.stdin is None or self._process.stdout is None:
            raise RuntimeError("the crowd has no pipes")
        self._process.stdin.write(f"{json.dumps(what)}\n".encode())
        line = await self._process.stdout.readline()
        if not line:
            raise RuntimeError("the crowd has ended")
        return json.loads(line)


@asynccontextmanager
async def crowd(port: str, folder: Path) -> AsyncGenerator[Crowd]:
    """It runs; it ends with the block."""
    pipe, argv = asyncio.subprocess.PIPE, (sys.executable, "-m", "tests.chaos.crowd", port, ROOM)
    with (folder / "crowd.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            *argv, cwd=ROOT, stdin=pipe, stdout=pipe, stderr=log, limit=1 << 24
        )
    try:
        yield Crowd(process)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


def kib(worker: Worker) -> int:
    """Memory that its process has now."""
    lines = Path(f"/proc/{worker.pid}/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:"))


def cpu_s(worker: Worker) -> float:
    """Processor time that its process has used."""
    fields = Path(f"/proc/{worker.pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def answer(sessions: Sessions, number: int, pieces: int) -> None:
    """A turn of one long sentence, told in real time; each piece begins with the time at which it was published."""
    session = f"call-crowd{number}"
    turn = order(session, now_ms(), 0, "", kind="call")
    place: dict[str, Any] = {"turn": turn.turn, "no": turn.no, "epoch": 0}
    said: dict[str, Any] = {"index": 0, "text": "a long one"}
    piece: dict[str, Any] = {"turn": turn.turn, "index": 0, "attempt": 1}
    await sessions.publish(session, turn)
    await sessions.publish(session, TurnAired(**place))
    ready = SentenceReady(**place, **said, session=session, kind="call", speak="a", voice="tone", deadline_ms=0)
    await sessions.publish(session, ready)
    await sessions.publish(session, SpeechStarted(**place, **said, attempt=1))
    due = time.monotonic() + number * PIECE_S / SPEAK
    for chunk in range(pieces):
        await asyncio.sleep(max(0.0, due - time.monotonic()))
        due += PIECE_S
        stamp = time.monotonic_ns().to_bytes(8, "big")
        message = SpeechChunk(**piece, chunk=chunk, sample_offset=chunk * PIECE_SAMPLES)
        await sessions.publish(session, message, stamp.ljust(PIECE_SAMPLES * 2, b"\0"))
    await sessions.publish(session, SpeechEnded(**piece, samples=pieces * PIECE_SAMPLES))


async def lost(mic: Mic, sent: list[int]) -> list[str]:
    """Callers of whom the bus lacks something."""
    until = time.monotonic() + CAUGHT_UP_S
    while True:
        last = [await mic.last(f"call-crowd{number}") for number in range(len(sent))]
        short = [at for at, frame in enumerate(last) if (frame.until_sample if frame else 0) < sent[at] * 1_600]
        if not short or time.monotonic() > until:
            return [f"call {at} was not heard to its end" for at in short]
        await asyncio.sleep(0.05)


async def run(setup: Setup) -> Outcome:
    """Fill the house, look at its memory, answer ten calls that speak."""
    listeners, calls, seconds = (400, 40, 4) if setup.short else (1_000, 100, 30)
    pieces = int(seconds / PIECE_S)
    async with Stack(setup.folder, config(), setup.broker, setup.sabotage) as stack, stack.bus() as bus:
        gateway = await stack.start("gateway")
        await stack.ready()
        async with crowd(gateway.env["GATEWAY_PORT"], setup.folder) as clients:
            await clients.do(listen=WARM)
            before = kib(gateway)
            await clients.do(listen=listeners - WARM)
            each = (kib(gateway) - before) / (listeners - WARM)
            await clients.do(call=calls, speak=SPEAK)
            with_calls = kib(gateway)
            sessions = Sessions(bus)
            busy = cpu_s(gateway)
            await asyncio.gather(*(answer(sessions, number, pieces) for number in range(SPEAK)))
            await asyncio.sleep(PIECE_S)  # the last piece is on its way: one that comes later is too late anyway
            busy = (cpu_s(gateway) - busy) / seconds
            heard = await clients.do(end=True)
            problems = await lost(Mic(bus), heard["sent"])
    took = sorted(heard["took_ms"])
    p50, p99 = (statistics.quantiles(took, n=100)[at] for at in (49, 98)) if len(took) > 1 else (0.0, 0.0)
    problems += [f"{heard['closed']} clients were cut off"] if heard["closed"] else []
    problems += [f"{SPEAK * pieces - len(took)} frames were not heard"] if len(took) < SPEAK * pieces else []
    problems += [f"frame p99 is {p99:.1f} ms"] if p99 > LIMIT_MS else []
    problems += [f"an idle connection costs {each:.0f} KiB"] if each > LIMIT_KIB else []
    figure = (
        f"{listeners} listeners, {calls} calls, {SPEAK} of which spoke and were answered for {seconds} s: "
        f"frame p50 {p50:.1f} ms, p99 {p99:.1f} ms of {len(took)}; {each:.0f} KiB an idle connection, {with_calls >> 10} MiB, "
        f"{busy:.0%} of a processor"
    )
    numbers = {"p99_us": int(p99 * 1_000), "p50_us": int(p50 * 1_000), "frames": len(took), "kib": round(each)}
    return Outcome(figure, len(took), SPEAK * pieces, tuple(problems), numbers)


PROGRAM = Program(
    "R20",
    "1,000 listeners and 100 calls: sound comes within 20 ms, an idle connection costs 45 KiB at most",
    "load",
    run,
    ("own_reads",),
)
