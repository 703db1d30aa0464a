"""A room on air: the director decides, and its orders are carried out under the room's lease.

A room ends with any trouble of a broker: what it knows may be old then. The next one begins with what the broker knows.
"""

import asyncio
import itertools
import secrets
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from services.contract.gateway import Interrupted
from services.contract.ingest import Decided, Lane, LiveEvent, TurnAired, TurnDropped, TurnRequested
from services.contract.llm import SentenceReady
from services.contract.message import Message
from services.contract.streams import SESSION_KEPT_MS
from services.contract.tts import SpeechStarted
from services.ingest.core.director import Director
from services.ingest.core.items import Air, Choice, Decide, Drop, Order, Request, Settle, Turn
from services.ingest.core.minutes import Minutes
from services.ingest.core.progress import Finished, Progress
from services.ingest.core.requests import Cast, ledger_rows, turn_requested
from services.ingest.core.tally import Tally
from services.runtime.archive import Archive
from services.runtime.clock import now_ms
from services.runtime.metrics import EVENTS
from services.runtime.sessions import Item, Sessions
from services.runtime.show import Show, Term
from services.runtime.trouble import TROUBLE
from services.runtime.work import Verdict, Work

TICK_S = 0.1
API = "api"
"""Source of what came in by the gateway."""
RENEW_S = 1.0
COUNT_S = 10
"""Seconds after which what came and was dropped is on the record."""
LOST_MS = 2_000
"""Sound that work knows to be complete and that the session has not shown for so long is lost."""
Told = TurnRequested | SentenceReady | TurnAired | SpeechStarted
"""What readers learn a turn's number and epoch from."""


class LeaseLostError(Exception):
    """Another process directs the room now."""


@dataclass(frozen=True)
class Desk:
    """What a room works with."""

    show: Show
    archive: Archive
    work: Work
    sessions: Sessions


class Room:
    """One room, from the taking of its lease to the loss of it, or to the first trouble. `fed`: more may come."""

    def __init__(self, cast: Cast, desk: Desk, term: Term, tally: Tally, fed: Callable[[], bool]) -> None:
        self._cast = cast
        self._desk = desk
        self._term = term
        self._tally = tally
        self._fed = fed
        self._entries: dict[str, str] = {}
        self._samples: dict[str, int] = {}
        self._complete_since: dict[str, int] = {}
        self._progress = Progress()
        self._minutes = Minutes(now_ms() - SESSION_KEPT_MS)
        self._lock = asyncio.Lock()
        self._director = Director(cast.room, cast.policy, now_ms())
        self._broken = asyncio.get_running_loop().create_future()

    async def run(self, ready: Callable[[], Awaitable[None]]) -> None:
        """Direct the room for ever; raises what ends it: LeaseLostError, or trouble of a broker. `ready`: it is restored."""
        after, paid = await self._restore()
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._read_session(after))
                group.create_task(self._read_lanes(paid))
                group.create_task(self._tick())
                group.create_task(self._renew())
                group.create_task(self._until_broken())
                await ready()
        finally:
            if not self._broken.cancel():
                self._broken.exception()  # it is raised already, or another is

    async def _until_broken(self) -> None:
        await asyncio.shield(self._broken)

    async def take(self, event: LiveEvent) -> bool:
        """Something happened in the room that was not paid for. False: the room ends, it was not taken."""
        try:
            await self._say(event)
            await self._with_director(lambda director: director.received(event, now_ms()))
        except (*TROUBLE, LeaseLostError) as error:
            if not self._broken.done():
                self._broken.set_exception(error)
            return False
        return True

    async def _restore(self) -> tuple[str, str]:
        """Where the one before left off: the ledger, the lane, the floor, and what the session says of it."""
        room, show = self._cast.room, self._desk.show
        items = await self._desk.sessions.range(room)
        epoch = await show.catch_up(room, *_reached(items))
        rows = await show.ledger(room)
        waiting = await show.waiting(room)
        floor = [Turn.from_json(note) for note in await show.floor(room)]
        self._entries = {entry.event.id: entry.entry for entry in waiting}
        events = [entry.event.model_copy(update={"raw": ""}) for entry in waiting]
        self._director, orders = Director.restore(
            room, self._cast.policy, now_ms(), rows=rows.values(), waiting=events, floor=floor
        )
        self._progress.keep(turn.id for turn in self._director.floor)
        ended = [step for item in items for step in self._hear(item)]
        await self._tell_again(items)
        await self._carry_out(orders)
        by = next((item.message.by for item in reversed(items) if isinstance(item.message, Interrupted)), "")
        await self._carry_out(self._director.interrupted(epoch, now_ms(), by))
        for step in ended:
            await self._end(step)
        return (items[-1].id if items else "0-0"), (waiting[-1].entry if waiting else "0-0")

    async def _tell_again(self, items: Sequence[Item]) -> None:
        """The one before may have ended between asking for a turn, or giving it the floor, and telling the session."""
        asked = {item.message.turn for item in items if isinstance(item.message, TurnRequested)}
        aired = {item.message.turn for item in items if isinstance(item.message, TurnAired)}
        for turn in self._director.floor:
            if turn.id not in asked:
                await self._say(turn_requested(self._cast, turn))
            if turn.aired_ms and turn.id not in aired:
                await self._say(TurnAired(turn=turn.id, no=turn.no, epoch=turn.epoch, clear=True))

    async def _read_lanes(self, after: str) -> None:
        """What was paid for, whoever took it in, and what the gateway took in, which has told the session of it."""
        async for waiting in self._desk.show.follow(self._cast.room, after):
            event = waiting.event.model_copy(update={"raw": ""})
            if event.lane is Lane.PAID:
                self._entries[event.id] = waiting.entry
            if event.source == API:
                self._tally.event(event)
            await self._with_director(lambda director, event=event: director.received(event, now_ms()))

    async def _read_session(self, after: str) -> None:
        async for item in self._desk.sessions.read(self._cast.room, after):
            async with self._lock:
                if isinstance(item.message, Interrupted):
                    await self._carry_out(self._director.interrupted(item.message.epoch, now_ms(), item.message.by))
                for step in self._hear(item):
                    await self._end(step)

    def _hear(self, item: Item) -> list[Finished]:
        """What the session says of the sound of the turns on the floor; those that ended by it."""
        self._minutes.feed(item.ms, item.message, item.blob)
        ended: list[Finished] = []
        for step in self._progress.feed(item.message, len(item.blob)):
            if isinstance(step, Finished):
                ended.append(step)
            else:
                self._director.sounded(step.turn, step.audio_ms, item.ms)
        return ended

    async def _end(self, step: Finished) -> None:
        self._samples[step.turn] = step.samples
        await self._carry_out(self._director.ended(step.turn, spoken=step.spoken, whole=step.whole, now_ms=now_ms()))

    async def _tick(self) -> None:
        while True:
            await self._with_director(lambda director: director.tick(now_ms()))
            await self._end_show()
            await asyncio.sleep(TICK_S)

    async def _end_show(self) -> None:
        """Say once that all sources have ended and nothing is left."""
        if not self._fed() and self._director.done and not self._tally.told:
            await self._say(self._tally.end())
            self._tally.told = True

    async def _renew(self) -> None:
        for beat in itertools.count(1):
            await asyncio.sleep(RENEW_S)
            if beat % COUNT_S == 0 and (counted := self._tally.count(now_ms())):
                await self._held(self._desk.archive.write(self._term, counted))
            if not await self._desk.show.keep(self._term):
                raise LeaseLostError(self._cast.room)
            for turn in self._director.floor:
                await self._look_after(turn.id)

    async def _look_after(self, turn: str) -> None:
        """A turn whose sound is complete on work but not on the session has lost it: it will not end by itself."""
        answer = await self._desk.work.answer(turn)
        if not answer.complete or turn in self._samples:
            self._complete_since.pop(turn, None)
        elif now_ms() - self._complete_since.setdefault(turn, now_ms()) > LOST_MS and not await self._has_sound(turn):
            await self._with_director(lambda director: director.failed(turn, "sound_lost", now_ms()))

    async def _has_sound(self, turn: str) -> bool:
        """Whether the session has the whole turn, so that only our reading of it is late."""
        progress = Progress()
        progress.keep([turn])
        items = await self._desk.sessions.range(self._cast.room)
        return any(isinstance(step, Finished) for item in items for step in progress.feed(item.message, len(item.blob)))

    async def _with_director(self, ask: Callable[[Director], list[Order]]) -> None:
        async with self._lock:
            await self._carry_out(ask(self._director))

    async def _carry_out(self, orders: Sequence[Order]) -> None:
        """Do what the director orders, in order; what follows from it is done too.

        A turn that has ended is on the record before the ledger says so: one of a director that is lost ends again.
        """
        todo = list(orders)
        while todo:
            for record in self._minutes.ended(todo, now_ms()):
                await self._held(self._desk.archive.write(self._term, record))
            todo[:0] = await self._do(todo.pop(0))
        self._progress.keep(turn.id for turn in self._director.floor)

    async def _do(self, order: Order) -> list[Order]:
        match order:
            case Request(choice=choice):
                return await self._request(choice)
            case Air(turn=turn):
                rows = ledger_rows(turn.choice.events, "aired", now_ms(), turn=turn.id)
                await self._held(self._desk.show.air(self._term, turn.id, turn.to_json(), rows))
                await self._say(TurnAired(turn=turn.id, no=turn.no, epoch=turn.epoch, clear=True))
            case Drop(turn=turn, reason=reason):
                rows = ledger_rows(turn.choice.events, "received", now_ms(), reason=reason)  # until it says otherwise
                await self._held(self._desk.show.settle(self._term, turn.id, rows, [], drop=reason))
                await self._say(TurnDropped(turn=turn.id, reason=reason))
            case Settle(events=events, state=state, reason=reason, turn=turn):
                samples = self._samples.get(turn, 0)
                rows = ledger_rows(events, state, now_ms(), turn=turn, reason=reason, samples=samples)
                entries = [self._entries.pop(event.id) for event in events if event.id in self._entries]
                await self._held(self._desk.show.settle(self._term, turn, rows, entries))
            case Decide(decided=decided):
                await self._record(decided)
        return []

    async def _record(self, decided: Decided) -> None:
        self._tally.decided(decided)
        lane = decided.event.lane if decided.event else "none"
        EVENTS.labels(lane, f"{decided.choice}:{decided.reason}").inc()
        if decided.choice == "settle":
            await self._held(self._desk.show.settle(self._term, decided.turn, [], []))
            self._samples.pop(decided.turn, None)
        await self._say(decided)

    async def _request(self, choice: Choice) -> list[Order]:
        """Ask llm for a turn, prepared: it is heard when the floor is free."""
        cast, show = self._cast, self._desk.show
        no, epoch = await show.next_no(cast.room), await self._desk.work.epoch(cast.room)
        turn = Turn(f"{cast.room}-{no}-{secrets.token_hex(4)}", no, epoch, choice, now_ms())
        request = turn_requested(cast, turn)
        rows = ledger_rows(choice.events, "chosen", now_ms(), turn=turn.id)
        verdict = await self._held(show.request(self._term, request, turn.to_json(), rows))
        if verdict is not Verdict.OK:
            return self._director.refused(choice, now_ms())
        self._progress.keep([*(known.id for known in self._director.floor), turn.id])
        await self._say(request)
        return self._director.requested(turn.id, no, epoch, choice, now_ms())

    async def _held(self, commit: Awaitable[Verdict]) -> Verdict:
        """The verdict of a commit under the lease; raises LeaseLostError where it is not ours any more."""
        if (verdict := await commit) is Verdict.GONE:
            raise LeaseLostError(self._cast.room)
        return verdict

    async def _say(self, message: Message) -> None:
        await self._desk.sessions.publish(self._cast.room, message, room=True)


def _reached(items: Sequence[Item]) -> tuple[int, int]:
    """The highest number of a turn and the highest epoch that the session's readers have seen."""
    told = [item.message for item in items if isinstance(item.message, Told)]
    epochs = [item.message.epoch for item in items if isinstance(item.message, Told | Interrupted)]
    return max((message.no for message in told), default=0), max(epochs, default=0)
