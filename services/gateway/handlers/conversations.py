"""Conversations of Daily, as this gateway's listeners want them: one interest for all who listen to the same one."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing, suppress

from services.contract import streams
from services.contract.failure import Code, Failure
from services.contract.gateway import ConversationWanted
from services.gateway.core.listen import Stand
from services.gateway.core.ports import Entry
from services.gateway.handlers.desk import entry
from services.gateway.handlers.trouble import told
from services.runtime.bus import Bus
from services.runtime.clock import now_ms
from services.runtime.sessions import Sessions
from services.runtime.trouble import TROUBLE, tell
from services.runtime.wanted import Interest

CONVERSATION = "a conversation"
BEAT_S = 1.0
"""How often the interest is renewed."""
ORDER_MS = 2_000
"""An order that nobody has taken by then was given anew."""
PATIENCE_S = 8.0
"""Longer than a killed process's lease and the next one's taking of it."""
NEWS = 64
"""What may wait for one listener; then its session is read no further."""


class Wanting:
    """One conversation that somebody here listens to."""

    def __init__(self, bus: Bus, conversation: str) -> None:
        self.listeners = 0
        self._conversation = conversation
        self._session = streams.conversation(conversation)
        self._interest = Interest(bus.work, self._session)
        self._stand = Stand()
        self._changed = asyncio.Event()
        self._beats = asyncio.create_task(self._beat())

    async def _beat(self) -> None:
        """Want it, for ever; a broker that is away for less than a lease costs nothing."""
        clock = asyncio.get_running_loop().time
        taken = clock()
        while True:
            call = self._stand.call
            try:
                order = ConversationWanted(
                    session=self._session, conversation=self._conversation, deadline_ms=now_ms() + ORDER_MS
                )
                held = await self._interest.hold(order)
                taken, call = (clock() if held.attended else taken), held.call
            except TROUBLE as error:
                tell(CONVERSATION, error)
            self._set(Stand(call, silent=clock() - taken > PATIENCE_S))
            await asyncio.sleep(BEAT_S)

    def _set(self, stand: Stand) -> None:
        if stand != self._stand:
            self._stand = stand
            self._changed.set()
            self._changed = asyncio.Event()

    async def watch(self, news: asyncio.Queue[Entry | Stand]) -> None:
        """How it stands, now and as it changes, for ever."""
        while True:
            changed = self._changed
            await news.put(self._stand)
            await changed.wait()

    async def end(self) -> None:
        """Want it no more."""
        self._beats.cancel()
        await asyncio.gather(self._beats, return_exceptions=True)
        with suppress(*TROUBLE):  # then it ends by itself
            await self._interest.drop()


class BusConversations:
    """Those of one gateway, `most` at a time."""

    def __init__(self, bus: Bus, most: int) -> None:
        self._bus = bus
        self._most = most
        self._sessions = Sessions(bus)
        self._wanted: dict[str, Wanting] = {}

    async def hear(self, conversation: str) -> AsyncGenerator[Entry | Stand]:
        """See the port."""
        session = streams.conversation(conversation)
        async with told(CONVERSATION):
            after = await self._sessions.last_id(session)
        wanting = self._want(conversation)
        news: asyncio.Queue[Entry | Stand] = asyncio.Queue(NEWS)
        works = [asyncio.ensure_future(work) for work in (self._follow(session, after, news), wanting.watch(news))]
        try:
            while True:
                yield await _next(news, works)
        finally:
            for work in works:
                work.cancel()
            await asyncio.gather(*works, return_exceptions=True)
            await self._leave(conversation, wanting)

    def _want(self, conversation: str) -> Wanting:
        if conversation not in self._wanted:
            if len(self._wanted) >= self._most:
                sentence = f"{self._most} conversations are listened to already; try again soon"
                raise Failure(Code.BUSY, sentence, retryable=True)
            self._wanted[conversation] = Wanting(self._bus, conversation)
        wanting = self._wanted[conversation]
        wanting.listeners += 1
        return wanting

    async def _leave(self, conversation: str, wanting: Wanting) -> None:
        wanting.listeners -= 1
        if not wanting.listeners:
            del self._wanted[conversation]
            await wanting.end()

    async def _follow(self, session: str, after: str, news: asyncio.Queue[Entry | Stand]) -> None:
        async with aclosing(self._sessions.read(session, after)) as items:
            async for item in items:
                await news.put(entry(item))


async def _next(news: asyncio.Queue[Entry | Stand], works: Sequence[asyncio.Future[None]]) -> Entry | Stand:
    """The next news; raises what broke the work that brings them."""
    if not news.empty():
        return news.get_nowait()
    coming = asyncio.ensure_future(news.get())
    try:
        await asyncio.wait([coming, *works], return_when=asyncio.FIRST_COMPLETED)
        for work in works:
            if work.done():
                work.result()
        return await coming
    finally:
        coming.cancel()
