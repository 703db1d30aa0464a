"""From a raw frame to events: a total function, whatever the platform sends."""

from collections.abc import Callable
from dataclasses import dataclass

from services.contract.ingest import LiveEvent
from services.ingest.core import bilibili, douyin
from services.ingest.core.douyin import Dialect
from services.ingest.core.fields import Origin, Table, UnreadableError, decode, table
from services.ingest.core.ports import Frame

IGNORED = "ignored:"
"""How the reason of a frame begins that is well formed and says nothing to answer."""


@dataclass(frozen=True)
class Parsed:
    """What a frame gave."""

    events: tuple[LiveEvent, ...] = ()
    rejected: str = ""
    """Why there are no events, a stable word; `ignored:<command>` is harmless. Empty: the frame was good."""

    @property
    def bad(self) -> bool:
        """Whether the frame could not be read, so that someone should know."""
        return bool(self.rejected) and not self.rejected.startswith(IGNORED)


def parse(frame: Frame, room: str, dialect: Dialect = "grab") -> Parsed:
    """The events of `frame` in `room` (at most 64 characters); raises nothing, whatever the body is.

    `dialect` matters to Douyin alone. Texts are clipped to the contract's limits; a `raw` above its limit is left out.
    """
    try:
        return Parsed(events=_events(Origin(frame, room), dialect))
    except UnreadableError as why:
        return Parsed(rejected=why.reason)


def _events(origin: Origin, dialect: Dialect) -> tuple[LiveEvent, ...]:
    readers: dict[str, Callable[[Table], tuple[LiveEvent, ...]]] = {
        "bilibili": lambda body: bilibili.events(origin, body),
        "douyin": lambda body: douyin.events(origin, body, dialect),
    }
    if (reader := readers.get(origin.frame.platform)) is None:
        raise UnreadableError("unknown_platform")
    body = decode(origin.frame.body)
    if not isinstance(body, dict):
        raise UnreadableError("not_an_object")
    return reader(table(body))  # pyright: ignore[reportUnknownArgumentType]  table() gives it its type
