"""What OnAir adds to a chat: text in → first sound, less the time of the engines; and processor time a turn.

python -m bench.chat [--turns 200] [--sessions 30] [--json FILE]
"""

import argparse
import asyncio
import json
import random
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median, quantiles
from typing import Any
from urllib.parse import urlsplit

from bench import minimal
from bench.stage import Stage, stage
from bench.upstream import content
from bench.upstream.schedule import Delays

THINK_S = (1.0, 3.0)
"""A person is silent for so long before the next question."""
FRONT, MIDDLE, BACK = (
    "text in → model asked",
    "first sentence whole → voice asked",
    "voice's first byte → sound at the client",
)


@dataclass(frozen=True)
class Asked:
    """One turn as the client saw it, in ns of the machine's clock."""

    mark: str
    sent: int
    heard: int


async def ask(url: str, mark: int) -> Asked:
    """One chat over a connection of its own, read to its end."""
    where = urlsplit(url)
    body = json.dumps({"msg": [{"role": "user", "content": f"This is turn {mark}."}]}).encode()
    head = f"POST /api/chat?v=2 HTTP/1.1\r\nHost: {where.netloc}\r\nContent-Type: application/json\r\n"
    reader, writer = await asyncio.open_connection(where.hostname, where.port)
    try:
        sent, heard, buffer = time.monotonic_ns(), 0, b""
        writer.write(f"{head}Content-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode() + body)
        while part := await reader.read(65_536):
            if not heard:
                buffer += part
                heard = time.monotonic_ns() if b"event: audio" in buffer else 0
        if not heard:
            raise RuntimeError(f"turn {mark} had no sound: {buffer[:500]!r}")
    finally:
        writer.close()
    return Asked(str(mark), sent, heard)


async def session(url: str, marks: range, think: random.Random | None) -> list[Asked]:
    """One person's turns, one after the other."""
    asked = list[Asked]()
    for mark in marks:
        if think:
            await asyncio.sleep(think.uniform(*THINK_S))
        asked.append(await ask(url, mark))
    return asked


async def crowd(url: str, sessions: int, each: int, first: int, *, thinking: bool) -> list[Asked]:
    """All of them at once."""
    marks = [range(first + at * each, first + (at + 1) * each) for at in range(sessions)]
    dice = [random.Random(at) if thinking else None for at in range(sessions)]
    told = await asyncio.gather(*(session(url, some, die) for some, die in zip(marks, dice, strict=True)))
    return [asked for some in told for asked in some]


def overhead(asked: Asked, upstream: dict[tuple[str, str], dict[str, Any]], delays: Delays) -> dict[str, float]:
    """What a turn took besides its engines, in ms, by its parts.

    The first sentence is whole when the first word of the second has come: a full stop may stand in the middle of one.
    """
    chat, speech = upstream["chat", asked.mark], upstream["speech", asked.mark]
    text = content.answer(chat["text"])
    needed = len(content.tokens(text[: text.index(". ") + 1]))
    whole = chat["first_ns"] + (needed / delays.chat_rate * 1e9 if delays.chat_rate else 0)
    return {
        FRONT: (chat["received_ns"] - asked.sent) / 1e6,
        MIDDLE: (speech["received_ns"] - whole) / 1e6,
        BACK: (asked.heard - speech["first_ns"]) / 1e6,
    }


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    name: str
    turns: int
    parts: dict[str, tuple[float, float]]
    """Part → p50, p99 in ms."""
    felt: tuple[float, float]
    """Text in → first sound, engines included."""
    cpu_ms: float
    """A turn, over all services, without what they use while nothing happens."""

    def line(self) -> str:
        """As Markdown."""
        parts = " | ".join(f"{middle:.1f} / {worst:.1f}" for middle, worst in self.parts.values())
        return f"| {self.name} | {self.turns} | {parts} | {self.felt[0]:.0f} / {self.felt[1]:.0f} | {self.cpu_ms:.0f} |"


def spread(values: list[float]) -> tuple[float, float]:
    """p50, p99."""
    return median(values), quantiles(values, n=100, method="inclusive")[98]


async def measure(name: str, place: Stage, sessions: int, each: int, delays: Delays, *, thinking: bool) -> Row:
    """Some turns to warm up, then the ones that count; then as long with nothing to do."""
    known = 1 + len(place.upstream())  # no two turns of a run have the same number
    await crowd(place.url, sessions, 2, known, thinking=False)
    before, began = place.cpu_s(), time.monotonic()
    asked = await crowd(place.url, sessions, each, known + 2 * sessions, thinking=thinking)
    used, took = _spent(before, place.cpu_s()), time.monotonic() - began
    idle_s = min(took, 10.0)
    before = place.cpu_s()
    await asyncio.sleep(idle_s)
    idle = _spent(before, place.cpu_s()) / idle_s
    upstream = {(line["kind"], line["mark"]): line for line in reversed(place.upstream())}
    parts = [overhead(one, upstream, delays) for one in asked]
    table = {part: spread([one[part] for one in parts]) for part in (FRONT, MIDDLE, BACK)}
    table["together"] = spread([sum(one.values()) for one in parts])
    felt = spread([(one.heard - one.sent) / 1e6 for one in asked])
    return Row(name, len(asked), table, felt, (used - idle * took) * 1_000 / len(asked))


def _spent(before: dict[str, float], after: dict[str, float]) -> float:
    return sum(after[name] - before[name] for name in before)


async def run(turns: int, sessions: int) -> list[Row]:
    """One session in machinery mode and in the engines' time; many in theirs; beside them a program that does the least."""
    rows = list[Row]()
    with stage("--machinery") as place:
        rows.append(
            await measure(
                "1 session, engines that take no time", place, 1, turns, Delays(0, 0, 0, 0, 0), thinking=False
            )
        )
    with stage() as place:
        rows.append(await measure("1 session", place, 1, max(20, turns // 5), Delays(), thinking=False))
        rows.append(
            await measure(f"{sessions} sessions", place, sessions, max(5, turns // sessions), Delays(), thinking=True)
        )
    with minimal.stage() as place:
        few, each = max(20, turns // 5), max(5, turns // sessions)
        rows.append(await measure("1 session, a minimal program", place, 1, few, Delays(), thinking=False))
        many = f"{sessions} sessions, a minimal program"
        rows.append(await measure(many, place, sessions, each, Delays(), thinking=True))
    return rows


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m bench.chat", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--turns", type=int, default=200, help="of the first row, and of the last (default 200)")
    parser.add_argument("--sessions", type=int, default=30, help="at once in the last row (default 30)")
    parser.add_argument("--json", type=Path, help="write the figures there too")
    given = parser.parse_args()
    rows = asyncio.run(run(given.turns, given.sessions))
    head = ["ms, p50 / p99", "turns", *rows[0].parts, "text in → first sound", "processor a turn"]
    print("| " + " | ".join(head) + " |\n|" + "---|" * len(head))
    for row in rows:
        print(row.line())
    if given.json:
        given.json.write_text(json.dumps([vars(row) for row in rows], indent=1, ensure_ascii=False), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
