"""A caller with the part of the gateway that asr sees: he speaks into the microphone, and orders whoever listens."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import cast

from services.asr.core.pcm import HEARD_RATE
from services.contract import streams
from services.contract.asr import Transcribed, VoiceBegan
from services.contract.gateway import CallOpened
from services.contract.message import Message
from services.runtime import envelope
from services.runtime.bus import Bus
from services.runtime.clock import now_ms
from services.runtime.mic import Mic
from services.runtime.sessions import Item, Sessions
from services.runtime.trouble import TROUBLE

FRAME = HEARD_RATE // 50
LOOK_S = 0.25


@dataclass
class Caller:
    """One call. `at` is where he is in it, in samples."""

    bus: Bus
    session: str
    language: str = "en"
    at: int = 0
    orders: int = 0
    written: list[tuple[int, int]] = field(default_factory=list[tuple[int, int]])
    """Position after each frame and the broker's time of it."""

    async def order(self) -> None:
        """Ask for a listener."""
        message = CallOpened(session=self.session, language=self.language, deadline_ms=now_ms() + 5_000)
        await self.bus.work.xadd(streams.CALLS.key(), {"__data__": envelope.encode(message)})
        self.orders += 1

    async def attended(self) -> bytes | None:
        """Who listens."""
        return cast("bytes | None", await self.bus.work.get(streams.ATTEND.of(self.session)))

    async def care(self) -> None:
        """Order a listener whenever there is none, for ever; one order at a time lies among the work."""
        while True:
            with suppress(*TROUBLE):
                if not await self.attended() and not await self.bus.work.xlen(streams.CALLS.key()):
                    await self.order()
            await asyncio.sleep(LOOK_S)

    async def say(self, pcm: bytes, *, fast: bool = False) -> None:
        """Speak as fast as one speaks, 20 ms at a time; `fast`: at once."""
        mic, clock = Mic(self.bus), asyncio.get_running_loop().time
        begun = clock()
        for at in range(0, len(pcm), FRAME * 2):
            piece = pcm[at : at + FRAME * 2]
            id_ = await mic.write(self.session, self.at, piece)
            self.at += len(piece) // 2
            self.written.append((self.at, int(id_.split("-")[0])))
            if not fast:
                await asyncio.sleep(max(0, begun + (at + FRAME * 2) / 2 / HEARD_RATE - clock()))

    async def told(self) -> list[Item]:
        """The whole session so far."""
        return await Sessions(self.bus).range(self.session)

    async def messages(self) -> list[Message]:
        return [item.message for item in await self.told()]

    async def finals(self) -> list[Transcribed]:
        """The utterances so far."""
        return [one for one in await self.messages() if isinstance(one, Transcribed) and one.final]

    async def began(self) -> list[VoiceBegan]:
        return [one for one in await self.messages() if isinstance(one, VoiceBegan)]

    async def until(self, holds: Callable[[list[Message]], object], patience_s: float = 20) -> list[Message]:
        """Wait until it holds of what was told; all that was told then."""
        async with asyncio.timeout(patience_s):
            while not holds(told := await self.messages()):
                await asyncio.sleep(0.02)
            return told

    async def heard(self, count: int, patience_s: float = 20) -> list[Transcribed]:
        """Wait for so many utterances."""
        await self.until(
            lambda told: sum(isinstance(one, Transcribed) and one.final for one in told) >= count, patience_s
        )
        return await self.finals()

    async def listened(self) -> bytes:
        """Wait until somebody listens; who."""
        async with asyncio.timeout(20):
            while not (who := await self.attended()):
                await asyncio.sleep(0.02)
            return who
