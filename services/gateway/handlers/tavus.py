"""Conversations at Tavus: written down on work before they are created, so that whoever lives can end them."""

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from typing import Any

import structlog
from redis.asyncio import Redis

from services.contract import streams
from services.contract.failure import Code, Failure
from services.contract.gateway import ConversationCreated
from services.gateway.core.tavus import held
from services.gateway.core.tavus.ports import OVER, Conversation, Ended, Tavus
from services.gateway.core.tavus.wishes import Wish
from services.gateway.handlers.trouble import told
from services.runtime.clock import now_ms
from services.runtime.trouble import TROUBLE

log = structlog.get_logger(__name__)
WISH = "a conversation at Tavus"
LEAVE_S = 8.0
"""The last gateway takes so long to end them."""
TOGETHER = 8
"""So many are ended at the same time."""
UNSURE = {Code.ENGINE_SILENT, Code.ENGINE_BROKEN}
"""Failures after which the conversation may go on all the same."""
LOST = "whether it was created is not known: if it was, OnAir finds and ends it within the hour"
STOPPING = "this gateway is stopping, no conversation is begun; ask another one, or again in a moment"
Due = Callable[[ConversationCreated], bool]


class TavusConversations:
    """Those of all gateways: what one wrote down another one ends. Raises Failure: as the port, and BUS_DOWN."""

    def __init__(self, work: Redis, tavus: Tavus) -> None:
        self._work: Any = work
        self._tavus = tavus
        self._stopping = False
        self._together = asyncio.Semaphore(TOGETHER)

    async def create(self, wish: Wish, who: str) -> tuple[ConversationCreated, str]:
        """A new conversation and its state; one that has ended already, as in test mode, is not kept."""
        if self._stopping:
            raise Failure(Code.BUSY, STOPPING, retryable=True)
        record = await self._intended(wish, who)
        made = await self._asked(record, wish)
        record = record.model_copy(update={"conversation": made.id, "url": made.url})
        if made.status in OVER:
            await self._forget(record)
            return record, made.status
        await self._kept(record)
        return record, made.status

    async def _intended(self, wish: Wish, who: str) -> ConversationCreated:
        """Write down what is about to be created; raises Failure BUSY where that is too much."""
        mark = secrets.token_hex(8)
        name = held.named(wish.name, mark)
        record = ConversationCreated(mark=mark, name=name, max_s=wish.max_s, at_ms=now_ms(), by=who)
        async with told(WISH):
            if await self._work.hlen(streams.TAVUS) >= held.MOST:
                remedy = "end some by `onair tavus conversation end`"
                raise Failure(Code.BUSY, f"OnAir holds {held.MOST} conversations already; {remedy}")
            await self._keep(record)
        return record

    async def _asked(self, record: ConversationCreated, wish: Wish) -> Conversation:
        """Tavus's answer; where it refused there is nothing to end."""
        try:
            return await self._tavus.create({**wish.body, "conversation_name": record.name})
        except Failure as failure:
            if failure.code in UNSURE:
                log.warning("a conversation may have been created", name=record.name, reason=failure.sentence)
                raise Failure(failure.code, f"{failure.sentence}; {LOST}") from failure
            with suppress(Failure):  # the broker's trouble is told in the log, Tavus's answer to whoever asked
                await self._forget(record)
            raise

    async def _kept(self, record: ConversationCreated) -> None:
        """Write its id down; one that cannot be, or that comes while this gateway ends, is ended at once."""
        try:
            async with told(WISH):
                await self._keep(record)
        except Failure:
            await self._hang_up(record.conversation)
            raise
        if self._stopping:
            await self.end(record.conversation)
            raise Failure(Code.BUSY, STOPPING, retryable=True)

    async def listed(self, status: str) -> list[tuple[Conversation, bool]]:
        """Those of the account, each with whether OnAir answers for it."""
        records = await self._records()
        seen = await self._tavus.conversations(status)
        ours = {record.conversation or held.found(record, seen) for record in records}
        return [(each, each.id in ours) for each in seen]

    async def end(self, id_: str) -> Ended:
        """End that one, whoever created it."""
        ended = await self._hang_up(id_)
        for record in await self._records():
            if record.conversation == id_:
                await self._forget(record)
        return Ended(ended=(id_,)) if ended else Ended(over=(id_,))

    async def end_all(self) -> Ended:
        """End all that OnAir created, but what is being asked for at this moment."""
        now = now_ms()
        return await self._sweep(lambda record: not held.asked_for(record, now))

    async def end_forgotten(self, after_ms: int, *, alone: bool) -> Ended:
        """End those that nobody else will; `alone`: no gateway lives, so that is all of them. Safe to run twice."""
        now = now_ms()
        return await self._sweep(lambda record: alone or held.forgotten(record, now, after_ms))

    async def until_the_end(self, alone: Callable[[], Awaitable[bool]]) -> None:
        """Last as long as the service does; then end what was created, unless another gateway works on."""
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            self._stopping = True
            await self._leave(alone)

    async def _leave(self, alone: Callable[[], Awaitable[bool]]) -> None:
        try:
            async with asyncio.timeout(LEAVE_S):
                if not await alone():
                    log.info("another gateway works on, conversations at Tavus go on")
                    return
                done = await self._sweep(lambda _: True)
        except (Failure, TimeoutError, *TROUBLE) as error:
            remedy = "the hourly job ends them; or end them by `onair tavus conversation end --all`"
            log.error("conversations at Tavus may go on", error=str(error), remedy=remedy)  # noqa: TRY400  the sentence says it all
            return
        if done.ended or done.failed:
            log.info("ended what was created at Tavus", ended=done.ended, over=done.over, failed=done.failed)

    async def _sweep(self, due: Due) -> Ended:
        """End those that are due, each once however many processes sweep."""
        records = [record for record in await self._records() if due(record)]
        lost = [record for record in records if not record.conversation]
        seen = await self._tavus.conversations("active") if lost else []
        done = await asyncio.gather(*(self._settled(record, seen) for record in records))
        return _together(done)

    async def _settled(self, record: ConversationCreated, seen: Sequence[Conversation]) -> Ended:
        """End this one, unless another process is at it."""
        claim = streams.ENDING.of(record.mark)
        async with self._together, told(WISH):
            if not await self._work.set(claim, b"1", nx=True, px=streams.ENDING_MS):
                return Ended()
            if not await self._work.hexists(streams.TAVUS, record.mark):
                return Ended()
            id_, name = record.conversation or held.found(record, seen), record.conversation or record.name
            try:
                ended = bool(id_) and await self._hang_up(id_)
            except Failure as failure:
                if failure.code is not Code.NOT_FOUND or not held.expired(record, now_ms()):
                    await self._work.delete(claim)
                    return Ended(failed=(f"{name}: {failure.sentence}",))
                ended = False
            if not id_ and not held.expired(record, now_ms()):
                await self._work.delete(claim)  # it may yet appear in Tavus's list
                return Ended()
            await self._work.hdel(streams.TAVUS, record.mark)
            return Ended(ended=(id_,)) if ended else Ended(over=(name,))

    async def _hang_up(self, id_: str) -> bool:
        """End it at Tavus; False if it was over. Where Tavus does not say how it stands, it is ended all the same."""
        try:
            if (await self._tavus.conversation(id_)).status in OVER:
                return False
        except Failure as failure:
            if failure.code is Code.NOT_FOUND:
                raise
            log.warning("ending a conversation without knowing how it stands", id=id_, reason=failure.sentence)
        await self._tavus.end(id_)
        return True

    async def _records(self) -> list[ConversationCreated]:
        async with told(WISH):
            bodies: dict[bytes, bytes] = await self._work.hgetall(streams.TAVUS)
        return [ConversationCreated.from_json(body) for body in bodies.values()]

    async def _keep(self, record: ConversationCreated) -> None:
        await self._work.hset(streams.TAVUS, record.mark, record.to_json())

    async def _forget(self, record: ConversationCreated) -> None:
        async with told(WISH):
            await self._work.hdel(streams.TAVUS, record.mark)


def _together(parts: Iterable[Ended]) -> Ended:
    found = list(parts)
    return Ended(
        tuple(id_ for each in found for id_ in each.ended),
        tuple(id_ for each in found for id_ in each.over),
        tuple(why for each in found for why in each.failed),
    )
