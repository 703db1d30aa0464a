"""Readers that share blocking reads: whatever happens in whatever order, each is given what comes after its position."""

import asyncio
import random
import uuid
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, cast

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from redis.asyncio import Redis

from services.runtime.bus import connect
from services.runtime.follow import follow, text
from services.runtime.tail import order

PATIENCE_S = 20
KEYS = 3
Step = tuple[str, int, int]


@dataclass
class Follower:
    """A reader that takes, or does not, and what it should have been given."""

    key: str
    wanted: list[str]
    got: list[str] = field(default_factory=list[str])
    takes: asyncio.Event = field(default_factory=asyncio.Event)
    task: asyncio.Task[None] | None = None

    async def run(self, redis: Redis, after: str) -> None:
        entries = follow(redis, self.key, after)
        try:
            while True:
                await self.takes.wait()
                self.got.append((await anext(entries))[0].decode())
        finally:
            await entries.aclose()


class Late(Redis):
    """A client whose answers are on their way for a while: what was asked for meanwhile may overtake them."""

    def __init__(self, url: str, seed: int) -> None:
        super().__init__(connection_pool=connect(url).connection_pool)  # pyright: ignore[reportUnknownMemberType]  redis-py leaves it untyped
        self._dice = random.Random(seed)

    async def execute_command(self, *args: Any, **options: Any) -> Any:
        found: Any = await super().execute_command(*args, **options)  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]  as above
        await asyncio.sleep(self._dice.choice([0, 0, 0.001, 0.005]))
        return cast("Any", found)


class World:
    """A broker, those who follow its keys, and what its keys should hold."""

    def __init__(self, redis: Redis, other: Redis) -> None:
        self.redis = redis
        """Of the readers."""
        self.other: Any = other
        self.run = uuid.uuid4().hex
        self.held: dict[str, list[str]] = {f"{self.run}:{number}": [] for number in range(KEYS)}
        self.ever: list[str] = ["0-0"]
        self.followers: list[Follower] = []
        self.lost: list[Follower] = []
        self.clocks = [1_000_000]

    async def publish(self, at: int, count: int) -> None:
        """So many entries at once."""
        key, pipe = self._key(at), self.other.pipeline(transaction=False)
        for _ in range(count):
            id_ = f"{self.clocks[-1]}-{len(self.ever)}"
            self.held[key].append(id_)
            self.ever.append(id_)
            pipe.xadd(key, {"k": id_}, id=id_)
            for follower in self.followers:
                if follower.key == key:
                    follower.wanted.append(id_)
        await pipe.execute()

    async def join(self, at: int, place: int) -> None:
        """A reader from any position that there ever was.

        One beyond the newest entry is of a broker that was lost only as long as nothing newer is published: it is waited for.
        """
        key, after = self._key(at), self.ever[place % len(self.ever)]
        held = self.held[key]
        known = bool(held) and order(after) <= order(held[-1])
        follower = Follower(key, [id_ for id_ in held if not known or order(id_) > order(after)])
        follower.takes.set()
        follower.task = asyncio.create_task(follower.run(self.redis, after))
        self.followers.append(follower)
        if held and not known:
            await self._given([follower])

    async def leave(self, at: int, _: int) -> None:
        """A reader goes at any moment; so far it was given what it should."""
        if self.followers:
            follower = self.followers.pop(at % len(self.followers))
            assert follower.task
            follower.task.cancel()
            await asyncio.gather(follower.task, return_exceptions=True)
            assert follower.got == follower.wanted[: len(follower.got)]

    async def pause(self, at: int, _: int) -> None:
        """A reader takes no more, or again."""
        if self.followers:
            takes = self.followers[at % len(self.followers)].takes
            takes.clear() if takes.is_set() else takes.set()

    async def settle(self, _: int, __: int) -> None:
        """All take and have been given all."""
        for follower in self.followers:
            follower.takes.set()
        await self._given(self.followers)

    async def _given(self, followers: list[Follower]) -> None:
        async with asyncio.timeout(PATIENCE_S):
            for follower in followers:
                while len(follower.got) < len(follower.wanted):
                    assert follower.task
                    assert not follower.task.done()
                    await asyncio.sleep(0.001)
        for follower in followers:
            assert follower.got == follower.wanted

    async def cut(self, _: int, __: int) -> None:
        """All connections of readers break."""
        for client in await self.other.client_list():
            if client["cmd"] == "xread":
                await self.other.client_kill_filter(_id=client["id"])

    async def lose(self, behind: int, _: int) -> None:
        """The broker comes back empty, with its clock ahead or behind, while readers wait for what comes."""
        await self.settle(0, 0)
        async with asyncio.timeout(PATIENCE_S):
            while self.followers and not await self._blocked():
                await asyncio.sleep(0.001)
        self.clocks.append(min(self.clocks) - 1 if behind % 2 else max(self.clocks) + 1)
        await self.other.delete(*self.held)
        self.held = {key: [] for key in self.held}
        await self.cut(0, 0)

    async def _blocked(self) -> bool:
        found = await self.other.client_list()
        return any(client["cmd"] == "xread" and "b" in client["flags"] for client in found)

    def _key(self, at: int) -> str:
        return f"{self.run}:{at % KEYS}"

    async def end(self) -> None:
        """Nobody is left."""
        for follower in self.followers:
            if follower.task:
                follower.task.cancel()
                await asyncio.gather(follower.task, return_exceptions=True)
        await self.other.delete(*self.held)


async def play(url: str, steps: list[Step], seed: int) -> None:
    """Do the steps; then once more to all, so that what is given twice or too late shows."""
    redis, other = Late(url, seed), connect(url)
    world = World(redis, other)
    try:
        for name, one, two in steps:
            await getattr(world, name)(one, two)
        await world.settle(0, 0)
        for at in range(KEYS):
            await world.publish(at, 1)
        await world.settle(0, 0)
    finally:
        await world.end()
        await redis.connection_pool.disconnect()
        await other.aclose()


PLACES = st.integers(0, 1_000)
STEPS = st.one_of(
    st.tuples(st.just("publish"), PLACES, st.sampled_from([1, 1, 2, 7, 150])),
    st.tuples(st.just("join"), PLACES, st.one_of(st.just(0), PLACES)),
    st.tuples(st.sampled_from(["leave", "pause", "settle"]), PLACES, st.just(0)),
    st.tuples(st.sampled_from(["cut", "lose"]), PLACES, st.just(0)),
)


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(steps=st.lists(STEPS, min_size=5, max_size=40), seed=st.integers(0, 1_000))
@example(steps=[("join", 0, 0), *[("publish", 0, 150)] * 2, ("join", 0, 5), ("settle", 0, 0), ("lose", 1, 0)], seed=0)
@example(steps=[("join", 0, 0), ("settle", 0, 0), ("pause", 0, 0), *[("publish", 0, 150)] * 3, ("join", 0, 3)], seed=0)
@example(steps=[("publish", 0, 7), ("lose", 1, 0), ("join", 0, 7), ("publish", 0, 7), ("join", 0, 5)], seed=0)
@example(steps=[("join", 0, 0), *[("settle", 0, 0), ("join", 0, 1), ("publish", 0, 1), ("publish", 0, 2)] * 12], seed=0)
@example(steps=[("publish", 1, 1), ("publish", 0, 150), ("join", 1, 88), ("publish", 1, 1)], seed=0)
def test_each_reader_is_given_what_comes_after_its_position(live_url: str, steps: list[Step], seed: int) -> None:
    """Exactly that, in order, once: however publishing, joining, leaving, pausing, cut lines and lost data interleave."""
    asyncio.run(play(live_url, steps, seed))


def test_positions_are_ids() -> None:
    """As the broker writes and orders them."""
    ids = ["0-0", "1-9", "1-10", "20-0"]
    assert [text(order(id_)) for id_ in ids] == ids
    assert all(order(a) < order(b) for a, b in pairwise(ids))
