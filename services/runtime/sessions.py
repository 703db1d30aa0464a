"""Sessions: the one ordered stream of all that happens in a conversation, on the live broker."""

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Any, cast

import structlog

from services.contract import streams
from services.contract.gateway import Interrupted
from services.contract.message import BadMessageError, Message, decode
from services.runtime.bus import BLOCK_MS, Bus
from services.runtime.clock import now_ms
from services.runtime.trouble import HEAL_S, TROUBLE, tell
from services.runtime.work import Work

log = structlog.get_logger(__name__)
BATCH = 200


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
        key = streams.SESSION.of(session)
        fields: dict[str, bytes | str] = {"t": message.type, "j": message.to_json()}
        if blob:
            fields["b"] = blob
        pipe = self._bus.live(session).pipeline(transaction=False)
        oldest = f"{now_ms() - streams.SESSION_KEPT_MS}-0"
        pipe.xadd(key, cast("Any", fields), minid=oldest, approximate=True)
        pipe.expire(key, streams.ROOM_IDLE_S if room else streams.SESSION_IDLE_S)
        written = await pipe.execute()
        return cast("bytes", written[0]).decode()

    async def interrupt(self, work: Work, session: str, by: str) -> int:
        """End everything of the session that was asked for so far; the new epoch."""
        epoch = await work.raise_epoch(session)
        await self.publish(session, Interrupted(epoch=epoch, by=by))
        return epoch

    async def range(self, session: str, after: str = "-") -> list[Item]:
        """What the session holds after that id."""
        first = after if after == "-" else f"({after}"
        entries = await self._bus.live(session).xrange(streams.SESSION.of(session), first)
        return [item for entry in cast("list[RawEntry]", entries) if (item := parse(entry))]

    async def last_id(self, session: str) -> str:
        """Id of the newest entry, 0-0 if there is none: a reader from here misses nothing that comes."""
        newest = await self._bus.live(session).xrevrange(streams.SESSION.of(session), count=1)
        return cast("bytes", newest[0][0]).decode() if newest else "0-0"

    async def read(self, session: str, after: str) -> AsyncGenerator[Item]:
        """Entries after that id, as they come, for ever; heals by itself when the broker goes and comes back."""
        redis, key, broken = self._bus.live(session), streams.SESSION.of(session), False
        while True:
            try:
                if broken and await self._went_back(session, after):
                    after = "0-0"
                broken = False
                found = cast("Any", await redis.xread({key: after}, count=BATCH, block=BLOCK_MS))
            except TROUBLE as error:
                tell(f"reading session {session}", error)
                await asyncio.sleep(HEAL_S)
                broken = True
                continue
            entries: list[RawEntry] = found[0][1] if found else []
            for entry in entries:
                after = entry[0].decode()
                if item := parse(entry):
                    yield item

    async def _went_back(self, session: str, after: str) -> bool:
        """Whether the broker, which keeps nothing, came back with a clock behind the reader's position."""
        newest = await self.last_id(session)
        return newest != "0-0" and _order(newest) < _order(after)


def _order(id_: str) -> tuple[int, int]:
    ms, _, number = id_.partition("-")
    return int(ms), int(number or 0)


RawEntry = tuple[bytes, dict[bytes, bytes]]


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
