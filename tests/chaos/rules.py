"""More rules to break in a service, and doubles of the world outside: patches of a process of its own."""

import asyncio
import random
from collections.abc import Callable
from typing import Any, cast

from tests.chaos.feed import listen_to_feeds

DAWDLE_MS = (10, 500)
SEEN = "if not redis.call('SET', KEYS[1], '1', 'NX', 'EX', ARGV[1]) then return 0 end"


def replace_in_scripts(old: str, new: str) -> None:
    """As the other rules do; imported late, since they register these."""
    from tests.chaos import sabotage  # noqa: PLC0415  as the docstring says

    sabotage.replace_in_scripts(old, new)


def always(*, answer: bool) -> Callable[..., bool]:
    """A question that has one answer."""

    def asked(*_: object) -> bool:
        return answer

    return asked


def no_seen() -> None:
    """An event that came before is taken again: on the broker, and in the director's memory."""
    from services.ingest.core.items import Recent  # noqa: PLC0415  a process without ingest has no director

    replace_in_scripts(SEEN, "")
    cast("Any", Recent).add = always(answer=True)


def no_deadline() -> None:
    """Nothing is ever too old to be answered."""
    from services.ingest.core.lanes import Lanes  # noqa: PLC0415  as above
    from services.llm.core import turns  # noqa: PLC0415  as above

    cast("Any", Lanes).is_stale = always(answer=False)
    cast("Any", turns).late = always(answer=False)


def no_epoch() -> None:
    """Commits and looks do not ask whether the turn was interrupted."""
    from services.runtime.work import Work  # noqa: PLC0415  with the others

    replace_in_scripts("return tonumber(redis.call('GET', KEYS[2]) or '0') > tonumber(ARGV[4])\n    or", "return")

    async def stale(*_: object) -> bool:
        await asyncio.sleep(0)
        return False

    cast("Any", Work).stale = stale


def no_recovery() -> None:
    """What was delivered into a lost connection is asked for by nobody: neither by its reader nor by those who reclaim."""
    from services.runtime.reads import Reads  # noqa: PLC0415  with the others
    from tests.chaos import sabotage  # noqa: PLC0415  it registers this

    async def held(self: Any, who: Any) -> list[Any]:
        self._broken.pop(who, None)
        await asyncio.sleep(0)
        return []

    sabotage.no_reclaim()
    cast("Any", Reads)._held = held


def no_heal() -> None:
    """A consumer group is made once: nobody makes a lost one again."""
    from redis.asyncio import Redis  # noqa: PLC0415  with the others

    plain, made = cast("Any", Redis).xgroup_create, set[tuple[str, str]]()

    async def once(self: Any, name: str, groupname: str, *given: Any, **named: Any) -> Any:
        if (name, groupname) in made:
            return None
        made.add((name, groupname))
        return await plain(self, name, groupname, *given, **named)

    cast("Any", Redis).xgroup_create = once


def no_pause() -> None:
    """What fails is tried again at once, and each failure is logged."""
    from faststream.redis.subscriber.usecases import stream_subscriber  # noqa: PLC0415  with the others

    from services.runtime import bus, delivery, logs, reads, sessions, show, trouble  # noqa: PLC0415  with the others

    for module in (bus, delivery, reads, sessions, show, trouble):
        if "HEAL_S" not in vars(module):
            raise RuntimeError(f"{module.__name__} has no pause")
        vars(module)["HEAL_S"] = 0
    setattr(stream_subscriber, "CONSUME_ERROR_BACKOFF_SECONDS", 0)  # noqa: B010  as in the bus
    cast("Any", logs.Throttle).ready = always(answer=True)


def no_spool() -> None:
    """What work refuses is lost."""
    from services.ingest.core.requests import has_row  # noqa: PLC0415  a process without ingest keeps nothing
    from services.ingest.handlers.keeper import Keeper, Kept  # noqa: PLC0415  as above
    from services.runtime.trouble import TROUBLE  # noqa: PLC0415  with the others

    async def receive(self: Any, event: Any) -> Kept:
        try:
            return Kept.NEW if await self._show.receive(event, row=has_row(event)) else Kept.KNOWN
        except TROUBLE:
            return Kept.LOST

    cast("Any", Keeper).receive = receive


def no_drain() -> None:
    """SIGTERM ends the process at once."""
    from services.runtime import service  # noqa: PLC0415  with the others

    class Deaf:
        """Takes no handler."""

        def __getattr__(self, name: str) -> Any:
            return getattr(asyncio.get_running_loop(), name)

        def add_signal_handler(self, *_: object) -> None:
            """None is set: the signal does what it does by itself."""

    class Module:
        """asyncio, whose loop is deaf."""

        def __getattr__(self, name: str) -> Any:
            return getattr(asyncio, name)

        def get_running_loop(self) -> Deaf:
            """A loop without signals."""
            return Deaf()

    cast("Any", service).asyncio = Module()


def no_place() -> None:
    """A stream that is gone on with begins anew, as if the client had nothing."""
    from services.gateway.core.reply import Event, Reply  # noqa: PLC0415  a process without the gateway has no such part

    def new(_: Reply, event: Event) -> Event:
        return event

    cast("Any", Reply)._new = new


class Own(dict[str, Any]):
    """Knows nobody who watches already."""

    def setdefault(self, key: str, default: Any = None) -> Any:
        """What is new."""
        self[key] = default
        return default

    def __delitem__(self, key: str) -> None:
        """Of one who may be gone."""
        self.pop(key, None)


def own_reads() -> None:
    """Each page follows its room by itself, and whoever reads holds a connection to the broker."""
    from services.gateway.api.stage import Hall  # noqa: PLC0415  a process without the gateway has no pages
    from services.runtime import sessions  # noqa: PLC0415  with the others
    from services.runtime.bus import BLOCK_MS  # noqa: PLC0415  with the others

    async def follow(redis: Any, key: str, after: str) -> Any:
        while True:
            for _, entries in await redis.xread({key: after}, count=100, block=BLOCK_MS):
                for entry in entries:
                    after = entry[0].decode()
                    yield entry

    plain = Hall.__init__

    def init(self: Any, *given: Any) -> None:
        plain(self, *given)
        self._watches = Own()

    cast("Any", Hall).__init__ = init
    cast("Any", sessions).follow = follow


def no_watch() -> None:
    """Nobody looks whether a client reads what it is sent."""
    from services.gateway.adapters.uvicorn_door import Drain  # noqa: PLC0415  as above

    cast("Any", Drain).begin = always(answer=True)


def dawdle() -> None:
    """The scripted voice takes 10 to 500 ms before each sentence, by its text."""
    from services.tts.adapters.scripted import Scripted  # noqa: PLC0415  a process without tts has no such adapter

    plain = Scripted.speak

    async def speak(self: Scripted, text: str, voice: Any, emotion: str) -> Any:
        await asyncio.sleep(random.Random(text).uniform(*DAWDLE_MS) / 1_000)
        async for piece in plain(self, text, voice, emotion):
            yield piece

    Scripted.speak = cast("Any", speak)


def parrot() -> None:
    """The scripted model says what it was asked, in quotes, word by word."""
    from services.llm.adapters.scripted import ScriptedModel  # noqa: PLC0415  a process without llm has no model

    async def answer(_: ScriptedModel, messages: Any, **_more: Any) -> Any:
        for word in f'"{messages[-1][1]}"'.split(" "):
            await asyncio.sleep(0.005)
            yield f"{word} "

    ScriptedModel.answer = cast("Any", answer)


RULES: dict[str, Callable[[], None]] = {
    rule.__name__: rule
    for rule in (
        no_seen,
        no_deadline,
        no_epoch,
        no_recovery,
        no_heal,
        no_pause,
        no_spool,
        no_drain,
        no_place,
        own_reads,
        no_watch,
    )
}
"""What can be broken in a service."""
WORKERS: dict[str, Callable[[], None]] = {rule.__name__: rule for rule in (dawdle, parrot, listen_to_feeds)}
"""What is no broken rule but the world outside."""
