"""The workers as flows: what a service does with a job, cut at each await, so that anything may happen in between.

A flow yields what it awaits and is sent the result: `Write` is an entry for the session, `Commit` a script on work that
asks whether the entry is still this worker's, anything else is a call.
"""

from array import array
from collections.abc import Callable, Coroutine, Generator
from dataclasses import dataclass
from typing import Any

from services.contract.ingest import TurnRequested
from services.contract.llm import AnswerEnded, SentenceReady
from services.contract.message import Message
from services.contract.tts import SentenceSkipped, SpeechChunk, SpeechEnded, SpeechStarted
from services.runtime.timeline import heard
from services.runtime.work import Entry, Fence, Verdict
from tests.model.ground import Ground

STRIKES = 3


@dataclass(frozen=True)
class Write:
    """An entry for the session."""

    message: Message
    blob: bytes = b""


@dataclass(frozen=True)
class Commit:
    """A script that commits the job's entry."""

    what: str
    call: Callable[[], Coroutine[Any, Any, Any]]


Step = Write | Commit | Callable[[], Coroutine[Any, Any, Any]]
Flow = Generator[Step, Any, None]


@dataclass(frozen=True)
class Plan:
    """A turn and what the engines would make of it."""

    request: TurnRequested
    lengths: tuple[int, ...]
    """Samples of each sentence, about: no two renditions are of the same length."""

    @property
    def turn(self) -> str:
        """Its id."""
        return self.request.turn


@dataclass(frozen=True)
class Job:
    """One delivery to one worker."""

    ground: Ground
    plan: Plan
    entry: Entry
    message: Message
    delivery: int
    pools: tuple[str, ...]

    @property
    def fence(self) -> Fence:
        """What its commits are checked against."""
        request = self.plan.request
        return Fence(request.session, request.epoch, request.turn)

    @property
    def sentence(self) -> SentenceReady:
        """The order of a speaking worker."""
        assert isinstance(self.message, SentenceReady)
        return self.message


def pcm(plan: Plan, index: int, attempt: int, first: int, last: int) -> bytes:
    """Samples that tell which they are: 3 bits turn, 2 bits sentence, 3 bits attempt, 7 bits position."""
    head = (plan.request.no % 8) << 12 | index << 10 | min(attempt, 7) << 7
    return array("h", [head | position for position in range(first, last)]).tobytes()


def tell(*messages: Message) -> Flow:
    """What gateway and director say."""
    for message in messages:
        yield Write(message)


def move(job: Job, target: str) -> Flow:
    """Hand back, or hand over."""
    yield Commit("move", lambda: job.ground.work.move(job.entry, target, job.message))


def llm(job: Job) -> Flow:
    """Answer a turn sentence by sentence; go on where another stopped."""
    work, plan = job.ground.work, job.plan
    if job.delivery > STRIKES:
        yield from fail(job)
        return
    known = yield lambda: work.answer(plan.turn)
    for index in range(len(known.sentences), len(plan.lengths)):
        order = ready(job, index)
        verdict = yield Commit(
            "say", lambda i=index, o=order: work.say(job.entry, job.fence, i, o.text, job.pools[0], o)
        )
        if verdict in {Verdict.GONE, Verdict.STALE}:
            return
        if verdict is Verdict.DONE:
            break
        yield Write(order)
    verdict, count, stands = yield Commit("count", lambda: work.count(job.entry, job.fence, "done"))
    if verdict is not Verdict.OK:
        return
    yield Write(AnswerEnded(turn=plan.turn, count=count, text="", reason=stands))
    yield Commit("finish", lambda: work.finish(job.entry))


def fail(job: Job) -> Flow:
    """Give the job up for good: say so, then bury it. Delivery does not ask first whether it is still its own."""
    if isinstance(job.message, SentenceReady):
        yield from skip(job, "failed", bury=True)
        return
    count, stands = yield lambda: job.ground.work.end(job.plan.turn)
    yield Write(AnswerEnded(turn=job.plan.turn, count=count, text="", reason=stands))
    yield Commit("bury", lambda: job.ground.work.bury(job.entry, {"turn": job.plan.turn, "index": "-"}))


def ready(job: Job, index: int) -> SentenceReady:
    """The order for one sentence."""
    request, text = job.plan.request, f"{job.plan.turn}.{index}"
    names: dict[str, Any] = request.model_dump(include={"turn", "no", "session", "epoch", "kind"})
    return SentenceReady(**names, index=index, text=text, speak=text, voice="v", deadline_ms=0)


def tts(job: Job) -> Flow:
    """Speak a sentence; an attempt after the first looks at the session for what is out."""
    work, order = job.ground.work, job.sentence
    if job.delivery > STRIKES:
        yield from fail(job)
        return
    verdict, attempt = yield Commit("begin", lambda: work.begin(job.entry, job.fence, order.index))
    if verdict is Verdict.DONE:
        yield from skip(job, "unused")
    if verdict is not Verdict.OK:
        return
    start, over = 0, False
    if attempt > 1:
        start, over = yield from look(job)
    samples = start
    if not over:
        samples = yield from speak(job, attempt, start)
        if attempt > 1:
            out, over = yield from look(job)
            samples = out if over else samples
    yield Commit("spoken", lambda: work.spoken(job.entry, job.fence, order.index, samples))


def look(job: Job) -> Generator[Step, Any, tuple[int, bool]]:
    """What readers have of the sentence."""
    items = yield lambda: job.ground.sessions.range(job.sentence.session)
    return heard([(item.message, item.blob) for item in items], job.plan.turn, job.sentence.index)


def speak(job: Job, attempt: int, start: int) -> Generator[Step, Any, int]:
    """The sound from `start` on, two samples a chunk; the length of the sentence."""
    order, plan = job.sentence, job.plan
    total = max(start, plan.lengths[order.index] + attempt % 3)
    names: dict[str, Any] = {"turn": order.turn, "index": order.index, "attempt": attempt}
    yield Write(SpeechStarted(**names, no=order.no, epoch=order.epoch, text=order.text, from_sample=start))
    for chunk, first in enumerate(range(start, total, 2)):
        sound = pcm(plan, order.index, attempt, first, min(first + 2, total))
        yield Write(SpeechChunk(**names, chunk=chunk, sample_offset=first), sound)
    yield Write(SpeechEnded(**names, samples=total))
    return total


def skip(job: Job, reason: str, *, bury: bool = False) -> Flow:
    """Tell that the sentence is not heard, if that is what stands; then let go of the order."""
    work, order = job.ground.work, job.sentence
    stands = yield lambda: work.skip(order.turn, order.index, reason)
    if not stands.startswith("skipped:"):
        yield Commit("finish", lambda: work.finish(job.entry))
        return
    yield Write(SentenceSkipped(turn=order.turn, index=order.index, reason=stands[8:]))
    if bury:
        yield Commit("bury", lambda: work.bury(job.entry, {"turn": order.turn, "index": str(order.index)}))
    else:
        yield Commit("finish", lambda: work.finish(job.entry))


def janitor(ground: Ground, turn: str, index: int) -> Flow:
    """A janitor that does not own the order: only the fact and its telling."""
    stands = yield lambda: ground.work.skip(turn, index, "late")
    if stands.startswith("skipped:"):
        yield Write(SentenceSkipped(turn=turn, index=index, reason=stands[8:]))
