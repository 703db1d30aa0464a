"""A caller: a microphone that never stops, in real time, and the times of all that it sends and hears."""

import asyncio
import random
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from websockets.asyncio.client import ClientConnection, connect

from services.asr.adapters.soxr import resample
from services.contract.tts import AIR_RATE
from services.runtime.sound import samples, voiced_at
from services.tts.adapters.espeak import Espeak
from services.tts.core.ports import Voice
from tests.asr.speech import hiss, mixed
from tests.caller import HEARD_RATE, SOUND, Heard, framed, heard, request

PATIENCE_S = 20


@dataclass(frozen=True)
class Sent:
    """Where something that was said lies in the call, in samples."""

    first: int
    """The first voiced one."""
    last: int
    """The last voiced one."""


@dataclass(frozen=True)
class Got:
    """One frame of the server and when it came, in ns of the machine's clock."""

    at: int
    frame: Heard


@dataclass
class Phone:
    """One connection. Sample n of the call is in frame n // `frame`; `sent` has each frame's time in ns."""

    socket: ClientConnection
    frame: int
    noise: int = 0
    """The loudest sample of the hiss under all that is sent."""
    sent: list[int] = field(default_factory=list[int])
    _inbox: asyncio.Queue[Got] = field(default_factory=asyncio.Queue[Got])
    _pcm: bytes = b""

    def say(self, pcm: bytes, chance: random.Random) -> Sent:
        """Let this be said from the next frame on, beginning anywhere in it."""
        lead = chance.randrange(self.frame)
        at = len(self.sent) * self.frame + lead
        voiced = abs(samples(pcm).astype(int)) > 300  # noqa: PLR2004  1 % of the loudest: a sound, no noise
        self._pcm = bytes(2 * lead) + pcm
        return Sent(at + (voiced_at(pcm, HEARD_RATE) or 0), at + int(voiced.nonzero()[0][-1]))

    def sent_at(self, sample: int) -> int:
        """When the frame with that sample of the call was sent."""
        return self.sent[sample // self.frame]

    async def send(self, event: str, **payload: object) -> None:
        """An event of the client."""
        await self.socket.send(request(event, **payload))

    async def next(self) -> Got:
        """What the server says next."""
        async with asyncio.timeout(PATIENCE_S):
            return await self._inbox.get()

    async def until(self, event: str) -> list[Got]:
        """All up to the next event of that name."""
        told = [await self.next()]
        while told[-1].frame.event != event:
            told.append(await self.next())
        return told

    async def listen(self) -> None:
        """Note what comes."""
        async for data in self.socket:
            self._inbox.put_nowait(Got(time.monotonic_ns(), heard(data)))

    async def microphone(self) -> None:
        """What is said, and silence for ever."""
        loop, size = asyncio.get_running_loop(), 2 * self.frame
        began = loop.time()
        while True:
            await asyncio.sleep(began + (len(self.sent) + 1) * self.frame / HEARD_RATE - loop.time())
            pcm, self._pcm = self._pcm[:size].ljust(size, b"\0"), self._pcm[size:]
            if self.noise:
                pcm = mixed(pcm, hiss(self.frame * 1_000 // HEARD_RATE, self.noise, len(self.sent)))
            self.sent.append(time.monotonic_ns())
            await self.socket.send(framed(SOUND, pcm))


@asynccontextmanager
async def phone(url: str, sid: str, frame_ms: int, noise: int = 0) -> AsyncGenerator[Phone]:
    """A call of its own whose client plays a stream and may interrupt."""
    where = f"ws://{urlsplit(url).netloc}/api/live_voice_call/chat?sid={sid}"
    async with connect(where, proxy=None, max_size=None, compression=None) as socket:
        caller = Phone(socket, HEARD_RATE * frame_ms // 1_000, noise)
        await caller.send("BotUpdateConfig", audio="stream", interrupt=True)
        tasks = [asyncio.ensure_future(part) for part in (caller.listen(), caller.microphone())]
        try:
            yield caller
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


async def speech(text: str) -> bytes:
    """The text as espeak-ng speaks it, s16le mono at 16 kHz."""
    engine = Espeak()
    pcm = b"".join([part async for part in engine.speak(text, Voice("bench", {"voice": "en-us"}), "")])
    await engine.close()
    return resample(pcm, AIR_RATE, HEARD_RATE)
