"""Sessions: the one ordered stream of all that happens in a conversation, on the live broker."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass

import structlog

from services.contract import streams
from services.contract.gateway import Interrupted
from services.contract.ingest import TurnAired, TurnRequested
from services.contract.message import BadMessageError, Message, decode
from services.runtime import tail
from services.runtime.bus import Bus
from services.runtime.follow import follow
from services.runtime.tail import RawEntry
from services.runtime.work import Work

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Item:
    """One entry of a session."""

    id: str
    ms: int
    """The broker's clock when it was written, Unix milliseconds."""
    message: Message
    blob: bytes = b""


class Sessions:
    """Writes and reads sessions; publishers know no readers."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus

    async def publish(self, session: str, message: Message, blob: bytes = b"", *, room: bool = False) -> str:
        """Add a fact to the session; its id. Entries older than the window are trimmed."""
        redis, key = self._bus.live(session), streams.SESSION.of(session)
        idle_s = streams.ROOM_IDLE_S if room else streams.SESSION_IDLE_S
        return await tail.append(redis, key, message, blob, kept_ms=streams.SESSION_KEPT_MS, idle_s=idle_s)

    async def air(self, request: TurnRequested) -> None:
        """Tell a turn that is asked for and heard as soon as it is made: both in one round trip."""
        redis, key = self._bus.live(request.session), streams.SESSION.of(request.session)
        aired = TurnAired(turn=request.turn, no=request.no, epoch=request.epoch)
        told = [(request, b""), (aired, b"")]
        await tail.extend(redis, key, told, kept_ms=streams.SESSION_KEPT_MS, idle_s=streams.SESSION_IDLE_S)

    async def interrupt(self, work: Work, session: str, by: str) -> int:
        """End everything of the session that was asked for so far; the new epoch."""
        epoch = await work.raise_epoch(session)
        await self.publish(session, Interrupted(epoch=epoch, by=by))
        return epoch

    async def range(self, session: str, after: str = "-") -> list[Item]:
        """What the session holds after that id."""
        entries = await tail.beyond(self._bus.live(session), streams.SESSION.of(session), after)
        return [item for entry in entries if (item := parse(entry))]

    async def last_id(self, session: str) -> str:
        """Id of the newest entry, 0-0 if there is none: a reader from here misses nothing that comes."""
        newest = await tail.newest(self._bus.live(session), streams.SESSION.of(session))
        return newest[0].decode() if newest else "0-0"

    async def read(self, session: str, after: str) -> AsyncGenerator[Item]:
        """Entries after that id, as they come, for ever; heals by itself when the broker goes and comes back."""
        async with aclosing(follow(self._bus.live(session), streams.SESSION.of(session), after)) as entries:
            async for entry in entries:
                if item := parse(entry):
                    yield item


def parse(entry: RawEntry) -> Item | None:
    """The entry as an item; one that does not parse is told once in the log and passed over."""
    raw_id, fields = entry
    id_ = raw_id.decode()
    try:
        message = decode(fields.get(b"t", b"").decode(), fields.get(b"j", b""))
    except (BadMessageError, UnicodeDecodeError) as error:
        log.warning("session entry does not parse", id=id_, error=str(error))
        return None
    return Item(id_, int(id_.partition("-")[0]), message, fields.get(b"b", b""))
