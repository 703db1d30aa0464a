"""Conversations of Daily: an order makes this process the one that is in it; it stays until nobody listens any more.

All who listen, at whichever gateway, share the one stay: its app-messages are told on the conversation's session.
"""

import asyncio
from collections.abc import Callable

import structlog

from services.contract import streams
from services.contract.failure import Failure
from services.contract.gateway import ConversationWanted
from services.contract.ingest import AppMessageHeard, ConversationEnded, ConversationFailed, ConversationJoined
from services.ingest.core.ports import Conversations, Stay
from services.ingest.handlers.answers import Answers
from services.runtime import wanted, words
from services.runtime.delivery import Delivery, Duty
from services.runtime.leased import Leased
from services.runtime.line import LeaseLostError, Line
from services.runtime.sessions import Sessions
from services.runtime.work import Work

log = structlog.get_logger(__name__)
SENTENCE = 2_000
Answering = Callable[[Line, str], Answers | None]
"""Who answers in the conversation of that id; None: nobody."""


class Conversation:
    """One attendance of one conversation."""

    def __init__(self, id_: str, hold: wanted.Stay, line: Line, place: Conversations) -> None:
        self._id = id_
        self._hold = hold
        self._line = line
        self._place = place

    async def attend(self, answers: Answers | None) -> None:
        """Join and tell, until it is over or nobody wants it. Raises LeaseLostError."""
        if not await self._hold.renew():
            raise LeaseLostError
        if self._hold.unwanted.is_set():
            return  # who ordered it has gone meanwhile
        lost = False
        try:
            async with asyncio.TaskGroup() as group:
                loops = [self._line.keep(), self._be_there(answers), self._hold.unwanted.wait()]
                tasks = [group.create_task(loop) for loop in loops]
                await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
                for task in tasks:
                    task.cancel()
        except* LeaseLostError:
            lost = True  # raised in here it would be a group again
        if lost:
            raise LeaseLostError

    async def _be_there(self, answers: Answers | None) -> None:
        try:
            stay = await self._place.join(self._id)
        except Failure as failure:
            log.warning("a conversation was not joined", session=self._line.session, reason=failure.sentence)
            await self._line.tell(failed(failure))
            return
        try:
            self._hold.joined = True
            await self._line.tell(ConversationJoined(call=self._hold.me))
            async with asyncio.TaskGroup() as group:
                talk = group.create_task(answers.run(stay)) if answers else None
                await self._hear(stay, answers)
                if talk:
                    talk.cancel()
        finally:
            await stay.leave()

    async def _hear(self, stay: Stay, answers: Answers | None) -> None:
        """Tell what is said, in order, until the stay is over."""
        while True:
            news = await stay.next()
            if isinstance(news, str):
                log.info("a conversation is over", session=self._line.session, reason=news)
                await self._line.tell(ConversationEnded(call=self._hold.me, reason=words.clip(news, SENTENCE)))
                return
            await self._line.tell(AppMessageHeard(sender=news.sender[:128]), news.body)
            if answers:
                answers.heard(news.body)


class Meetings(Leased[ConversationWanted, wanted.Stay]):
    """The conversations of this process, `most` at a time."""

    what = "conversation"

    def __init__(
        self,
        work: Work,
        sessions: Sessions,
        hold: Callable[[str], wanted.Stay],
        most: int,
        place: Conversations,
        answering: Answering,
    ) -> None:
        """`hold`: the lease of a session, in the name of this process."""
        super().__init__(work, hold, most)
        self._sessions = sessions
        self._place = place
        self.answering = answering

    async def attend(self, order: ConversationWanted, lease: wanted.Stay) -> None:
        """Be in it as long as anybody listens; raises LeaseLostError."""
        line = Line(order.session, lease, self._sessions)
        await Conversation(order.conversation, lease, line, self._place).attend(
            self.answering(line, order.conversation)
        )

    async def give_up(self, order: ConversationWanted, failure: Failure) -> None:
        """Say what went wrong. May run more than once."""
        await self._sessions.publish(order.session, failed(failure))


def failed(failure: Failure) -> ConversationFailed:
    """What listeners are told of it."""
    return ConversationFailed(code=failure.code, sentence=words.clip(failure.sentence, SENTENCE))


def attach(delivery: Delivery, meetings: Meetings) -> None:
    """Take orders, one at a time: each is short."""
    stream = streams.JOINS
    delivery.attach(Duty(stream.key(), stream.group, ConversationWanted, meetings.take, meetings.give_up))
