"""The state machine: anything may happen between two awaits of anybody, and what must hold, holds."""

import sys
from collections.abc import Callable
from typing import ClassVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from services.contract.ingest import TurnAired, TurnDropped
from services.runtime.timeline import Timeline
from services.runtime.work import Entry, Verdict
from tests.model import workers
from tests.model.ending import check_end
from tests.model.ground import Ground, ModelGround
from tests.model.workers import STRIKES, Write
from tests.model.world import COUNTS, Flows, Running, World

PICK = st.integers(0, 99)
PICKS = st.lists(PICK, min_size=6, max_size=16)
MOST_TURNS = 6
RARE = 90


def late(world: World, pick: int) -> None:
    """A janitor that does not own the order skips a sentence, best of all one that is being spoken."""
    jobs = [one.job for one in world.running if one.job and one.job.entry.stream in world.pools]
    said = [(turn, index) for turn, count in world.said.items() for index in range(count)]
    said = [(job.plan.turn, job.sentence.index) for job in jobs] or said
    if said:
        COUNTS["janitor from outside"] += 1
        world.advance(world.start(workers.janitor(world.ground, *said[pick % len(said)])))


def interrupt(world: World, _: int) -> None:
    """All that was asked for is over."""
    COUNTS["interrupt"] += 1
    world.interrupt()


def drop(world: World, pick: int) -> None:
    """The director drops a turn: first the mark, then, as a step of its own, the word. In calls nobody does."""
    if world.room:
        COUNTS["drop"] += 1
        turn = [*world.plans][pick % len(world.plans)]
        world.dropped.add(turn)
        world.ground.run(world.ground.drop(turn, "stale"))
        world.start(workers.tell(TurnDropped(turn=turn, reason="stale")))


def lose(world: World, _: int) -> None:
    """The live broker forgets everything."""
    if world.log:
        COUNTS["live lost"] += 1
        world.lose()


class Machine(RuleBasedStateMachine):
    """Workers, director or gateway, janitors and readers of one session."""

    world_type: ClassVar[type[World]] = World
    timeline: ClassVar[type[Timeline]] = Timeline
    flows: ClassVar[Flows] = {"llm": workers.llm, "tts": workers.tts, "fail": workers.fail}

    def __init__(self) -> None:
        super().__init__()
        self.world = self.world_type(self.new_ground(), self.timeline, self.flows)

    def new_ground(self) -> Ground:
        """In memory; the other machine has the real brokers."""
        return ModelGround()

    def busy(self) -> bool:
        """Whether anybody is at work."""
        return bool(self.world.running)

    def hired(self) -> bool:
        """Whether any worker has a job."""
        return any(one.job for one in self.world.running)

    def among(self, pick: int) -> Running:
        """One of those at work."""
        return self.world.running[pick % len(self.world.running)]

    def worker(self, pick: int) -> Running:
        """One of those with a job."""
        jobs = [one for one in self.world.running if one.job]
        return jobs[pick % len(jobs)]

    @initialize(room=st.booleans())
    def begin(self, room: bool) -> None:  # noqa: FBT001  Hypothesis draws it
        """A room's turns are prepared and aired by its director; a call's are aired at once."""
        self.world.room = room
        self.world.ask((2, 4))

    @rule(lengths=st.lists(st.integers(1, 5), max_size=3))
    def send(self, lengths: list[int]) -> None:
        """A turn is asked for."""
        if len(self.world.plans) < MOST_TURNS:
            self.world.ask(tuple(lengths))

    @rule(pick=PICK)
    def air(self, pick: int) -> None:
        """The director airs a later turn; if its word was lost with it, the same turn again."""
        world = self.world
        if not world.room or world.director in world.running:
            return
        aired = [message for message in world.log if isinstance(message, TurnAired)]
        last = max((message.no for message in aired), default=0)
        if world.airing and world.airing.turn not in {message.turn for message in aired}:
            world.air(world.airing)
        elif later := [plan for plan in world.plans.values() if plan.request.no > last]:
            plan = later[pick % len(later) if pick > RARE else 0]
            if world.clear(but=plan.turn):
                world.air(plan)

    @rule(picks=PICKS)
    def life(self, picks: list[int]) -> None:
        """Everybody goes on, one await at a time; workers take what is new."""
        for pick in picks:
            able = [one for one in self.world.running if not one.held]
            if (at := pick % (len(able) + 1)) < len(able):
                self.go_on(able[at])
            else:
                streams = self.world.streams
                any(self.world.take(streams[(pick + more) % len(streams)], janitor=pick > RARE) for more in range(3))

    @rule(picks=PICKS)
    def more_life(self, picks: list[int]) -> None:
        """Most of the time nothing goes wrong."""
        self.life(picks)

    @rule(pick=PICK, steps=st.integers(0, 9))
    def toil(self, pick: int, steps: int) -> None:
        """One of them is fast."""
        one = self.among(pick) if self.busy() else None
        for _ in range(3 + steps):
            if one in self.world.running and not one.held:
                self.go_on(one)

    def go_on(self, one: Running) -> None:
        """One await; a worker whose entry was given to another does not know it."""
        if one.job and not self.world.owns(one):
            COUNTS["step of a zombie"] += 1
        self.world.advance(one)

    @precondition(busy)
    @rule(pick=PICK)
    def hold(self, pick: int) -> None:
        """A write is delayed behind others'."""
        one = self.among(pick)
        if isinstance(one.step, Write) and not one.held:
            COUNTS["write delayed"] += 1
            one.held = True

    @precondition(lambda self: bool(self.world.flying) or any(one.held for one in self.world.running))
    @rule(pick=PICK)
    def arrive(self, pick: int) -> None:
        """A delayed write lands, its writer dead or alive."""
        held = [one for one in self.world.running if one.held]
        if pick % 2 and self.world.flying:
            COUNTS["write of the dead landed"] += 1
            self.world.land(self.world.flying.pop(pick % len(self.world.flying)))
        elif held:
            self.world.advance(held[pick % len(held)])

    @precondition(hired)
    @rule(pick=PICK)
    def crash(self, pick: int) -> None:
        """A process dies; what it had sent may still land."""
        one = self.among(pick) if pick > RARE else self.worker(pick)
        COUNTS["crash in a job" if one.job else "crash of gateway or director"] += 1
        self.world.running.remove(one)
        if isinstance(one.step, Write) and (one.held or pick % 2):
            self.world.flying.append(one.step)

    @rule(pick=PICK, times=st.sampled_from([1, 1, 1, 1, STRIKES]))
    def reclaim(self, pick: int, times: int) -> None:
        """An entry is given to another; three times so, and it is struck out."""
        waiting = [(stream, id_) for stream in self.world.streams for id_ in self.world.pending(stream)]
        for _ in range(times if waiting else 0):
            COUNTS["reclaim"] += 1
            self.world.reclaim(*waiting[pick % len(waiting)], janitor=pick > RARE)

    @precondition(hired)
    @rule(pick=PICK, pool=st.integers(0, 2))
    def hand(self, pick: int, pool: int) -> None:
        """A job is handed back, or over to the other pool."""
        one, world = self.worker(pick), self.world
        if one.job is None or one.held:
            return
        stream = one.job.entry.stream
        if stream != world.turns and pool < len(world.pools):
            stream = world.pools[pool]
        COUNTS["hand back" if stream == one.job.entry.stream else "hand over"] += 1
        one.flow.close()
        one.flow = workers.move(one.job, stream)
        one.step = next(one.flow)

    @precondition(hired)
    @rule(pick=PICK, steps=st.integers(0, 4))
    def fail(self, pick: int, steps: int) -> None:
        """A worker gives a job up for good, best of all a turn that was given to another, who is faster."""
        turns = [one for one in self.world.running if one.job and one.job.entry.stream == self.world.turns]
        zombies = [one for one in turns if not self.world.owns(one)]
        one = zombies[pick % len(zombies)] if zombies else self.worker(pick)
        if one.job and not one.held and pick % 3 == 0:
            COUNTS["failed for good" if self.world.owns(one) else "failed for good as a zombie"] += 1
            one.flow.close()
            one.flow = self.flows["fail"](one.job)
            one.step = next(one.flow)
            if one in zombies and steps:
                self.go_on(one)
                self.race(one.job.entry, steps)

    def race(self, entry: Entry, steps: int) -> None:
        """Whose the entry is goes on."""
        for _ in range(steps):
            owners = [one for one in self.world.running if one.job and one.job.entry.id == entry.id]
            for owner in owners:
                if self.world.owns(owner) and not owner.held:
                    self.go_on(owner)

    @precondition(hired)
    @rule(pick=PICK)
    def beat(self, pick: int) -> None:
        """A beat keeps what is one's own, and counts no delivery."""
        one, work = self.worker(pick), self.world.ground.work
        if one.job:
            before = self.world.ground.run(work.deliveries(one.job.entry))
            verdict = self.world.ground.run(work.beat(one.job.entry))
            assert verdict is (Verdict.OK if self.world.owns(one) else Verdict.GONE)
            assert self.world.ground.run(work.deliveries(one.job.entry)) == before
            COUNTS[f"beat: {verdict}"] += 1

    @rule(kind=st.sampled_from([late, late, late, interrupt, drop, lose]), pick=PICK)
    def trouble(self, kind: Callable[[World, int], None], pick: int) -> None:
        """What comes from outside the workers."""
        if pick % 3 == 0:
            kind(self.world, pick)

    @rule(pick=PICK)
    def read(self, pick: int) -> None:
        """A reader catches up, or a new one joins in mid-stream."""
        world = self.world
        if pick < 20 and len(world.listeners) < 5:
            items = world.ground.run(world.ground.sessions.range(world.session))
            if items:
                COUNTS["reader joined"] += 1
                world.listeners.append(world.listener(items[pick % len(items)].id))
        world.pull(world.listeners[pick % len(world.listeners)])

    def teardown(self) -> None:
        """Whatever happened: it ends, and as it must."""
        try:
            if sys.exc_info()[0] is None:
                COUNTS["examples"] += 1
                check_end(self.world)
        finally:
            self.world.ground.run(self.world.ground.close())
