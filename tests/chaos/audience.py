"""Who is in the rooms: senders that keep what was acknowledged, a listener in each, and the end of the show."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, cast

import httpx2
from redis.exceptions import RedisError

from onair.ledger import read
from services.contract import streams
from services.contract.ingest import Kind, Lane, LiveEvent, Viewer
from services.contract.tts import AIR_RATE
from services.runtime.bus import Bus
from services.runtime.clock import now_ms
from services.runtime.sessions import Item, Sessions
from services.runtime.show import Show
from services.tts.adapters.scripted import LETTER_MS, PAUSE_MS
from tests.chaos.checker import Ear, Evidence, Judgement, Left, judge
from tests.chaos.stack import Stack

POOL = "scripted"
RETRY_S = 0.1
PRICE_FEN = 3_000


def config(
    rooms: int, *, ask: str = "", say: str = "{message}", pace: float = 0.0, language: str = "en", **more: Any
) -> dict[str, Any]:
    """Rooms `room0`, `room1`, … of one host with the scripted voice, whose 20 ms pieces take `pace` seconds each.

    Without an `ask` no model is asked: the answer is the message itself.
    """
    template = {"ask": ask, "say": say}
    host = {"language": language, "voice": "tones", "prompt": {language: "You are the host."}}
    kinds = ("danmaku", "super_chat", "guard", "gift")
    room: dict[str, Any] = {"persona": "host", "sources": [{"api": dict[str, Any]()}]}
    made: dict[str, Any] = {
        "personas": {"host": {**host, "templates": dict.fromkeys(kinds, template)}, "friend": host},
        "voices": {"tones": {"engines": [{POOL: {"pace": pace}}]}},
        "engines": {"llm": {"scripted": dict[str, Any]()}},
        "rooms": {f"room{number}": room for number in range(rooms)},
    }
    return {**made, **more}


def length(text: str) -> int:
    """Samples of the scripted voice for that text."""
    return sum(AIR_RATE * (LETTER_MS if mark.isalnum() else PAUSE_MS) // 1_000 for mark in text)


def super_chat(room: str, id_: str, text: str, amount_fen: int = PRICE_FEN) -> LiveEvent:
    """A paid message as the gateway makes it."""
    return LiveEvent(
        id=f"api:super_chat:{id_}",
        room=room,
        source="api",
        kind=Kind.SUPER_CHAT,
        lane=Lane.PAID,
        viewer=Viewer(name="somebody"),
        text=text,
        amount_fen=amount_fen,
        at_ms=now_ms(),
    )


def messages(rooms: Sequence[str], each: int, samples: dict[str, int]) -> Iterator[LiveEvent]:
    """So many paid messages of two sentences for each room, turn by turn; notes in `samples` how long each is spoken."""
    for number in range(each):
        for at, room in enumerate(rooms):
            event = super_chat(room, f"{at}-{number}", f"a{number}. b{at}.")
            samples[event.id] = length(event.text.replace(" ", ""))
            yield event


class Audience:
    """Senders and listeners of a stack's rooms."""

    def __init__(self, stack: Stack, bus: Bus, rooms: Sequence[str], *, listen: Sequence[str] | None = None) -> None:
        self.stack = stack
        self.bus = bus
        self.show = Show(bus.work)
        self.sessions = Sessions(bus)
        self.rooms = list(rooms)
        self.acked: dict[str, list[str]] = {room: [] for room in rooms}
        self.ears: dict[str, Ear] = {room: Ear() for room in (rooms if listen is None else listen)}
        self.waiting: dict[str, float] = {}
        """Ids that were sent and not acknowledged, and since when (monotonic seconds)."""
        self.broken: Counter[str] = Counter()
        """Id → how often the gateway went away between its request and the answer."""
        self.watchers: list[Callable[[str, Item], None]] = []
        """Called with room and entry for all that the listeners read."""
        self._tasks: list[asyncio.Task[None]] = []

    async def begin(self) -> None:
        """Listen from the beginning of each session."""
        self._tasks = [asyncio.create_task(self._listen(room), name=f"ear {room}") for room in self.ears]

    async def end(self) -> None:
        """Listen no more."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _listen(self, room: str) -> None:
        async for item in self.sessions.read(room, "0-0"):
            self.ears[room].feed(item.message, item.blob)
            for watch in self.watchers:
                watch(room, item)

    async def send(self, event: LiveEvent) -> None:
        """As the gateway keeps what is paid for, tried again until it is acknowledged."""
        self.waiting[event.id] = time.monotonic()
        while True:
            try:
                await self.show.receive(event)
            except (RedisError, OSError):
                await asyncio.sleep(RETRY_S)
                continue
            break
        self._taken(event.room, event.id)

    async def withdraw(self, event: LiveEvent) -> None:
        """As ingest keeps a platform's withdrawal: it is no purchase, so it has no row."""
        while True:
            try:
                await self.show.receive(event, row=False)
            except (RedisError, OSError):
                await asyncio.sleep(RETRY_S)
                continue
            return

    async def post(self, client: httpx2.AsyncClient, base: str, room: str, id_: str, text: str) -> None:
        """By the gateway's door, tried again under the same id until it is acknowledged."""
        body = {"kind": "super_chat", "text": text, "amount_fen": PRICE_FEN, "viewer": "somebody", "id": id_}
        self.waiting[f"api:super_chat:{id_}"] = time.monotonic()
        while True:
            try:
                answer = await client.post(f"{base}/api/rooms/{room}/events", json=body)
            except httpx2.HTTPError as error:
                self.broken[f"api:super_chat:{id_}"] += not isinstance(error, httpx2.ConnectError)
                await asyncio.sleep(RETRY_S)
                continue
            if answer.status_code in {200, 202}:
                break
            await asyncio.sleep(RETRY_S)
        self._taken(room, f"api:super_chat:{id_}")

    def _taken(self, room: str, id_: str) -> None:
        self.waiting.pop(id_, None)
        self.acked[room].append(id_)

    async def settled(self, patience_s: float) -> bool:
        """Wait until nothing waits in any lane, nothing is on a floor and no work is left; False after `patience_s`."""
        until = time.monotonic() + patience_s
        while time.monotonic() < until:
            try:
                if await self._quiet():
                    return True
            except (RedisError, OSError):
                pass
            await asyncio.sleep(0.2)
        return False

    async def _quiet(self) -> bool:
        work = cast("Any", self.bus.work)
        pipe = work.pipeline(transaction=False)
        for room in self.rooms:
            pipe.xlen(streams.PAID.of(room))
            pipe.hlen(streams.FLOOR.of(room))
            pipe.hexists(streams.FLOOR.of(room), "no")
        found = await pipe.execute()
        lanes, floors, numbered = found[0::3], found[1::3], found[2::3]
        busy = any(lanes) or any(floor > known for floor, known in zip(floors, numbered, strict=True))
        return not busy and not any(left.length for left in (await remains(self.bus)).values())

    async def evidence(self, samples: Mapping[str, int] | None = None, **more: Any) -> Evidence:
        """What the run left; the listeners have read to the end of their sessions."""
        rows: dict[str, Any] = {}
        lanes: dict[str, frozenset[str]] = {}
        for room in self.rooms:
            books = await read(self.stack.work.url, room)
            rows[room], lanes[room] = books.rows, frozenset(books.lane)
        left = await remains(self.bus)
        return Evidence(self.acked, rows, lanes, self.ears, left, samples or {}, **more)

    async def judged(self, samples: Mapping[str, int] | None = None, **more: Any) -> Judgement:
        """The run, judged."""
        await asyncio.sleep(1.0)  # a listener reads at least once a second
        return judge(await self.evidence(samples, **more))


async def remains(bus: Bus) -> dict[str, Left]:
    """What each work stream still holds."""
    work = cast("Any", bus.work)
    keys = [(s.key(POOL), s.group) for s in streams.WORK_STREAMS]
    left: dict[str, Left] = {}
    for key, group in keys:
        groups: list[Any] = await work.xinfo_groups(key) if await work.exists(key) else []
        pending = sum(int(g["pending"]) for g in groups if g["name"] in {group, group.encode()})
        left[key] = Left(int(await work.xlen(key)), pending)
    return left


@asynccontextmanager
async def show(stack: Stack, rooms: Sequence[str], *, listen: Sequence[str] | None = None) -> AsyncGenerator[Audience]:
    """The audience of these rooms, with a listener in each (or in those of `listen`)."""
    async with stack.bus() as bus:
        audience = Audience(stack, bus, rooms, listen=listen)
        await audience.begin()
        try:
            yield audience
        finally:
            await audience.end()
