"""Following streams of a broker as they grow: one blocking read for many keys, shared by all readers of this process.

A reader first fetches what is there after its position; then it joins the feed of its key and is given what comes. A
reader that does not take what it is given leaves the feed, and fetches from its position when it asks again: it costs
nothing until then, and holds nobody up. Each blocking read has a key of its own among its keys, by which it is woken when
a key is added or has to be read from further back.
"""

import asyncio
import contextvars
import uuid
from collections import deque
from collections.abc import AsyncGenerator
from typing import Any, cast

from redis.asyncio import Redis
from redis.exceptions import RedisError

from services.contract import streams
from services.runtime.bus import BLOCK_MS
from services.runtime.tail import RawEntry, order
from services.runtime.trouble import HEAL_S, TROUBLE, passes, tell

KEYS = 100
"""Keys of one blocking read: a message costs the broker more the more there are."""
BATCH = 25
"""Entries of one key that are read at once, and that wait for one reader: five seconds of sound, 240 KB."""
FETCHES = 8
"""Readers that fetch at once."""
CHECK_S = 5.0
"""So often it is asked whether the broker still has what was read. A broken read tells it sooner; but who asks nothing in the
moment of the loss is connected anew without noticing it, and may join with a position from before.
"""
At = tuple[int, int]
START: At = (0, 0)


class Reader:
    """One who follows a key."""

    def __init__(self, key: str, at: At) -> None:
        self.key = key
        self.at = at
        """Position of the last entry that it was given."""
        self.waiting: deque[RawEntry] = deque()
        self.feed: Feed | None = None
        self.failed: BaseException | None = None
        self._news = asyncio.Event()

    def give(self, at: At, entry: RawEntry) -> bool:
        """Let the entry wait if it is new; False if too many wait already."""
        if at <= self.at:
            return True
        if len(self.waiting) >= BATCH:
            return False
        self.waiting.append(entry)
        self.at = at
        self._news.set()
        return True

    def leave(self) -> None:
        """Belong to no feed any more, and notice it."""
        self.feed = None
        self._news.set()

    async def news(self) -> None:
        """Wait until something waits or the feed is left."""
        self._news.clear()
        await self._news.wait()


class Feed:
    """One key of a blocking read."""

    def __init__(self, link: "Link", at: At) -> None:
        self.link = link
        self.at = at
        """What is read next comes after this."""
        self.readers: set[Reader] = set()

    def give(self, entries: list[RawEntry]) -> None:
        """To all readers; who does not keep up leaves."""
        for entry in entries:
            self.at = order(entry[0])
            for reader in [reader for reader in self.readers if not reader.give(self.at, entry)]:
                self.drop(reader)

    def mend(self, newest: At, known: dict[Reader, At]) -> None:
        """Begin anew for those who were beyond the newest entry when that was asked for."""
        for reader in self.readers:
            if newest < reader.at == known.get(reader):
                self.at = reader.at = START

    def drop(self, reader: Reader) -> None:
        """One reader less."""
        self.readers.discard(reader)
        reader.leave()
        if not self.readers:
            del self.link.feeds[reader.key]


class Link:
    """One blocking read."""

    def __init__(self, hub: "Hub") -> None:
        self.feeds: dict[str, Feed] = {}
        self._hub = hub
        self._asked: dict[str, At] | None = None
        """What the read that is under way asks for."""
        self._renew()
        self._check_at = _now() + CHECK_S
        self.task = asyncio.create_task(self._run(), context=contextvars.Context())

    def _renew(self) -> None:
        self._wake, self._woken = streams.WAKE.of(uuid.uuid4().hex), "0-0"

    async def wake(self, key: str) -> None:
        """Have the read that is under way ask anew, unless it asks for what the key's readers need."""
        if not self._stale(key):
            return
        try:
            async with self._hub.fetches:
                if self._stale(key):
                    pipe = self._hub.redis.pipeline(transaction=False)
                    pipe.xadd(self._wake, {"k": b""}, maxlen=1, approximate=False)
                    pipe.expire(self._wake, streams.WAKE_IDLE_S)
                    await pipe.execute()
        except TROUBLE as error:
            tell(f"waking the reader of {key}", error)

    def _stale(self, key: str) -> bool:
        feed = self.feeds.get(key)
        return bool(feed and self._asked is not None and self._asked.get(key) != feed.at)

    async def _run(self) -> None:
        broken = False
        try:
            while self.feeds:
                try:
                    if broken or _now() >= self._check_at:
                        await self._check()
                    broken = False
                    await self._read()
                except TROUBLE as error:
                    broken = True
                    tell("reading sessions", error)
                    await asyncio.sleep(HEAL_S)
        except Exception as error:  # noqa: BLE001  the readers raise it
            for feed in list(self.feeds.values()):
                for reader in list(feed.readers):
                    reader.failed = error
                    feed.drop(reader)
        finally:
            self._hub.links.discard(self)

    async def _read(self) -> None:
        asked = self._asked = {key: feed.at for key, feed in self.feeds.items()}
        try:
            after = {self._wake: self._woken, **{key: text(at) for key, at in asked.items()}}
            found = cast("Any", await self._hub.redis.xread(cast("Any", after), count=BATCH, block=BLOCK_MS))
        finally:
            self._asked = None
        for name, entries in cast("list[tuple[bytes, list[RawEntry]]]", found):
            key = name.decode()
            feed = self.feeds.get(key)
            if key == self._wake:
                self._woken = entries[-1][0].decode()
            elif feed and feed.at == asked[key]:
                feed.give(entries)
        await asyncio.sleep(0)  # readers first: putting the next question together takes a moment

    async def _check(self) -> None:
        """Go on from the beginning where the broker, which keeps nothing, came back without what was read."""
        asked = [(key, feed, {reader: reader.at for reader in feed.readers}) for key, feed in self.feeds.items()]
        pipe = self._hub.redis.pipeline(transaction=False)
        for key, _, _ in asked:
            pipe.xrevrange(key, count=1)
        for (_, feed, known), last in zip(asked, await pipe.execute(raise_on_error=False), strict=True):
            if isinstance(last, RedisError):
                if passes(last):
                    raise last
                for reader in list(feed.readers):  # the others shall not suffer from a key that cannot be read
                    feed.drop(reader)
            else:
                feed.mend(position(last), known)
        self._renew()
        self._check_at = _now() + CHECK_S


class Hub:
    """All that this process reads on one broker."""

    def __init__(self, redis: Redis) -> None:
        self.redis = redis
        self.readers = 0
        self.links: set[Link] = set()
        self.fetches = asyncio.Semaphore(FETCHES)

    async def fetch(self, reader: Reader) -> None:
        """Give the reader what is there after its position; once that is all, let it join the feed of its key.

        A position beyond the newest entry is one of a broker that has lost what was read: the reader begins anew.
        """
        try:
            async with self.fetches:
                newest = position(await self.redis.xrevrange(reader.key, count=1))
                reader.at = reader.at if reader.at <= newest else START
                found = await self.redis.xrange(reader.key, f"({text(reader.at)}", count=BATCH)
        except TROUBLE as error:
            tell(f"reading {reader.key}", error)
            await asyncio.sleep(HEAL_S)
            return
        page = cast("list[RawEntry]", found)
        reader.waiting.extend(page)
        reader.at = position(page) if page else reader.at
        if len(page) < BATCH:
            self._join(reader)

    def _join(self, reader: Reader) -> None:
        feed = next((link.feeds[reader.key] for link in self.links if reader.key in link.feeds), None)
        if not feed:
            link = next((link for link in self.links if len(link.feeds) < KEYS), None) or Link(self)
            self.links.add(link)
            feed = link.feeds[reader.key] = Feed(link, reader.at)
        feed.at = min(feed.at, reader.at)
        feed.readers.add(reader)
        reader.feed = feed

    async def leave(self, reader: Reader) -> None:
        """Free what the reader held; the last one of a blocking read ends it."""
        self.readers -= 1
        if not (feed := reader.feed):
            return
        feed.drop(reader)
        if not feed.link.feeds:
            self.links.discard(feed.link)
            feed.link.task.cancel()
            await asyncio.wait([feed.link.task])


_hubs: dict[Redis, Hub] = {}


async def follow(redis: Redis, key: str, after: str) -> AsyncGenerator[RawEntry]:
    """Entries of the key after that id, in order, as they come, for ever; heals by itself when the broker goes and comes back."""
    hub = _hubs.setdefault(redis, Hub(redis))
    hub.readers += 1
    reader = Reader(key, order(after))
    try:
        while True:
            while reader.waiting:
                yield reader.waiting.popleft()
            if reader.failed:
                raise reader.failed
            if feed := reader.feed:
                await feed.link.wake(key)
                if not reader.waiting and reader.feed:
                    await reader.news()
            else:
                await hub.fetch(reader)
    finally:
        await hub.leave(reader)
        if not hub.readers and _hubs.get(redis) is hub:
            del _hubs[redis]


def position(entries: Any) -> At:  # noqa: ANN401  redis-py's answer
    """Of the last of these entries; the start if there are none."""
    return order(entries[-1][0]) if entries else START


def text(at: At) -> str:
    """The position as an id."""
    return f"{at[0]}-{at[1]}"


def _now() -> float:
    return asyncio.get_running_loop().time()
