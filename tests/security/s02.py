"""S2: what is compressed is never inflated beyond what is allowed: gzip bombs cost next to nothing."""

import gzip
import json
import re
import struct
import zlib

from services.gateway.core.frame import AUDIO_BYTES, JSON_BYTES
from tests.caller import SOUND, framed
from tests.chaos.program import Outcome, Program, Setup
from tests.security.call import throw
from tests.security.ground import Gate, ground

BAD_DATA, TOO_BIG = 1007, 1009
ZIPPED, ZIPPED_SOUND = bytes.fromhex("11101100"), bytes.fromhex("11201100")
MIB = 2**20
LIMIT_MS, LIMIT_BYTES = 10, 4 * MIB
GOOD = json.dumps({"event": "StopSpeaking", "payload": {}}).encode()


def bombs() -> dict[str, tuple[int, bytes]]:
    """Each with the code that it is to be refused with; as large as a frame may be where that makes it worse."""
    zeros = gzip.compress(bytes(60 * MIB))
    spaces = gzip.compress(b" " * (60 * MIB))
    small = gzip.compress(GOOD)
    over = gzip.compress(bytes(JSON_BYTES + 1))
    head = small[:3] + b"\x08" + small[4:10]
    empty = struct.pack("<BHH", 0, 0, 0xFFFF) * 12_000
    return {
        "60 MiB as a request": (TOO_BIG, framed(ZIPPED, spaces)),
        "60 MiB as sound": (TOO_BIG, framed(ZIPPED_SOUND, zeros)),
        "60 MiB in a second frame": (TOO_BIG, framed(SOUND, framed(ZIPPED_SOUND, zeros))),
        "one byte too many": (TOO_BIG, framed(ZIPPED, over)),
        "a sample too many": (TOO_BIG, framed(ZIPPED_SOUND, gzip.compress(bytes(AUDIO_BYTES + 2)))),
        "a bomb in a bomb": (BAD_DATA, framed(ZIPPED, gzip.compress(gzip.compress(bytes(16 * MIB))))),
        "3,000 members": (BAD_DATA, framed(ZIPPED, gzip.compress(b"") * 3_000)),
        "members after a good one": (BAD_DATA, framed(ZIPPED, small + gzip.compress(bytes(30 * MIB)))),
        "junk after a good one": (BAD_DATA, framed(ZIPPED, small + b"\xff" * 60_000)),
        "half of a good one": (BAD_DATA, framed(ZIPPED, small[: len(small) // 2])),
        "half of 60 MiB": (TOO_BIG, framed(ZIPPED, spaces[: len(spaces) // 2])),
        "all but its last byte": (BAD_DATA, framed(ZIPPED, small[:-1])),
        "a wrong checksum": (BAD_DATA, framed(ZIPPED, small[:-8] + bytes(4) + small[-4:])),
        "a name without end": (BAD_DATA, framed(ZIPPED, head + b"x" * 60_000)),
        "empty blocks without end": (BAD_DATA, framed(ZIPPED, small[:10] + empty)),
        "zlib": (BAD_DATA, framed(ZIPPED, zlib.compress(GOOD))),
    }


async def attack(gate: Gate, times: int, problems: list[str]) -> int:
    """Each so many times, one after the other; how many were refused."""
    refused = 0
    for _ in range(times):
        for what, (code, bomb) in bombs().items():
            got = await throw(gate, bomb)
            refused += bool(got.close)
            if got.close != code or not got.error:
                problems.append(f"{what}: closed with {got.close}, not {code}; BotError {got.error or 'missing'}")
    return refused


async def run(setup: Setup) -> Outcome:
    """Throw them all, after as many frames that are merely malformed have shown what a call costs."""
    problems, times = list[str](), 1 if setup.short else 20
    async with ground(setup.folder, setup.sabotage) as here, here.gate({}, measured=True) as gate:
        for _ in range(40):
            await throw(gate, framed(ZIPPED_SOUND, bytes(60_000)))
        before = gate.resident()
        gate.forget_peak()
        skipped = len(times_ms(gate))
        refused = await attack(gate, times, problems)
        grown = gate.resident("VmHWM") - before
        took = times_ms(gate)[skipped:]
    needed = times * len(bombs())
    worst = max(took, default=99.0)
    problems += [f"{len(took)} of {needed} were parsed"] if len(took) != needed else []
    problems += [f"the parser took {worst:.1f} ms"] if worst > LIMIT_MS else []
    problems += [f"memory + {grown / MIB:.1f} MiB"] if grown > LIMIT_BYTES else []
    figure = (
        f"{refused} bombs of {len(bombs())} kinds refused; the parser took {worst:.2f} ms of processor time at most, "
        f"{sum(took) / max(1, len(took)):.2f} on average; memory + {grown / MIB:.1f} MiB at its peak"
    )
    return Outcome(figure, refused, needed, tuple(problems), {"worst_us": int(worst * 1_000), "grown": grown})


def times_ms(gate: Gate) -> list[float]:
    """What the gateway wrote down of its parser."""
    return [int(us) / 1_000 for us in re.findall(r"parsed (\d+) us", gate.log.read_text(encoding="utf-8"))]


PROGRAM = Program(
    "S2", "gzip bombs: refused within 10 ms of processor time each, memory + 4 MiB at most", "bombs", run,
    ("unbounded",),
)  # fmt: skip
