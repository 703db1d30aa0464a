"""Calls: one that a stranger makes to send a frame of his own, and one of somebody who just wants to talk."""

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from websockets.frames import Opcode

from services.runtime.bus import Bus
from tests.caller import calling
from tests.gateway.studio import Studio
from tests.security.ground import Gate, Ground, Wire, handshake, masked, wire

CALL = "/api/live_voice_call/chat"
TEXT = b"\0text\0"
"""Before what is sent as a text message."""
PCM = bytes(2_400)


@dataclass
class Refused:
    """What became of a frame: the code of BotError, and the code of the close."""

    error: str = ""
    close: int = 0


async def close_of(there: Wire) -> Refused:
    """How the call ends that was begun there; raises TimeoutError if nothing comes for long."""
    got = Refused()
    with contextlib.suppress(OSError, asyncio.IncompleteReadError):
        while not got.close:
            opcode, body = await there.message()
            if opcode == Opcode.CLOSE:
                got.close = int.from_bytes(body[:2], "big") or 1005
            elif opcode == Opcode.BINARY and json.loads(body[8:])["event"] == "BotError":
                got.error = json.loads(body[8:])["payload"]["error"]["code"]
    return got


async def throw(gate: Gate, said: bytes, path: str = CALL) -> Refused:
    """Call, say this, and hear how the call is ended."""
    async with wire(gate) as there:
        there.say(handshake(path, host=f"{gate.own}:{gate.port}"))
        if await there.status() != 101:
            return Refused()
        text = said.startswith(TEXT)
        there.say(masked(Opcode.TEXT if text else Opcode.BINARY, said.removeprefix(TEXT)))
        with contextlib.suppress(TimeoutError):
            return await close_of(there)
    return Refused()


@dataclass
class Talk:
    """A call that goes on all the while."""

    answers: int = 0
    slowest_s: float = 0.0
    problems: list[str] = field(default_factory=list[str])


async def talk_on(gate: Gate, studio: Studio, talk: Talk, pause_s: float) -> None:
    """One turn after the other, each answered by the studio."""
    async with calling(gate.port, "?sid=somebody") as caller:
        await caller.until("BotReady")
        while True:
            began = time.monotonic()
            await caller.send("TextInput", text=f"number {talk.answers}")
            turn = await studio.turn()
            await studio.speak(turn, 0, "Hello.", PCM)
            await studio.end(turn, 1, "Hello.")
            heard = [frame.event for frame in await caller.until("TTSDone")]
            if heard != ["SentenceRecognized", "TTSSentenceStart", "audio", "TTSDone"]:
                talk.problems.append(f"turn {talk.answers} of another call was {heard}")
            talk.answers += 1
            talk.slowest_s = max(talk.slowest_s, time.monotonic() - began)
            await asyncio.sleep(pause_s)


@asynccontextmanager
async def somebody(here: Ground, gate: Gate, pause_s: float = 0.05) -> AsyncGenerator[Talk]:
    """A call that goes on meanwhile; what went wrong with it is in its problems at the end."""
    bus, talk = Bus(here.work, [here.live]), Talk()
    task = asyncio.ensure_future(talk_on(gate, Studio(bus), talk, pause_s))
    try:
        yield talk
    finally:
        before = talk.answers
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(10):
                while talk.answers == before and not task.done():
                    await asyncio.sleep(0.05)
        if talk.answers == before:
            talk.problems.append("another call is answered no more")
        task.cancel()
        (ended,) = await asyncio.gather(task, return_exceptions=True)
        if isinstance(ended, Exception):
            talk.problems.append(f"another call broke: {ended!r}")
        await bus.close()
