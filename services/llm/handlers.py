"""Answers turns: reads `turns`, has the answer made, commits it sentence by sentence, tells the session."""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import TypeVar, cast

import structlog

from services.contract import streams
from services.contract.failure import Code, Failed, Failure
from services.contract.ingest import TurnRequested
from services.contract.llm import AnswerEnded, SentenceReady
from services.contract.message import Message
from services.llm.core import memory, prompt, turns
from services.llm.core.ports import Model
from services.llm.core.sentences import Piece, Splitter
from services.runtime import voices, words
from services.runtime.bus import Bus
from services.runtime.clock import now_ms
from services.runtime.config import Config, Persona, Voice
from services.runtime.delivery import Delivery, Duty, Job
from services.runtime.sessions import Sessions
from services.runtime.work import Answer, Verdict, Work

log = structlog.get_logger(__name__)
T = TypeVar("T")
LIVING_S = 1.0
"""How long it is believed that a pool has, or has no, living worker."""
WATCH_S = 0.25
"""How often a turn is looked at while its model thinks: is it still wanted?"""


class _StopError(Exception):
    """The turn goes no further here; `ended`: the reason it shall be closed with, None if that is not ours to do."""

    def __init__(self, ended: turns.Reason | None) -> None:
        super().__init__(ended)
        self.ended: turns.Reason | None = ended


@dataclass
class Desk:
    """What answering needs. `clock` gives Unix milliseconds."""

    bus: Bus
    work: Work
    sessions: Sessions
    model: Model
    config: Config
    clock: Callable[[], int] = now_ms
    _living: dict[str, tuple[bool, float]] = field(default_factory=dict[str, tuple[bool, float]])

    async def engine(self, voice: Voice) -> int:
        """The voice's first engine whose pool has a living worker."""
        names = {voices.pool(voice.engines, at) for at in range(len(voice.engines))}
        now = asyncio.get_running_loop().time()
        for name in names:
            if name not in self._living or now - self._living[name][1] > LIVING_S:
                self._living[name] = (bool(await self.bus.work.exists(streams.POOL.of(name))), now)
        return voices.first(voice.engines, [name for name in names if self._living[name][0]])

    async def tell(self, request: TurnRequested, message: Message) -> str:
        """Publish on the turn's session."""
        return await self.sessions.publish(request.session, message, room=request.kind == "room")

    def cast(self, request: TurnRequested) -> tuple[Persona, Voice]:
        """Who answers, in which voice; raises Failure(BAD_INPUT) for a name that the configuration does not know."""
        persona = _named(self.config.personas, request.persona, "persona")
        return persona, _named(self.config.voices, request.voice or persona.voice, "voice")


@dataclass
class Run:
    """One delivery of one turn, as far as it has come."""

    desk: Desk
    job: Job[TurnRequested]
    persona: Persona
    voice: Voice
    index: int
    before: str
    raw: str = ""
    since: str = "-"
    settled: list[memory.Past] = field(default_factory=list[memory.Past])
    """Of earlier turns, what is written down with this one: the model is not kept waiting for it."""

    async def say(self, piece: Piece) -> None:
        """Commit one sentence; raises _StopError where the turn goes no further."""
        desk, request = self.desk, self.job.message
        if turns.late(request.deadline_ms, desk.clock(), self.index):
            raise _StopError("expired")
        ready = self._sentence(piece, await desk.engine(self.voice))
        stream = streams.speak(voices.pool(self.voice.engines, ready.engine_at), request.kind)
        verdict = await desk.work.say(self.job.entry, self.job.fence, self.index, piece.text, stream, ready)
        if verdict is Verdict.ORDER:
            raise Failure(Code.INTERNAL, "another worker is answering the same turn", retryable=True)
        if verdict is Verdict.STALE:
            await self._remember()
        if verdict is not Verdict.OK:
            raise _StopError("cut" if verdict is Verdict.DONE else None)
        told = await desk.tell(request, ready)
        self.since = self.since if self.index else told
        self.index += 1
        self.before = (self.before + piece.speak)[-turns.BEFORE :]

    def _sentence(self, piece: Piece, at: int) -> SentenceReady:
        request = self.job.message
        return SentenceReady(
            turn=request.turn,
            no=request.no,
            session=request.session,
            epoch=request.epoch,
            kind=request.kind,
            index=self.index,
            text=piece.text,
            speak=piece.speak,
            before=self.before,
            voice=request.voice or self.persona.voice,
            engine_at=at,
            emotion=piece.emotion,
            deadline_ms=turns.due_ms(self.index, self.desk.clock()),
            trace=request.trace,
        )

    async def complain(self, failure: Failure) -> None:
        """Tell people what went wrong."""
        log.warning("an answer went wrong", code=failure.code, reason=failure.sentence)
        failed = Failed(turn=self.job.message.turn, code=failure.code, sentence=words.clip(failure.sentence, 2_000))
        await self.desk.tell(self.job.message, failed)

    async def end(self, reason: turns.Reason) -> None:
        """Fix the count, tell the session, remember, finish. Nothing of it if the turn is not ours or stale."""
        desk, job = self.desk, self.job
        verdict, count, stands = await desk.work.count(job.entry, job.fence, reason)
        if verdict is Verdict.STALE:
            await self._remember()
        if verdict is not Verdict.OK:
            return
        text = words.ellipses(words.whole(self.raw))
        ended = AnswerEnded(turn=job.message.turn, count=count, text=text, reason=cast("turns.Reason", stands))
        await desk.tell(job.message, ended)
        await self._remember()
        await desk.work.finish(job.entry)

    async def _remember(self) -> None:
        request = self.job.message
        if request.messages is None and (self.index or request.kind == "call"):
            past = memory.Past(request.turn, request.ask, request.epoch, self.since)
            await remember(self.desk, request, [*self.settled, past])


def attach(delivery: Delivery, desk: Desk, workers: int) -> None:
    """Answer turns, `workers` at a time."""

    async def answer(job: Job[TurnRequested]) -> None:
        await answer_turn(desk, job)

    async def dead(request: TurnRequested, failure: Failure) -> None:
        await give_up(desk, request, failure)

    turn = streams.TURNS
    delivery.attach(Duty(turn.key(), turn.group, TurnRequested, answer, dead, workers=workers))


async def answer_turn(desk: Desk, job: Job[TurnRequested]) -> None:
    """One delivery of one turn, to its end."""
    persona, voice = desk.cast(job.message)
    # The engine is looked up for the first sentence, which then need not wait for it.
    known, _ = await asyncio.gather(desk.work.answer(job.message.turn), desk.engine(voice))
    said = [known.sentences[index] for index in sorted(known.sentences)]
    run = Run(desk, job, persona, voice, len(said), "".join(said)[-turns.BEFORE :])
    if known.count is not None:
        run.raw = "".join(said)
        await run.end("done")
    elif reason := await _while_wanted(run, said):
        await run.end(reason)


async def _while_wanted(run: Run, said: list[str]) -> turns.Reason | None:
    """Speak; end it, and with it the request to the model, soon after nobody wants the turn any more."""
    task = asyncio.ensure_future(_speak(run, said))
    try:
        while not (await asyncio.wait([task], timeout=WATCH_S))[0]:
            if await run.desk.work.stale(run.job.fence):
                return "cut"
        return task.result()
    except _StopError as stop:
        return stop.ended
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _speak(run: Run, said: list[str]) -> turns.Reason:
    """Head, answer, tail; why it ended."""
    request = run.job.message
    if turns.late(request.deadline_ms, run.desk.clock(), run.index):
        return "expired"
    plan = turns.plan(request.ask, request.say, said)
    run.raw = "".join(plan.said)
    for piece in plan.head:
        await run.say(piece)
    reason = await _ask(run, plan) if plan.asks else "done"
    for piece in plan.tail:
        await run.say(piece)
    return reason


async def _ask(run: Run, plan: turns.Plan) -> turns.Reason:
    """Put the ask to the model and speak what it answers; a failure is told, what came before it is spoken."""
    request, begin, failure = run.job.message, run.index - len(plan.said), None
    splitter = Splitter(request.spoken, run.persona.quotes, run.voice.references)
    repeats = turns.Repeats(plan.said)
    messages = await _messages(run, plan)
    hurry = request.kind == "room"
    try:
        async with aclosing(run.desk.model.answer(messages, session=request.session, hurry=hurry)) as deltas:
            async for delta in deltas:
                run.raw += delta
                for piece in filter(repeats.new, splitter.feed(delta)):
                    await run.say(piece)
                if len(run.raw) > turns.ANSWER_LIMIT:
                    break
    except Failure as failed:
        failure = failed
    for piece in filter(repeats.new, splitter.close()):
        await run.say(piece)
    spoken = run.index - begin
    if problem := failure or turns.complaint(run.raw, spoken, quoted=request.spoken == "quoted"):
        await run.complain(problem)
    return turns.outcome(failed=failure is not None, spoken=spoken, limited=len(run.raw) > turns.ANSWER_LIMIT)


async def _messages(run: Run, plan: turns.Plan) -> list[prompt.Chat]:
    request = run.job.message
    language = request.language or run.persona.language
    who = prompt.Persona(
        prompt=request.prompt or run.persona.prompt_in(language),
        language=language,
        quoted=request.spoken == "quoted",
        emotions=tuple(run.voice.references),
    )
    pasts, run.settled = await recall(run.desk, request) if request.messages is None else ([], [])
    history = memory.messages(pasts)
    return prompt.build(who, request.ask, history=history, own=request.messages, said="".join(plan.said))


async def recall(desk: Desk, request: TurnRequested) -> tuple[list[memory.Past], list[memory.Past]]:
    """Earlier turns of the session as they were heard, and those of them that are settled now and not written down."""
    lines = await desk.bus.work.lrange(streams.HISTORY.of(request.session), 0, -1)
    pasts, settled = list[memory.Past](), list[memory.Past]()
    for past in memory.load(lines)[-memory.TURNS :]:
        if past.turn == request.turn:
            continue
        if past.heard is not None:
            pasts.append(past)
            continue
        answer = await desk.work.answer(past.turn)
        interrupted = request.epoch > past.epoch or bool(answer.dropped)
        played = await _played(desk, request, past, answer) if interrupted else None
        heard = memory.heard(answer.sentences, answer.spoken, interrupted=interrupted, played=played)
        pasts.append(memory.settle(past, heard))
        if interrupted or answer.complete:
            settled.append(pasts[-1])
    return pasts, settled


async def _played(desk: Desk, request: TurnRequested, past: memory.Past, answer: Answer) -> int | None:
    items = [(item.ms, item.message) for item in await desk.sessions.range(request.session, past.since)]
    return memory.played(past, items, answer.spoken, marks=request.kind == "call")


async def remember(desk: Desk, request: TurnRequested, pasts: list[memory.Past]) -> None:
    """Add lines to the session's history; a call's is forgotten after a day, a room's is kept."""
    key = streams.HISTORY.of(request.session)
    pipe = desk.bus.work.pipeline(transaction=True)
    pipe.rpush(key, *map(memory.dump, pasts))
    pipe.ltrim(key, -memory.LINES, -1)
    if request.kind != "room":
        pipe.expire(key, streams.TURN_KEPT_S)
    await pipe.execute()


async def give_up(desk: Desk, request: TurnRequested, failure: Failure) -> None:
    """Tell that this turn failed for good, and end its answer where it stands. May run more than once."""
    count, stands = await desk.work.end(request.turn)
    said = (await desk.work.answer(request.turn)).sentences
    sentence = words.clip(failure.sentence, 2_000)
    await desk.tell(request, Failed(turn=request.turn, code=failure.code, sentence=sentence))
    text, reason = "".join(said[index] for index in sorted(said)), cast("turns.Reason", stands)
    await desk.tell(request, AnswerEnded(turn=request.turn, count=count, text=text, reason=reason))


def _named(known: Mapping[str, T], name: str, what: str) -> T:
    if name in known:
        return known[name]
    names = ", ".join(sorted(known)) or "none"
    raise Failure(Code.BAD_INPUT, f"there is no {what} {name!r} in onair.yaml; known: {names}")
