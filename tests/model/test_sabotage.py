"""The state machine can fail: with any one rule broken it finds a history that shows it."""

from collections.abc import Callable
from typing import Any, cast

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from services.contract.ingest import TurnAired
from services.contract.llm import AnswerEnded
from services.contract.message import Message
from services.contract.tts import SentenceSkipped, SpeechChunk, SpeechEnded, SpeechStarted
from services.runtime.timeline import Out, Timeline
from services.runtime.work import Entry, Fence, Verdict
from tests.model import workers
from tests.model.ground import Ground, ModelGround
from tests.model.machine import Machine
from tests.model.work import ModelWork
from tests.model.workers import Commit, Flow, Job, Plan, Write
from tests.model.world import COUNTS, World

SEARCH = settings(
    max_examples=12_000,
    stateful_step_count=60,
    deadline=None,
    database=None,
    derandomize=True,
    report_multiple_bugs=False,
    phases=[Phase.generate],
    print_blob=False,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
)


class Trusting(ModelWork):
    """Commits without asking whose the entry is."""

    def _holds(self, entry: Entry) -> bool:
        return entry.id in self.group(entry.stream, entry.group).pending


class Overwriting(ModelWork):
    """The last skip stands."""

    async def skip(self, turn: str, index: int, reason: str) -> str:
        self.told(turn).ends[index] = f"skipped:{reason}"
        return self.told(turn).ends[index]


class Deaf(ModelWork):
    """Commits of an interrupted turn pass."""

    def _old(self, fence: Fence) -> bool:
        return bool(self.told(fence.turn).dropped)


class OneAttempt(Timeline):
    """Takes sound of any attempt."""

    def feed(self, message: Message, blob: bytes = b"") -> list[Out]:
        if isinstance(message, SpeechStarted | SpeechChunk | SpeechEnded):
            message = message.model_copy(update={"attempt": 1})
        return super().feed(message, blob)


class NoEpoch(Timeline):
    """Hears on after an interrupt."""

    def _raise(self, epoch: int) -> list[Out]:
        self.epoch = 0 * epoch
        return []


class AnyAiring(Timeline):
    """Obeys an airing that comes too late."""

    def feed(self, message: Message, blob: bytes = b"") -> list[Out]:
        self._aired_no = 0
        return super().feed(message, blob)


class NeverClear(Timeline):
    """Waits for ever for what was lost."""

    def feed(self, message: Message, blob: bytes = b"") -> list[Out]:
        if isinstance(message, TurnAired):
            message = message.model_copy(update={"clear": False})
        return super().feed(message, blob)


class NoSkip(Timeline):
    """Waits for the sound of a skipped sentence."""

    def feed(self, message: Message, blob: bytes = b"") -> list[Out]:
        return [] if isinstance(message, SentenceSkipped) else super().feed(message, blob)


def finish_first(job: Job) -> Flow:
    """Acknowledges before it speaks."""
    work, order = job.ground.work, job.sentence
    verdict, attempt = yield Commit("begin", lambda: work.begin(job.entry, job.fence, order.index))
    if verdict is Verdict.STALE:
        return
    yield Commit("finish", lambda: work.finish(job.entry))
    if verdict is Verdict.OK:
        samples = yield from workers.speak(job, attempt, 0)
        yield lambda: set_end(job, samples)


async def set_end(job: Job, samples: int) -> None:
    """Write the end without the entry."""
    assert isinstance(job.ground, ModelGround)
    job.ground.model.told(job.plan.turn).ends.setdefault(job.sentence.index, f"spoken:{samples}")


def silent_about_skips(job: Job) -> Flow:
    """Finishes the order of a skipped sentence without telling the session again."""
    flow = workers.tts(job)
    result: Any = None
    try:
        while True:
            step = flow.send(result)
            skip = isinstance(step, Write) and isinstance(step.message, SentenceSkipped)
            result = None if skip and job.delivery <= workers.STRIKES else (yield step)
    except StopIteration:
        return


def own_length(job: Job) -> Flow:
    """A repeated attempt commits its own length, not what the readers have."""
    looks = 0
    flow = workers.tts(job)
    result: Any = None
    try:
        while True:
            step = flow.send(result)
            result = yield step
            if isinstance(result, list):
                looks += 1
                result = cast("list[Any]", result) if looks == 1 else []
    except StopIteration:
        return


def stale_count(job: Job) -> Flow:
    """Gives a turn up with the number of sentences that it saw, not with the one that there is."""
    if job.entry.stream in job.pools:
        yield from workers.fail(job)
        return
    known = yield lambda: job.ground.work.answer(job.plan.turn)
    count = yield lambda: set_count(job, len(known.sentences))
    yield Write(AnswerEnded(turn=job.plan.turn, count=count, text=""))
    fields: dict[str, str | bytes] = {"turn": job.plan.turn, "index": "-"}
    yield Commit("bury", lambda: job.ground.work.bury(job.entry, fields))


async def set_count(job: Job, count: int) -> int:
    """HSETNX."""
    assert isinstance(job.ground, ModelGround)
    told = job.ground.model.told(job.plan.turn)
    told.reason = told.reason or "failed"
    told.count = count if told.count is None else told.count
    return told.count


class AirsFirst(World):
    """The gateway airs a turn before it orders it."""

    def order(self, plan: Plan, told: list[Message]) -> None:
        self.start(self.order_last(plan, told))

    def order_last(self, plan: Plan, told: list[Message]) -> Flow:
        yield from workers.tell(*told)
        yield lambda: self.ground.add(self.turns, plan.request)


def broken(
    *,
    work: type[ModelWork] = ModelWork,
    timeline: type[Timeline] = Timeline,
    world: type[World] = World,
    **flows: Callable[[Job], Flow],
) -> type[Machine]:
    """The machine with one rule broken."""

    class Broken(Machine):
        def new_ground(self) -> Ground:
            return ModelGround(work())

    Broken.world_type, Broken.timeline, Broken.flows = world, timeline, {**Machine.flows, **flows}
    return Broken


QUICK: dict[str, type[Machine]] = {
    "commit without asking whose the entry is": broken(work=Trusting),
    "the last skip stands": broken(work=Overwriting),
    "commit without looking at the epoch": broken(work=Deaf),
    "acknowledge before commit": broken(tts=finish_first),
    "a reader without epoch": broken(timeline=NoEpoch),
    "a turn is aired too late": broken(timeline=AnyAiring),
    "skips are not obeyed": broken(timeline=NoSkip),
}
DEEP: dict[str, type[Machine]] = {
    "attempts are not told apart": broken(timeline=OneAttempt),
    "the floor is never clear": broken(timeline=NeverClear),
    "a skip is told once": broken(tts=silent_about_skips),
    "a repeated attempt commits its own length": broken(tts=own_length),
    "a count that is not taken in the commit": broken(fail=stale_count),
    "a turn is aired before it is ordered": broken(world=AirsFirst),
}


def find(machine: type[Machine]) -> None:
    before = COUNTS.copy()
    with pytest.raises(AssertionError):
        run_state_machine_as_test(machine, settings=SEARCH)
    COUNTS.clear()
    COUNTS.update(before)


@pytest.mark.parametrize("name", QUICK)
def test_a_broken_rule_is_found(name: str) -> None:
    """The machine finds a history in which the sabotage breaks a promise."""
    find(QUICK[name])


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", DEEP)
def test_a_subtle_fault_is_found(name: str) -> None:
    """It takes some hundreds of histories, at worst some thousands, but the machine finds it."""
    find(DEEP[name])
