"""One session and everybody who works on it, each stopped at his next await; and what must hold of them."""

import itertools
import os
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from services.contract.gateway import Interrupted
from services.contract.ingest import TurnAired, TurnRequested
from services.contract.message import Message
from services.runtime.timeline import Timeline
from services.runtime.work import Verdict
from tests.model import workers
from tests.model.ground import Ground, Taken
from tests.model.listener import Listener
from tests.model.workers import Commit, Flow, Job, Plan, Step, Write

COUNTS: Counter[str] = Counter()
"""Steps that were run and faults that happened, over all examples."""
NAMES = itertools.count()
Flows = dict[str, Callable[[Job], Flow]]


@dataclass(eq=False)
class Running:
    """Somebody at work: his flow, and the step that he awaits next."""

    name: str
    flow: Flow
    step: Step
    job: Job | None = None
    held: bool = False
    """His write is on its way."""


class World:
    """The session, its workers and its readers."""

    def __init__(self, ground: Ground, timeline: type[Timeline], flows: Flows) -> None:
        run = f"{os.getpid()}-{next(NAMES)}"
        self.ground, self.timeline, self.flows = ground, timeline, flows
        self.session, self.turns = f"s{run}", f"turns-{run}"
        self.pools = (f"speak:{run}a:call", f"speak:{run}b:call")
        self.streams = (self.turns, *self.pools)
        self.room = False
        self.lost = False
        self.plans: dict[str, Plan] = {}
        self.running: list[Running] = []
        self.flying: list[Write] = []
        """Writes of the dead that have not landed."""
        self.log: list[Message] = []
        self.owner: dict[tuple[str, str], str] = {}
        self.said: Counter[str] = Counter()
        self.spoken: set[tuple[str, int]] = set()
        self.dropped: set[str] = set()
        self.airing: Plan | None = None
        self.director: Running | None = None
        self.listeners = [self.listener(), self.listener()]

    def listener(self, after: str = "-") -> Listener:
        """A reader from there on."""
        return Listener(self.plans, self.timeline(), whole=after == "-" and not self.lost, after=after)

    # --- one await of somebody

    def start(self, flow: Flow, job: Job | None = None) -> Running:
        """Somebody new, before his first step."""
        one = Running(job.entry.me if job else f"n{next(NAMES)}", flow, next(flow), job)
        self.running.append(one)
        return one

    def advance(self, one: Running) -> None:
        """His step is done; he stops before the next."""
        COUNTS["steps"] += 1
        result: Any = None
        if isinstance(one.step, Write):
            self.land(one.step)
        elif isinstance(one.step, Commit):
            result = self.commit(one, one.step)
        else:
            result = self.ground.run(one.step())
        one.held = False
        try:
            one.step = one.flow.send(result)
        except StopIteration:
            self.running.remove(one)

    def land(self, write: Write) -> None:
        """The write is in the session; the first reader reads at once."""
        self.log.append(write.message)
        self.ground.run(self.ground.sessions.publish(self.session, write.message, write.blob))
        self.pull(self.listeners[0])

    def pull(self, listener: Listener) -> None:
        """Read what is new."""
        for item in self.ground.run(self.ground.sessions.range(self.session, listener.after)):
            listener.after = item.id
            listener.feed(item.message, item.blob)

    def owns(self, one: Running) -> bool:
        """Whether his entry was given to nobody after him."""
        return one.job is not None and self.owner[one.job.entry.stream, one.job.entry.id] == one.name

    def commit(self, one: Running, step: Commit) -> Any:
        """Only the owner of the entry may commit; what he commits is written down once."""
        result = self.ground.run(step.call())
        verdict = Verdict(result if isinstance(result, str) else result[0])
        if not self.owns(one):
            COUNTS["commit of a zombie refused"] += 1
            assert verdict is Verdict.GONE, f"a zombie's {step.what}: {verdict}"
            return result
        assert verdict not in {Verdict.GONE, Verdict.ORDER}, f"the owner's {step.what}: {verdict}"
        COUNTS[f"{step.what}: {verdict}"] += 1
        if verdict is Verdict.OK and one.job:
            self.note(step.what, one.job, result)
            fenced = step.what in {"say", "count", "begin", "spoken"}
            assert not (fenced and self.stale(one.job.plan.turn)), f"{step.what} of a turn that is over"
        return result

    def note(self, what: str, job: Job, result: Any) -> None:
        """Hold the commit against those before it."""
        turn = job.plan.turn
        if what == "say":
            self.said[turn] += 1
        elif what == "count":
            assert result[1] == self.said[turn], "not what was said"
        elif what == "spoken":
            assert (turn, job.sentence.index) not in self.spoken, "spoken twice"
            self.spoken.add((turn, job.sentence.index))

    def employ(self, taken: Taken, *, janitor: bool = False) -> None:
        """Give the delivered entry to its worker, or to a janitor."""
        if taken is None:
            return
        entry, message = taken
        self.owner[entry.stream, entry.id] = entry.me
        delivery = self.ground.run(self.ground.work.deliveries(entry))
        job = Job(self.ground, self.plans[getattr(message, "turn", "")], entry, message, delivery, self.pools)
        if entry.stream == self.turns:
            self.start(self.flows["llm"](job), job)
        elif janitor:
            self.start(workers.skip(job, "late"), job)
        else:
            self.start(self.flows["tts"](job), job)

    def take(self, stream: str, *, janitor: bool = False) -> bool:
        """A worker takes the oldest new entry."""
        taken = self.ground.run(self.ground.take(stream, f"w{next(NAMES)}"))
        self.employ(taken, janitor=janitor)
        return taken is not None

    def reclaim(self, stream: str, id_: str, *, janitor: bool = False) -> None:
        """Another worker takes the entry over; the first, if he lives, goes on."""
        self.employ(self.ground.run(self.ground.claim(stream, id_, f"w{next(NAMES)}")), janitor=janitor)

    def pending(self, stream: str) -> list[str]:
        """What is delivered and not acknowledged."""
        return self.ground.run(self.ground.pending(stream))

    # --- gateway and director

    def ask(self, lengths: tuple[int, ...]) -> Plan:
        """A turn is asked for; outside rooms it is aired at once."""
        no, kind = len(self.plans) + 1, "room" if self.room else "call"
        epoch = self.ground.run(self.ground.work.epoch(self.session))
        names: dict[str, Any] = {"turn": f"{self.session}t{no}", "no": no, "session": self.session, "epoch": epoch}
        texts: dict[str, Any] = {"kind": kind, "ask": "?", "persona": "p", "requested_ms": 0, "deadline_ms": 0}
        plan = Plan(TurnRequested(**names, **texts), lengths)
        self.plans[plan.turn] = plan
        aired = () if self.room else (TurnAired(turn=plan.turn, no=no, epoch=epoch),)
        self.order(plan, [plan.request, *aired])
        return plan

    def order(self, plan: Plan, told: list[Message]) -> None:
        """First the work, then the words: what is aired will be answered."""
        self.ground.run(self.ground.add(self.turns, plan.request))
        self.start(workers.tell(*told))

    def clear(self, but: str) -> bool:
        """Whether all that was aired has ended: for the director, who reads all, or, if sound was lost, on work."""
        reader = self.listeners[0]
        aired = {message.turn for message in self.log if isinstance(message, TurnAired)} - {but}
        left = [turn for turn in aired if turn == reader.turn or (self.lost and turn not in reader.closed)]
        return all(self.ended(turn) if self.lost else self.stale(turn) for turn in left)

    def air(self, plan: Plan) -> None:
        """The director gives the floor, which is clear, to a turn."""
        self.airing = plan
        request = plan.request
        message = TurnAired(turn=request.turn, no=request.no, epoch=request.epoch, clear=True)
        self.director = self.start(workers.tell(message))

    def stale(self, turn: str) -> bool:
        """By what work knows: dropped or interrupted."""
        epoch = self.ground.run(self.ground.work.epoch(self.session))
        return turn in self.dropped or epoch > self.plans[turn].request.epoch

    def ended(self, turn: str) -> bool:
        """By what work knows: complete, dropped or interrupted."""
        return self.stale(turn) or self.ground.run(self.ground.work.answer(turn)).complete

    def interrupt(self) -> None:
        """First the epoch, then, as a step of its own, the word."""
        epoch = self.ground.run(self.ground.work.raise_epoch(self.session))
        self.start(workers.tell(Interrupted(epoch=epoch, by="client")))

    def drain(self) -> None:
        """Everybody goes on to his end, the dead are replaced, until nothing is left to do."""
        for _ in range(100):
            while self.flying:
                self.land(self.flying.pop(0))
            while self.running:
                for one in list(self.running):
                    self.advance(one)
            found = [
                self.take(stream) for stream in self.streams for _ in range(self.ground.run(self.ground.length(stream)))
            ]
            for stream in self.streams:
                for id_ in self.pending(stream):
                    if self.owner[stream, id_] not in {one.name for one in self.running}:
                        self.reclaim(stream, id_)
            if not (any(found) or self.running):
                return
        raise AssertionError("it does not end")

    def lose(self) -> None:
        """The live broker forgets everything; nobody tells the readers."""
        self.ground.run(self.ground.lose(self.session))
        self.lost = True
        for listener in self.listeners:
            listener.whole = False
