"""S6: connections in all and of each client are bounded; what a client says in a while is too."""

import asyncio
import contextlib
import socket
from contextlib import AsyncExitStack

from websockets.frames import Opcode

from tests.caller import SOUND, framed, request
from tests.chaos.program import Outcome, Program, Setup
from tests.security.call import CALL, close_of
from tests.security.ground import STAGE, Gate, Wire, ground, handshake, masked, wire

IN, POLICY = 101, 1008
MESSAGES = 2_000
SAID_S = 3.0
SPEECH, ORDER = framed(SOUND, bytes(3_200)), request("StopSpeaking")
"""100 ms of sound, and a request."""
CALLERS = {
    "6 s of sound at once": (0, SPEECH, 60),
    "12 s of sound at once": (POLICY, SPEECH, 120),
    "200 requests at once": (0, ORDER, 200),
    "300 requests at once": (POLICY, ORDER, 300),
}
"""Close code (0: none) and what is sent how often."""


def elsewhere() -> str:
    """An address of this machine that is not its loopback; '' if it has none."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe, contextlib.suppress(OSError):
        probe.connect(("192.0.2.1", 9))
        found = str(probe.getsockname()[0])
        return "" if found.startswith("127.") else found
    return ""


async def enter(stack: AsyncExitStack, gate: Gate) -> tuple[int, Wire]:
    """One more WebSocket that stays; the status it gets."""
    there = await stack.enter_async_context(wire(gate))
    there.say(handshake(STAGE, host=f"{gate.own}:{gate.port}"))
    return await there.status(), there


async def crowd(gate: Gate, more: int) -> list[int]:
    """What each of so many connections gets that stay, and one that comes when all have gone."""
    async with AsyncExitStack() as stack:
        got = [(await enter(stack, gate))[0] for _ in range(more)]
    async with asyncio.timeout(20):
        while True:
            async with AsyncExitStack() as stack:
                if (await enter(stack, gate))[0] == IN:
                    return got
            await asyncio.sleep(0.1)


async def talk(gate: Gate) -> bool:
    """Whether a client is cut off that sends messages as fast as it can."""
    async with AsyncExitStack() as stack:
        _, there = await enter(stack, gate)
        there.say(masked(Opcode.TEXT, b"hello") * MESSAGES)
        try:
            await there.rest(5)
        except TimeoutError:
            return False
        return True


async def call(gate: Gate, said: bytes, times: int) -> int:
    """How a call ends in which that is said so often; 0 if it goes on."""
    async with wire(gate) as there:
        there.say(handshake(CALL, host=f"{gate.own}:{gate.port}"))
        if await there.status() != IN:
            return -1
        there.say(masked(Opcode.BINARY, said) * times)
        try:
            async with asyncio.timeout(SAID_S):
                return (await close_of(there)).close
        except TimeoutError:
            return 0


async def run(setup: Setup) -> Outcome:
    """More connections than there is room for, from here and from another address; more messages than are allowed."""
    problems: list[str] = []
    total, each = (60, 20) if setup.short else (3_000, 64)
    address = elsewhere()
    environ = {"GATEWAY_HOST": "0.0.0.0", "GATEWAY_OPEN_NETWORKS": f"{address or '192.0.2.1'}/32"}  # noqa: S104  as in a network
    caps = {"connections": total, "connections_each": each, "viewers": 10_000}
    async with ground(setup.folder, setup.sabotage) as here, here.gate(environ, caps) as gate:
        here_got = await crowd(gate, total + 20)
        client_got: list[int] = []
        if address:
            client_got = await crowd(Gate(gate.port, gate.log, gate.process, address), each + 20)
        cut = await talk(gate)
        ends = await asyncio.gather(*(call(gate, said, times) for _, said, times in CALLERS.values()))
    everybody, one = here_got.count(IN), client_got.count(IN)
    problems += [f"{everybody} connections, not {total}"] if everybody != total else []
    problems += [f"{one} connections of one client, not {each}"] if one != each else []
    problems += ["a client that talks without end was not cut off"] if not cut else []
    problems += [
        f"{what} ended a call with {got or 'nothing'}, not {code or 'nothing'}"
        for (what, (code, _, _)), got in zip(CALLERS.items(), ends, strict=True)
        if got != code
    ]
    refused = len(here_got) + len(client_got) - everybody - one
    figure = (
        f"{len(here_got)} connections, {everybody} in; {len(client_got)} of one client, {one} in; {MESSAGES} messages at "
        f"once: {'cut off' if cut else 'never cut'}; calls: "
        + ", ".join(f"{what} {got or 'goes on'}" for what, got in zip(CALLERS, ends, strict=True))
    )
    return Outcome(figure, refused + 1 + ends.count(POLICY), 43, tuple(problems), {"in": everybody, "of one": one})


PROGRAM = Program(
    "S6", "so many connections in all and of each client, messages a second, requests a minute, 1.5 s of sound a second",
    "crowds and talkers", run,
    ("no_crowd", "no_meter"),
)  # fmt: skip
