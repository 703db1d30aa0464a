"""A live call from this terminal: what the microphone hears goes out, what comes back is played and shown."""

import asyncio
import secrets
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidURI

from onair import frames
from onair.devices import Devices
from onair.drive import DONE, tame, tell
from onair.frames import Audio, Event
from onair.playback import Playback, millis
from onair.server import Server
from onair.shown import Screen
from onair.sockets import TRIES_S, Straight, connecting, unreached
from services.contract.failure import Code, Failure

PATH = "/api/live_voice_call/chat"
KEPT = 156
"""Frames of the microphone, of 32 ms, that wait for a connection that broke off."""
LOOK_S = 0.05
MARK_S = 0.5
FINAL = {4409, 1008, 1002, 1003, 1007, 1009}
"""Close codes after which the call is not gone on with: it is another's, or we did wrong."""


@dataclass
class Call:
    """One call, over as many connections as it takes."""

    server: Server
    config: Mapping[str, Any]
    playback: Playback = field(default_factory=Playback)
    sid: str = field(default_factory=lambda: secrets.token_hex(8))
    heard: deque[bytes] = field(default_factory=lambda: deque[bytes](maxlen=KEPT))
    latency_samples: int = 0
    """What was given to the loudspeaker and is not heard yet."""

    def __post_init__(self) -> None:
        self._turn, self._index, self._got, self._done, self._known = "", 0, 0, "", False
        self._screen = Screen()
        self._news = asyncio.Event()

    def hear(self, pcm: bytes) -> None:
        """100 ms of the microphone."""
        self.heard.append(pcm)
        self._news.set()

    async def hold(self) -> None:
        """Until it is cancelled; raises Failure where the call cannot be held (any more)."""
        tries = 0
        while True:
            try:
                async with self._connected() as socket:
                    if tries:
                        tell("the connection is back")
                    self._known, tries = True, 0
                    await self._serve(socket)
            except (OSError, TimeoutError, InvalidHandshake, InvalidURI, ConnectionClosed) as error:
                ended = isinstance(error, ConnectionClosed) and error.rcvd and error.rcvd.code in FINAL
                if ended or not self._known or tries == len(TRIES_S):
                    raise _nobody(self.server, error) from error
                if not tries:
                    tell("the connection broke off; trying again")
                await asyncio.sleep(TRIES_S[tries])
                tries += 1

    def _connected(self) -> Straight:
        query = {"sid": self.sid}
        if self._turn:
            query["resume"] = f"{self._turn}:{self._index}:{self._got}"
        return connecting(self.server, PATH, query)

    async def _serve(self, socket: ClientConnection) -> None:
        """Both ways, until the connection is over, which it says by ConnectionClosed."""
        await socket.send(frames.request("BotUpdateConfig", self.config))
        works = [
            asyncio.ensure_future(work) for work in (self._send(socket), self._receive(socket), self._look(socket))
        ]
        try:
            await asyncio.wait(works, return_when=asyncio.FIRST_COMPLETED)
            for work in works:
                if work.done():
                    work.result()
        finally:
            for work in works:
                work.cancel()
            await asyncio.gather(*works, return_exceptions=True)

    async def _send(self, socket: ClientConnection) -> None:
        while True:
            while self.heard:
                await socket.send(frames.sound(self.heard[0]))
                self.heard.popleft()
            self._news.clear()
            await self._news.wait()

    async def _receive(self, socket: ClientConnection) -> None:
        while True:
            said = frames.parse(await socket.recv())
            if isinstance(said, Audio):
                self._got += len(said.pcm) // 2
                self.playback.add(said.pcm)
            else:
                self._event(said)

    def _event(self, event: Event) -> None:
        match event.name:
            case "SentenceRecognized":
                self._turn, self._index, self._got = event.text("turn"), 0, 0
                if text := event.text("sentence"):
                    self._screen.recognised(text)
            case "PartialSentence":
                self._screen.partial(event.text("sentence"))
            case "TTSSentenceStart":
                self._turn, self._index = event.text("turn"), event.number("index")
                self._got = event.number("from_sample")
                self.playback.start(self._turn, self._index, event.text("sentence"), self._got)
            case "PlaybackPause":
                self.playback.pause()
            case "PlaybackResume":
                self.playback.resume()
            case "PlaybackStop":
                self.playback.flush()
                self._screen.interrupted()
            case "TTSDone" if event.text("turn") != self._done:
                self._done = event.text("turn")
                self._screen.latency(event.part("latency"))
            case "BotError":
                self._screen.complaint(event.part("error").text("message"))
            case _:
                pass

    async def _look(self, socket: ClientConnection) -> None:
        """Show what is heard when it is heard, and tell the server how far that is."""
        told = None
        while True:
            for _ in range(round(MARK_S / LOOK_S)):
                for text in self.playback.captions():
                    self._screen.caption(text)
                await asyncio.sleep(LOOK_S)
            place = self.playback.place()
            if place and place != told:
                told = place
                played_ms = millis(max(0, place.samples - self.latency_samples))
                mark = {"turn": place.turn, "sentence": place.index, "played_ms": played_ms}
                await socket.send(frames.request("PlaybackMark", mark))


def _nobody(server: Server, error: Exception) -> Failure:
    """Why there is no call, and what to do."""
    close = error.rcvd if isinstance(error, ConnectionClosed) else None
    if close and close.code in FINAL:
        return Failure(Code.BUSY, f"the call has ended: {tame(close.reason) or close.code}")
    return unreached(server, error)


async def call(server: Server, config: Mapping[str, Any]) -> int:
    """Hold it until Ctrl-C; raises Failure."""
    loop, made = asyncio.get_running_loop(), Call(server, config)

    def heard(pcm: bytes) -> None:
        loop.call_soon_threadsafe(made.hear, pcm)

    with Devices(heard, made.playback.pull) as devices:
        made.latency_samples = devices.latency_samples
        tell(
            f"calling {server.url}: speak; interrupt whenever you like. Ctrl-C ends. Loudspeakers echo: use headphones"
        )
        await made.hold()
    return DONE
