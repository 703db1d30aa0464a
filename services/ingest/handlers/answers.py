"""Answers what users say in a conversation: their utterances become turns, and what is said to them goes back as app-messages."""

import asyncio
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Literal

import structlog
from redis.asyncio import Redis

from services.contract import streams
from services.contract.failure import Failed, Failure
from services.contract.ingest import TurnRequested
from services.contract.message import Message
from services.ingest.core.ports import Stay
from services.ingest.core.utterances import Question, Questions, Reply, messages
from services.runtime import envelope, words
from services.runtime.clock import now_ms
from services.runtime.line import Line
from services.runtime.sessions import Sessions
from services.runtime.trouble import HEAL_S, TROUBLE, passes, tell
from services.runtime.work import Work

log = structlog.get_logger(__name__)
BEGIN_MS = 40_000
"""An answer that has not begun by then is not begun."""
INSIST_MS = 10_000
"""While a broker is in trouble a question is asked again for so long; then nobody waits for its answer any more."""
WAITING = 8
"""Questions that wait to be asked; the oldest goes first where there are more."""


@dataclass(frozen=True)
class Voice:
    """Who answers, and how the answer is said."""

    persona: str
    language: str
    by: Literal["echo", "respond"]


class Answers:
    """Those of one conversation. The newest question counts: an answer that is not there yet is ended by it."""

    def __init__(self, redis: Redis, sessions: Sessions, line: Line, conversation: str, voice: Voice) -> None:
        self._redis = redis
        self._work = Work(redis)
        self._sessions = sessions
        self._line = line
        self._conversation = conversation
        self._voice = voice
        self._questions = Questions()
        self._asked: asyncio.Queue[Question] = asyncio.Queue(WAITING)
        self._heard = asyncio.Event()
        self._no = 0
        self._reply: Reply | None = None

    def heard(self, body: bytes) -> None:
        """An app-message came."""
        self._put(self._questions.heard(body, now_ms()))
        self._heard.set()

    def _put(self, questions: Sequence[Question]) -> None:
        for question in questions:
            if self._asked.full():
                self._asked.get_nowait()  # the newest counts
            self._asked.put_nowait(question)

    async def run(self, stay: Stay) -> None:
        """For ever."""
        after = await self._sessions.last_id(self._line.session)
        async with asyncio.TaskGroup() as group:
            for loop in (self._tick(), self._ask_all(), self._send_all(stay, after)):
                group.create_task(loop)

    async def _tick(self) -> None:
        """Notice that an utterance has stopped growing."""
        while True:
            due_ms = self._questions.due_ms
            self._heard.clear()
            try:
                async with asyncio.timeout(None if due_ms is None else max(0, due_ms - now_ms()) / 1_000):
                    await self._heard.wait()
            except TimeoutError:
                self._put(self._questions.tick(now_ms()))

    async def _ask_all(self) -> None:
        while True:
            question = await self._asked.get()
            request = self._request(question)
            while True:
                if await self._asked_for(request, late=now_ms() > question.at_ms + INSIST_MS):
                    break
                await asyncio.sleep(HEAL_S)

    def _request(self, question: Question) -> TurnRequested:
        """A turn's number is the time at which it was asked for, or one more than the last."""
        self._no = max(self._no + 1, question.at_ms)
        session = self._line.session
        return TurnRequested(
            turn=f"{session}-{self._no}",
            no=self._no,
            session=session,
            epoch=0,
            kind="chat",
            ask=question.text,
            persona=self._voice.persona,
            language=self._voice.language,
            requested_ms=question.at_ms,
            deadline_ms=question.at_ms + BEGIN_MS,
        )

    async def _asked_for(self, request: TurnRequested, *, late: bool) -> bool:
        """Whether this is settled: it was asked for, or it is too late. The same turn asked for twice is answered once."""
        try:
            if await self._redis.exists(streams.SILENCE):
                log.info("not answered: an operator has silenced everything", session=request.session)
                return True
            await self._ask(request)
        except TROUBLE as error:
            if not passes(error):
                raise
            tell(f"asking in {request.session}", error)
            return late
        return True

    async def _ask(self, request: TurnRequested) -> None:
        session = request.session
        if self._reply and self._reply.turn != request.turn:
            await self._sessions.interrupt(self._work, session, "speech")
        self._reply = Reply(request.turn)
        request = request.model_copy(update={"epoch": await self._work.epoch(session)})
        await self._redis.xadd(streams.TURNS.key(), {"__data__": envelope.encode(request)})
        await self._sessions.air(request)

    async def _send_all(self, stay: Stay, after: str) -> None:
        async with aclosing(self._sessions.read(self._line.session, after)) as items:
            async for item in items:
                await self._told(item.message, stay)

    async def _told(self, message: Message, stay: Stay) -> None:
        """Send the answer that is waited for as soon as it is whole."""
        reply = self._reply
        sentences = reply.feed(message) if reply else None
        if reply is None or sentences is None:
            return
        self._reply = None
        if not sentences:
            log.warning("an answer has no words", session=self._line.session, turn=reply.turn)
        try:
            for each in messages(self._conversation, self._voice.by, sentences):
                if self._voice.by == "respond":
                    self._questions.sent(each["properties"]["text"])
                await stay.send(each)
        except Failure as failure:
            await self._complain(reply.turn, failure)

    async def _complain(self, turn: str, failure: Failure) -> None:
        log.warning("an answer was not sent", session=self._line.session, reason=failure.sentence)
        told = Failed(turn=turn, code=failure.code, sentence=words.clip(failure.sentence, 2_000))
        await self._line.tell(told)
