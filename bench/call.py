"""What OnAir adds to a call: end of speech → first sound of the answer, less the wait for its end and the engines.

python -m bench.call [--turns 40] [--calls 10] [--interrupts N] [--frame-ms 32] [--noise 0] [--json FILE]
"""

import argparse
import asyncio
import json
import random
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median, quantiles
from typing import Any

from bench.phone import Got, Phone, Sent, phone, speech
from bench.stage import Stage, stage
from bench.upstream import content
from bench.upstream.schedule import Delays
from services.contract.asr import Transcribed
from services.contract.ingest import TurnRequested
from services.contract.tts import AIR_RATE
from services.runtime.bus import Bus
from services.runtime.mic import Mic
from services.runtime.sessions import Sessions

ASK = "What is the weather like today?"
BARGE = "No, wait, please tell me something else instead."
WARM = 2
"""Turns of each call that do not count."""
REST_S = (0.3, 0.9)
INTO_S = (0.4, 1.4)
"""An answer is interrupted when it has been heard for so long: later than its first moment, before its end."""
PARTS = (
    "last frame → end decided",
    "decided → recogniser asked",
    "text → turn",
    "turn → model asked",
    "first sentence whole → voice asked",
    "voice's first byte → client",
)


@dataclass(frozen=True)
class Turn:
    """What one turn took, in ms."""

    felt: float
    """The frame with the last voiced sample was sent → the first sound came."""
    wait: float
    """Of it: until the frame was sent that ended the silence that is waited for."""
    parts: dict[str, float]
    """What neither that wait nor the engines took."""


@dataclass(frozen=True)
class Barge:
    """One interrupt, in ms."""

    pause: float
    """The frame with the first voiced sample was sent → PlaybackPause."""
    spoken: float
    """As `pause`, but since that sample itself was spoken: its frame was sent only when it was full."""
    stop: float
    """→ PlaybackStop."""
    stale: int
    """Frames of what was interrupted that came after it."""


@dataclass
class Book:
    """What all calls of a row have measured."""

    place: Stage
    delays: Delays
    bus: Bus
    frame_ms: int
    noise: int = 0
    turns: list[Turn] = field(default_factory=list[Turn])
    barges: list[Barge] = field(default_factory=list[Barge])
    read: dict[str, str] = field(default_factory=dict[str, str])
    """Up to where each call's session was read."""
    seen: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict[tuple[str, str], dict[str, Any]])
    began: dict[str, int] = field(default_factory=dict[str, int])
    """The number of each call's first sample: they are counted from the clock."""

    def upstream(self, kind: str, mark: str) -> dict[str, Any]:
        """What the engines were first asked of that turn."""
        if (kind, mark) not in self.seen:
            self.seen = {(line["kind"], line["mark"]): line for line in reversed(self.place.upstream())}
        return self.seen[kind, mark]

    async def first(self, sid: str) -> int:
        """The number of the call's first sample; asked for the first time before the microphone's stream is trimmed."""
        if sid not in self.began:
            self.began[sid] = (await Mic(self.bus).range(f"call-{sid}"))[0].at_sample
        return self.began[sid]


async def talk(book: Book, sid: str, turns: int, ask: bytes) -> None:
    """One call: each answer is heard to its end, at once."""
    chance = random.Random(sid)
    await asyncio.sleep(chance.random())  # people do not call in step
    async with phone(book.place.url, sid, book.frame_ms, book.noise) as caller:
        for at in range(turns + WARM):
            await asyncio.sleep(chance.uniform(*REST_S))
            said = caller.say(ask, chance)
            told = await caller.until("TTSDone")
            ending = next(got.frame for got in reversed(told) if got.frame.event == "TTSSentenceEnd").payload
            played = ending["samples"] * 1_000 // AIR_RATE + 1
            await caller.send("PlaybackMark", turn=ending["turn"], sentence=ending["index"], played_ms=played)
            turn = await split(book, caller, sid, said, told)
            book.turns += [turn] if at >= WARM else []


async def split(book: Book, caller: Phone, sid: str, said: Sent, told: list[Got]) -> Turn:
    """Where the time of the turn has gone."""
    offset = time.time_ns() - time.monotonic_ns()
    text = next(got.frame.payload["sentence"] for got in told if got.frame.event == "SentenceRecognized")
    sound = next(got.at for got in told if got.frame.event == "audio")
    items = await Sessions(book.bus).range(f"call-{sid}", book.read.get(sid, "-"))
    book.read[sid], messages = items[-1].id, [item.message for item in items]
    final = next(one for one in messages if isinstance(one, Transcribed) and one.final and one.text == text)
    turn = next(one for one in messages if isinstance(one, TurnRequested) and one.ask == text)
    decided, asked = (ms * 1_000_000 + 500_000 - offset for ms in (final.decided_ms, turn.requested_ms))
    clip, chat, voice = (book.upstream(kind, content.mark(text)) for kind in ("transcription", "chat", "speech"))
    answer = content.answer(chat["text"])
    needed = len(content.tokens(answer[: answer.index(". ") + 1]))  # whole when the second sentence has begun
    whole = chat["first_ns"] + needed / book.delays.chat_rate * 1e9
    last, waited = caller.sent_at(said.last), caller.sent_at(final.until_sample - 1 - await book.first(sid))
    known = max(decided, clip["first_ns"])  # the text may be there before the end is decided
    ends = (decided, max(decided, clip["received_ns"]), asked, chat["received_ns"], voice["received_ns"], sound)
    begins = (waited, decided, known, asked, whole, voice["first_ns"])
    parts = {part: (end - begin) / 1e6 for part, begin, end in zip(PARTS, begins, ends, strict=True)}
    return Turn((sound - last) / 1e6, (waited - last) / 1e6, parts)


async def barge(book: Book, sid: str, times: int, ask: bytes, meant: bytes) -> None:
    """One call whose answers are all interrupted, each by the question for the next one."""
    chance = random.Random(sid)
    await asyncio.sleep(chance.random())  # people do not call in step
    async with phone(book.place.url, sid, book.frame_ms, book.noise) as caller:
        await asyncio.sleep(chance.uniform(*REST_S))
        caller.say(ask, chance)
        for _ in range(times):
            heard = (await caller.until("audio"))[-1]
            await asyncio.sleep(max(0.0, heard.at / 1e9 + chance.uniform(*INTO_S) - time.monotonic()))
            said = caller.say(meant, chance)
            pause = (await caller.until("PlaybackPause"))[-1].at
            stop = (await caller.until("PlaybackStop"))[-1].at
            after = await caller.until("SentenceRecognized")
            stale = sum(got.frame.event in {"audio", "TTSSentenceStart", "PlaybackResume"} for got in after)
            sent = caller.sent_at(said.first)
            spoken = sent - (caller.frame - said.first % caller.frame) * 1e9 / 16_000
            book.barges.append(Barge((pause - sent) / 1e6, (pause - spoken) / 1e6, (stop - sent) / 1e6, stale))


def spread(values: list[float]) -> str:
    """p50 / p95 / p99."""
    cuts = quantiles(values, n=100, method="inclusive")
    return f"{median(values):.1f} / {cuts[94]:.1f} / {cuts[98]:.1f}"


def told_turns(name: str, book: Book, cores: float) -> None:
    """The rows of the table."""
    turns = book.turns
    together = [sum(turn.parts.values()) for turn in turns]
    rows = [(part, [turn.parts[part] for turn in turns]) for part in PARTS]
    rows += [("**together**", together), ("wait for the end of the turn", [turn.wait for turn in turns])]
    rows += [("end of speech → first sound", [turn.felt for turn in turns])]
    print(f"\n{name}, {len(turns)} turns, {cores:.2f} cores\n\n| ms, p50 / p95 / p99 | |\n|---|---|")
    for part, values in rows:
        print(f"| {part} | {spread(values)} |", flush=True)


def told_barges(name: str, book: Book) -> bool:
    """The rows of the table; whether nothing old was heard."""
    barges = book.barges
    print(f"\n{name}, {len(barges)} interrupts\n\n| ms, p50 / p95 / p99 | |\n|---|---|")
    print(f"| first voiced frame sent → PlaybackPause | {spread([one.pause for one in barges])} |")
    print(f"| first voiced sample spoken → PlaybackPause | {spread([one.spoken for one in barges])} |")
    print(f"| first voiced frame sent → PlaybackStop | {spread([one.stop for one in barges])} |")
    print(f"| frames of the old turn after it | {sum(one.stale for one in barges)} |", flush=True)
    return not any(one.stale for one in barges)


async def run(given: argparse.Namespace) -> dict[str, Any]:
    """One call, many calls, interrupts; on one stage."""
    ask, meant = await speech(ASK), await speech(BARGE)
    figures = dict[str, Any]()
    with stage() as place:
        note = json.loads((place.folder / "data" / "run" / "brokers.json").read_text(encoding="utf-8"))
        bus = Bus(note["work"], note["lives"])
        many = {given.calls: max(5, given.turns // given.calls)} if given.calls > 1 else {}
        for calls, turns in ({1: given.turns} | many).items():
            if not given.turns:
                break
            book = Book(place, Delays(), bus, given.frame_ms, given.noise)
            name = f"{calls} call{'s' if calls > 1 else ''} at once"
            before, began = place.cpu_s(), time.monotonic()
            await asyncio.gather(*(talk(book, f"talk-{calls}-{at}", turns, ask) for at in range(calls)))
            used = sum(place.cpu_s().values()) - sum(before.values())
            told_turns(name, book, used / (time.monotonic() - began))
            figures[name] = [vars(turn) for turn in book.turns]
        if given.interrupts:
            book = Book(place, Delays(), bus, given.frame_ms, given.noise)
            each = -(-given.interrupts // given.calls)
            await asyncio.gather(*(barge(book, f"barge-{at}", each, ask, meant) for at in range(given.calls)))
            figures["stale"] = not told_barges(f"{given.calls} calls at once", book)
            figures["interrupts"] = [vars(one) for one in book.barges]
        await bus.close()
    return figures


def main() -> int:
    """Measure and print; 1 if anything was heard of an answer that had been interrupted."""
    parser = argparse.ArgumentParser(prog="python -m bench.call", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--turns", type=int, default=40, help="of the one call, and of all calls at once (default 40)")
    parser.add_argument("--calls", type=int, default=10, help="at once in the second row (default 10)")
    parser.add_argument("--interrupts", type=int, default=0, help="interrupt so many answers (default none)")
    parser.add_argument(
        "--frame-ms",
        type=int,
        default=32,
        help="of the microphone (default 32, as OnAir's own clients send; the original one sends 100)",
    )
    parser.add_argument(
        "--noise", type=int, default=0, help="loudest sample of a hiss under it all (default 0; 33: -65 dB)"
    )
    parser.add_argument("--json", type=Path, help="write the figures there too")
    given = parser.parse_args()
    figures = asyncio.run(run(given))
    if given.json:
        given.json.write_text(json.dumps(figures, indent=1, ensure_ascii=False), encoding="utf-8")
    return int(figures.get("stale", False))


if __name__ == "__main__":
    sys.exit(main())
