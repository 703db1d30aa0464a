"""Services with one rule broken, so that it can be seen that a program finds it: patches of a process of its own.

`python -m tests.chaos.sabotage no_fence services.tts` runs a service so. Whatever the rule, a worker's consumers carry
its process id in their names (`tts-p<pid>-…`), so that whoever kills one knows what it held.
"""

import asyncio
import os
import runpy
import sys
from collections.abc import Callable
from typing import Any, cast

from services.contract.ingest import LiveEvent
from services.runtime import delivery, scripts
from services.runtime.delivery import Delivery
from services.runtime.show import Show, Term
from tests.chaos import rules

USAGE = 2


def name_consumers() -> None:
    """The process id stands in the names of its consumers and of the holder of a room's lease."""
    plain = Delivery.__init__

    def named(self: Delivery, bus: Any, work: Any, name: str) -> None:
        plain(self, bus, work, f"{name}-p{os.getpid()}")

    Delivery.__init__ = named
    lease = Show.lease

    async def leased(self: Show, room: str, me: str) -> Term | None:
        own = f"ingest-p{os.getpid()}-"
        return await lease(self, room, me if me.startswith(own) else own + me)

    Show.lease = leased


def replace_in_scripts(old: str, new: str) -> None:
    """Change what every script says that contains it; raises RuntimeError where none does."""
    found = [name for name, text in vars(scripts).items() if isinstance(text, str) and old in text and name.isupper()]
    if not found:
        raise RuntimeError(f"no script says {old!r}")
    for name in found:
        setattr(scripts, name, getattr(scripts, name).replace(old, new))


PENDING = "return #redis.call('XPENDING', stream, group, id, id, 1, me) == 1"


def no_fence() -> None:
    """A commit passes whoever holds the entry; a beat never says that it is gone."""
    replace_in_scripts(PENDING, "return true")


def blind_beat() -> None:
    """A beat claims the entry whoever has it now."""
    replace_in_scripts(
        "if not pending(KEYS[1], ARGV[1], ARGV[2], ARGV[3]) then return 'gone' end\nredis.call('XCLAIM'",
        "redis.call('XCLAIM'",
    )


def ack_before_commit() -> None:
    """An entry is acknowledged and deleted as soon as it is delivered; commits do not ask for it any more.

    So with senders: what was paid for is acknowledged at once and kept a moment later.
    """
    no_fence()
    keep, later = Show.receive, set[asyncio.Task[bool]]()

    async def late(self: Show, event: LiveEvent, *, row: bool) -> bool:
        await asyncio.sleep(0.2)
        return await keep(self, event, row=row)

    async def promised(self: Show, event: LiveEvent, *, row: bool = True) -> bool:
        later.add(asyncio.ensure_future(late(self, event, row=row)))
        return True

    Show.receive = promised
    plain = Delivery.deliver

    async def hasty(self: Delivery, duty: Any, entry: Any, body: bytes, *, reclaimed: bool = False) -> None:
        work = cast("Any", self)._bus.work
        await work.xack(entry.stream, entry.group, entry.id)
        await work.xdel(entry.stream, entry.id)
        await plain(self, duty, entry, body, reclaimed=reclaimed)

    Delivery.deliver = hasty


def no_reclaim() -> None:
    """Nobody takes up what a lost worker held."""
    plain = cast("Any", Delivery)._subscribe

    def subscribe(self: Delivery, duty: Any, consumer: str, idle: int | None) -> None:
        if idle is None:
            plain(self, duty, consumer, idle)

    cast("Any", Delivery)._subscribe = subscribe


def no_strikes() -> None:
    """Deliveries are not counted."""
    setattr(delivery, "STRIKES", 1_000_000)  # noqa: B010  it is a constant


def poison() -> None:
    """The scripted voice ends its process at the word "poison": a message that kills its worker."""
    from services.tts.adapters.scripted import Scripted  # noqa: PLC0415  a service without tts has no such adapter

    plain = Scripted.speak

    async def speak(self: Scripted, text: str, voice: Any, emotion: str) -> Any:
        if "poison" in text:
            await asyncio.sleep(0.1)
            os._exit(86)
        async for piece in plain(self, text, voice, emotion):
            yield piece

    Scripted.speak = cast("Any", speak)


RULES: dict[str, Callable[[], None]] = {
    rule.__name__: rule for rule in (ack_before_commit, no_reclaim, blind_beat, no_fence, no_strikes)
} | rules.RULES
"""What can be broken in a service."""
WORKERS = {"poison": poison, **rules.WORKERS}
"""What is no broken rule but a fault of the world."""
BROKER = {
    "everysec": ("--appendfsync", "everysec"),
    "never_synced": ("--appendfsync", "no"),
}
"""What can be broken in the work broker: settings that win over its own."""


def dress(names: list[str]) -> None:
    """Break these rules in this process; raises KeyError for an unknown one."""
    name_consumers()
    for name in names:
        if name not in BROKER:
            ({**RULES, **WORKERS})[name]()


def main(argv: list[str]) -> int:
    """`NAME[,NAME] services.<service>`."""
    if len(argv) != USAGE or not set(argv[0].split(",")) <= {*RULES, *WORKERS, *BROKER}:
        known = ", ".join([*RULES, *WORKERS])
        sys.stderr.write(f"use: python -m tests.chaos.sabotage NAME[,NAME] services.SERVICE; names: {known}\n")
        return USAGE
    dress(argv[0].split(","))
    runpy.run_module(argv[1], run_name="__main__", alter_sys=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
