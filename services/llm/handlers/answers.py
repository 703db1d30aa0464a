"""Answers turns: reads `turns`, has the answer made, commits it sentence by sentence, tells the session."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import cast

import structlog

from services.contract import streams
from services.contract.failure import Code, Failed, Failure
from services.contract.ingest import TurnRequested
from services.contract.llm import AnswerEnded, SentenceReady
from services.llm.core import memory, prompt, turns
from services.llm.core.sentences import Piece, Splitter
from services.llm.handlers.desk import Desk
from services.llm.handlers.history import recall, remember
from services.runtime import voices, words
from services.runtime.ahead import Ahead
from services.runtime.config import Persona, Voice
from services.runtime.delivery import Delivery, Duty, Job
from services.runtime.work import Answer, Verdict

log = structlog.get_logger(__name__)
WATCH_S = 0.25
"""How often a turn is looked at while its model thinks: is it still wanted?"""


class _StopError(Exception):
    """The turn goes no further here; `ended`: the reason it shall be closed with, None if that is not ours to do."""

    def __init__(self, ended: turns.Reason | None) -> None:
        super().__init__(ended)
        self.ended: turns.Reason | None = ended


@dataclass
class Run:
    """One delivery of one turn, as far as it has come."""

    desk: Desk
    job: Job[TurnRequested]
    persona: Persona
    voice: Voice
    index: int = 0
    before: str = ""
    raw: str = ""
    since: str = "-"
    lines: list[bytes] = field(default_factory=list[bytes])
    """Of the session's history."""
    settled: list[memory.Past] = field(default_factory=list[memory.Past])
    """Of earlier turns, what is written down with this one: the model is not kept waiting for it."""
    ahead: Ahead[str] | None = None
    """What the model answers if nothing was said of the turn before; None once it is known that something was."""

    def hurry(self) -> None:
        """Where a person waits whose history is known, ask the model while work is asked what is known of the turn."""
        request = self.job.message
        plan = turns.plan(request.ask, request.say)
        late = turns.late(request.deadline_ms, self.desk.clock(), 0)
        waits = request.messages is not None and request.kind != "room" and self.job.delivery == 1
        if plan.asks and waits and not late:
            self.ahead = Ahead(_deltas(self, plan))

    async def begun(self, known: Answer) -> list[str]:
        """Go on from what was said before; the sentences."""
        said = [known.sentences[index] for index in sorted(known.sentences)]
        self.index, self.before = len(said), "".join(said)[-turns.BEFORE :]
        if said or known.count is not None:
            await self.close()
        return said

    async def close(self) -> None:
        """Want nothing more of what was asked ahead."""
        if self.ahead:
            await self.ahead.close()
            self.ahead = None

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
    run = Run(desk, job, *desk.cast(job.message))
    run.hurry()
    try:
        await asyncio.sleep(0)  # what was asked ahead goes out first
        known, run.lines = await desk.look(job.message, run.voice)
        said = await run.begun(known)
        if known.count is not None:
            run.raw = "".join(said)
            await run.end("done")
        elif reason := await _while_wanted(run, said):
            await run.end(reason)
    finally:
        await run.close()


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
    try:
        async with aclosing(run.ahead.all() if run.ahead else _deltas(run, plan)) as deltas:
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


async def _deltas(run: Run, plan: turns.Plan) -> AsyncGenerator[str, None]:
    """What the model answers."""
    request, messages = run.job.message, await _messages(run, plan)
    answer = run.desk.model.answer(messages, session=request.session, hurry=request.kind == "room")
    async with aclosing(answer) as deltas:
        async for delta in deltas:
            yield delta


async def _messages(run: Run, plan: turns.Plan) -> list[prompt.Chat]:
    request = run.job.message
    language = request.language or run.persona.language
    who = prompt.Persona(
        prompt=request.prompt or run.persona.prompt_in(language),
        language=language,
        quoted=request.spoken == "quoted",
        emotions=tuple(run.voice.references),
    )
    pasts, run.settled = await recall(run.desk, request, run.lines) if request.messages is None else ([], [])
    history = memory.messages(pasts)
    return prompt.build(who, request.ask, history=history, own=request.messages, said="".join(plan.said))


async def give_up(desk: Desk, request: TurnRequested, failure: Failure) -> None:
    """Tell that this turn failed for good, and end its answer where it stands. May run more than once."""
    count, stands = await desk.work.end(request.turn)
    said = (await desk.work.answer(request.turn)).sentences
    sentence = words.clip(failure.sentence, 2_000)
    await desk.tell(request, Failed(turn=request.turn, code=failure.code, sentence=sentence))
    text, reason = "".join(said[index] for index in sorted(said)), cast("turns.Reason", stands)
    await desk.tell(request, AnswerEnded(turn=request.turn, count=count, text=text, reason=reason))
