"""S3: floods, endless messages and half ones are cut off soon, and the others notice nothing."""

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator

from websockets.frames import Opcode

from tests.chaos.program import Outcome, Program, Setup
from tests.security.ground import STAGE, Gate, Wire, ground, handshake, masked, wire

CUT_S = 10.0
QUIET_S = 1.0
"""Another page, whose gateway pulses every 100 ms, hears something at least so often."""


async def for_ever(data: bytes, pause_s: float = 0.0) -> AsyncGenerator[bytes]:
    """The same again and again."""
    while True:
        yield data
        await asyncio.sleep(pause_s)


async def first(begin: bytes, more: AsyncGenerator[bytes]) -> AsyncGenerator[bytes]:
    """That once, then the rest."""
    yield begin
    async for part in more:
        yield part


def attacks() -> dict[str, tuple[bool, AsyncGenerator[bytes]]]:
    """Each, and whether a handshake comes before it."""
    begun = masked(Opcode.TEXT, b"x", fin=False)
    return {
        "a frame of 2^62 bytes": (True, for_ever(b"\x82\xff\x40" + b"\0" * 7 + b"\0" * 4, 0.1)),
        "a message of 1 MiB": (True, for_ever(masked(Opcode.BINARY, b"\0" * 2**20), 1)),
        "fragments without end": (True, first(begun, for_ever(masked(Opcode.CONT, b"", fin=False) * 50))),
        "a fragment a second": (True, first(begun, for_ever(masked(Opcode.CONT, b"x", fin=False), 1))),
        "a fragment a second, pings between": (
            True,
            first(begun, for_ever(masked(Opcode.PING, b"") + masked(Opcode.CONT, b"x", fin=False), 1)),
        ),
        "one-byte frames": (True, for_ever(masked(Opcode.BINARY, b"x") * 2_000)),
        "a frame byte by byte": (True, first(b"\x82\xfe\x04\0\0\0\0\0", for_ever(b"x", 0.5))),
        "pings": (True, for_ever(masked(Opcode.PING, b"x" * 125) * 100)),
        "pongs": (True, for_ever(masked(Opcode.PONG, b"x" * 125) * 100)),
        "bytes at full speed": (True, for_ever(masked(Opcode.BINARY, b"\0" * 1_000) * 60)),
        "headers without end": (False, first(b"GET / HTTP/1.1\r\n", for_ever(b"X-More: more\r\n" * 100))),
        "a header a second": (False, first(b"GET / HTTP/1.1\r\n", for_ever(b"X-More: more\r\n", 1))),
        "empty lines": (False, for_ever(b"\r\n", 0.5)),
    }


async def attack(gate: Gate, shaken: bool, said: AsyncGenerator[bytes]) -> tuple[int, float]:  # noqa: FBT001  of a table
    """Bytes that were said, and the seconds until the server closed; twice the limit if it did not."""
    sent = 0
    async with wire(gate) as there, contextlib.aclosing(said):
        if shaken:
            there.say(handshake(STAGE, host="localhost"))
            if await there.status() != 101:
                return 0, 0
        there.began = time.monotonic()
        ended = asyncio.ensure_future(end(there))
        with contextlib.suppress(OSError, TimeoutError):
            async for part in said:
                if ended.done() or time.monotonic() - there.began > 2 * CUT_S:
                    break
                there.writer.write(part)
                sent += len(part)
                async with asyncio.timeout(1):
                    with contextlib.suppress(TimeoutError):
                        await there.writer.drain()
        return sent, await ended


async def end(there: Wire) -> float:
    """The seconds until the server closed; what is still said to it meanwhile takes its own time."""
    with contextlib.suppress(OSError, TimeoutError):
        await there.rest(2 * CUT_S)
    return time.monotonic() - there.began


async def listen(gate: Gate, gaps: list[float]) -> None:
    """Another page, for as long as it is let: how long it heard nothing."""
    async with wire(gate) as there:
        there.say(handshake(STAGE, host="localhost"))
        last = time.monotonic()
        while await there.reader.read(65_536):
            now = time.monotonic()
            gaps.append(now - last)
            last = now
    gaps.append(2 * CUT_S)


async def run(setup: Setup) -> Outcome:
    """All attacks at once, several times each, while another page listens."""
    problems: list[str] = []
    each = 1 if setup.short else 8
    gaps: list[float] = []
    async with ground(setup.folder, setup.sabotage) as here, here.gate({}, {"pulse_ms": 100}) as gate:
        listener = asyncio.ensure_future(listen(gate, gaps))
        names, before = [name for _ in range(each) for name in attacks()], gate.resident()
        ways = [way for _ in range(each) for way in attacks().values()]
        done = await asyncio.gather(*(attack(gate, *way) for way in ways))
        grown = gate.resident() - before
        listener.cancel()
        await asyncio.gather(listener, return_exceptions=True)
    problems += [
        f"{name}: open after {took:.0f} s" for name, (_, took) in zip(names, done, strict=True) if took > CUT_S + 1
    ]
    if max(gaps, default=99) > QUIET_S:
        problems.append(f"another page heard nothing for {max(gaps, default=99):.1f} s")
    longest = max(took for _, took in done)
    figure = (
        f"{len(names)} attackers of {len(attacks())} kinds: the last one cut after {longest:.1f} s; another page heard "
        f"something every {max(gaps, default=99) * 1_000:.0f} ms at least; memory + {grown / 2**20:.1f} MiB"
    )
    landed = sum(sent > 0 for sent, _ in done)
    return Outcome(figure, landed, len(names), tuple(problems), {"attackers": len(names)})


PROGRAM = Program(
    "S3", "over-size, endless, one-byte and half frames, floods: closed within 10 s", "hostile frames", run,
    ("no_meter", "patient"),
)  # fmt: skip
