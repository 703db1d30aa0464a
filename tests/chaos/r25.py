"""R25: after ten minutes down nobody is answered late, and whoever paid is answered all the same.

What the outage left is written as the processes that died would have left it, dated back; nobody waits ten minutes.
"""

import asyncio
import random
from dataclasses import dataclass, field

from services.contract import streams
from services.contract.ingest import Kind, Lane, LiveEvent, TurnRequested, Viewer
from services.ingest.core.items import Choice, Item, Turn
from services.ingest.core.requests import ledger_rows
from services.runtime.clock import now_ms
from services.runtime.show import Term
from tests.chaos.feed import Platform, danmaku, danmaku_id
from tests.chaos.program import Outcome, Program, Setup
from tests.chaos.scenes import ROOM, Desk, config, desk_of, post, verdict
from tests.chaos.stack import Stack, Worker

DOWN_MS = 600_000
LIMIT_MS = 15_000
SLACK_MS = 700
"""From the decision, which obeys the limit, to its entry on the session."""
PATIENCE_S = 120.0


@dataclass
class Past:
    """What was written before and during the outage."""

    dice: random.Random
    paid: dict[str, str] = field(default_factory=dict[str, str])
    """Id → what it says."""
    comments: dict[str, int] = field(default_factory=dict[str, int])
    """Id → when it was written."""

    def event(self, number: int, lane: Lane, at_ms: int) -> LiveEvent:
        kind = Kind.SUPER_CHAT if lane is Lane.PAID else Kind.DANMAKU
        found = LiveEvent(
            id=f"api:{kind}:{number}",
            room=ROOM,
            source="api",
            kind=kind,
            lane=lane,
            viewer=Viewer(id=str(number), name=f"fan{number}"),
            text=f"{'p' if lane is Lane.PAID else 'c'}{number}x.",
            amount_fen=3_000 if lane is Lane.PAID else 0,
            at_ms=at_ms,
        )
        self.note(found)
        return found

    def note(self, event: LiveEvent) -> None:
        if event.lane is Lane.PAID:
            self.paid[event.id] = event.text
        else:
            self.comments[event.id] = event.at_ms


def asked(turn: Turn) -> TurnRequested:
    """The order of a director that is gone."""
    first = turn.choice.item.first
    return TurnRequested(
        turn=turn.id,
        no=turn.no,
        session=ROOM,
        epoch=0,
        kind="room",
        lane=first.lane,
        causes=(first.id,),
        ask="",
        say=first.text,
        persona="host",
        requested_ms=first.at_ms,
        deadline_ms=turn.choice.deadline_ms,
        trace=turn.id,
    )


async def leave(desk: Desk, past: Past, count: int, down_ms: int) -> None:
    """What was there when everything went down: waiting, chosen, on the way; and what the gateway took meanwhile."""
    now = now_ms()
    show, room = desk.show, ROOM
    term = await show.lease(room, "gone")
    if term is None:
        raise RuntimeError("the room has a director")
    for number in range(count):
        at = now - down_ms + past.dice.randrange(down_ms)
        await show.receive(past.event(number, Lane.PAID, at))
        await show.comment(past.event(1_000 + number, Lane.CHAT, at), 15)
    for lane, number in ((Lane.PAID, 500), (Lane.CHAT, 501)):
        event = past.event(number, lane, now - down_ms - 5_000)
        await show.receive(event) if lane is Lane.PAID else await desk.bus.work.set(streams.SEEN.of(event.id), "1")
        await chosen(desk, term, event, now - down_ms)
    await show.release(term)


async def chosen(desk: Desk, term: Term, event: LiveEvent, at_ms: int) -> None:
    """A turn that was asked for just before the end: its order waits on `turns`, its note lies on the floor."""
    no = await desk.show.next_no(ROOM)
    limit = 60_000 if event.lane is Lane.PAID else LIMIT_MS
    item = Item((event,), event.at_ms, event.at_ms)
    turn = Turn(f"{ROOM}-{no}-old", no, 0, Choice(item, "oldest_chat", event.at_ms + limit), at_ms)
    rows = ledger_rows((event,), "chosen", at_ms, turn=turn.id)
    await desk.show.request(term, asked(turn), turn.to_json(), rows)


async def talk(door: Platform, past: Past, gateway: str, count: int) -> None:
    """The platform repeats what is old to who comes back; then viewers write again, some of whom pay."""
    await asyncio.wait_for(door.connected.wait(), PATIENCE_S)
    now = now_ms()
    for number in range(count):
        at = now - past.dice.randrange(LIMIT_MS + 1_000, DOWN_MS)
        past.comments[danmaku_id(number)] = at
        door.tell(danmaku(number, f"o{number}x.", at_ms=at))
    for number in range(count):
        past.comments[danmaku_id(5_000 + number)] = now_ms()
        door.tell(danmaku(5_000 + number, f"n{number}x.", at_ms=now_ms()))
        body = {"kind": "super_chat", "text": f"f{number}x.", "amount_fen": 3_000, "id": f"f{number}"}
        if await asyncio.to_thread(post, gateway, body):
            past.paid[f"api:super_chat:f{number}"] = f"f{number}x."
        await asyncio.sleep(0.5)


def late(desk: Desk, past: Past) -> tuple[int, list[str]]:
    """How many comments were answered, and those that were too old when their answer went on air."""
    ear = desk.ear(ROOM)
    aired = {turn: at for turn, at in ear.aired.items() if any(line.turn == turn for line in ear.lines)}
    ages = {
        id_: at - past.comments[id_] for turn, at in aired.items() for id_ in ear.causes(turn) if id_ in past.comments
    }
    old = [f"{id_} was answered after {age} ms" for id_, age in ages.items() if age > LIMIT_MS + SLACK_MS]
    return len(ages), old


async def services(stack: Stack) -> Worker:
    """All that answers; the gateway."""
    await stack.start("llm")
    await stack.start("tts", {"TTS_WORKERS": "4"})
    gateway = await stack.start("gateway")
    await stack.start("ingest", None, "listen_to_feeds")
    return gateway


async def run(setup: Setup) -> Outcome:
    """Leave the past, start, go on, judge."""
    count = 8 if setup.short else 20
    past = Past(random.Random(setup.seed))
    async with Platform() as door:
        scene = config({"api": {}}, {"replay": {"path": door.path}}, chat_every=2)
        async with (
            Stack(setup.folder, scene, setup.broker, setup.sabotage) as stack,
            stack.bus() as bus,
            desk_of(bus) as desk,
        ):
            await leave(desk, past, count, DOWN_MS)
            landed = len(past.paid) + len(past.comments)
            gateway = await services(stack)
            desk.ear(ROOM)
            await talk(door, past, stack.base(gateway), count)
            problems = await verdict(desk, past.paid, PATIENCE_S)
            answered, old = late(desk, past)
    if not answered:
        problems.append("no comment at all was answered")
    figure = (
        f"{len(past.paid)} paid, {len(past.paid) - len(problems)} answered once; "
        f"{len(past.comments)} comments, {answered} answered, {len(old)} of them older than 15 s"
    )
    numbers = {"paid": len(past.paid), "comments": len(past.comments), "answered": answered, "old": len(old)}
    return Outcome(figure, landed, 2 * count, (*old, *problems), numbers)


PROGRAM = Program(
    "R25",
    "after 10 minutes down: no comment older than 15 s is answered, every paid one is",
    "an outage, its events dated back",
    run,
    ("no_deadline",),
)
