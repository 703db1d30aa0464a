"""What lasts of a room on the work broker: its books, the record of its show, and what is forgotten of both in time."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, cast

from pydantic_core import to_json
from redis.asyncio import Redis

from services.contract import streams
from services.contract.ingest import Counted, LedgerRow, LiveEvent, TurnSettled
from services.contract.message import BadMessageError, decode
from services.runtime import scripts
from services.runtime.law import FINAL, Law, law
from services.runtime.show import Term
from services.runtime.work import Verdict

Lane = list[tuple[bytes, dict[bytes, bytes]]]
PAGE = 200
"""Rows or entries that are looked at in one go."""

# KEYS lease, term, show; ARGV me, term, type, message
KEEP = (
    scripts.DIRECTS
    + """
redis.call('XADD', KEYS[3], '*', 't', ARGV[3], 'j', ARGV[4])
return 'ok'
"""
)

# KEYS ledger, paid, floor; ARGV Unix ms, then event id, the words by which a lane's entry or a turn in flight names it …
# A row goes only if it is final, older than that, and nobody names its event: a director that starts would answer it again.
FORGET = """
local final = {spoken = true, failed = true, withdrawn = true}
local named = {}
for _, entry in ipairs(redis.call('XRANGE', KEYS[2], '-', '+')) do named[#named + 1] = entry[2][2] end
for _, note in ipairs(redis.call('HVALS', KEYS[3])) do named[#named + 1] = note end
local function pending(words)
  for _, text in ipairs(named) do
    if string.find(text, words, 1, true) then return true end
  end
  return false
end
local gone = 0
for i = 2, #ARGV, 2 do
  local good, row = pcall(cjson.decode, redis.call('HGET', KEYS[1], ARGV[i]) or '')
  if good and type(row) == 'table' and final[row.state] and type(row.at_ms) == 'number'
    and row.at_ms < tonumber(ARGV[1]) and not pending(ARGV[i + 1]) then
    gone = gone + redis.call('HDEL', KEYS[1], ARGV[i])
  end
end
return gone
"""


@dataclass(frozen=True)
class Books:
    """Ledger and paid lane of one moment."""

    rows: dict[str, LedgerRow]
    """By the event's id."""
    lane: dict[str, LiveEvent]
    """What was paid for and is not settled."""

    @property
    def law(self) -> Law:
        """Whether everything is somewhere."""
        return law(self.rows, self.lane)


class Archive:
    """Reads, writes and forgets what lasts. Raises redis errors as they are."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._scripts = scripts.Scripts(redis)

    async def books(self, room: str) -> Books:
        """Both of one moment: read one after the other, what moves between them would seem lost.

        Raises BadMessageError for what is none of ours.
        """
        pipe = self._redis.pipeline(transaction=True)
        pipe.hgetall(streams.LEDGER.of(room))
        pipe.xrange(streams.PAID.of(room))
        rows, lane = cast("tuple[dict[bytes, bytes], Lane]", await pipe.execute())
        events = [LiveEvent.from_json(fields.get(b"event", b"")) for _, fields in lane]
        return Books(
            {id_.decode("utf-8", "replace"): LedgerRow.from_json(row) for id_, row in rows.items()},
            {event.id: event for event in events},
        )

    async def write(self, term: Term, record: TurnSettled | Counted) -> Verdict:
        """Add to the record of the show. GONE: another directs the room now."""
        room = term.room
        keys = [streams.LEASE.of(room), streams.TERM.of(room), streams.SHOW.of(room)]
        word: Any = await self._scripts.run(KEEP, keys, [term.me, term.number, record.type, record.to_json()])
        return Verdict(word.decode())

    async def record(self, room: str, since_ms: int = 0) -> AsyncIterator[TurnSettled | Counted]:
        """The record of the room's show since then (the broker's clock), oldest first."""
        key, after = streams.SHOW.of(room), str(since_ms)
        while found := cast("Lane", await self._redis.xrange(key, after, count=PAGE)):
            for _, fields in found:
                yield cast("TurnSettled | Counted", decode(fields[b"t"].decode(), fields[b"j"]))
            after = f"({found[-1][0].decode()}"

    async def rooms(self) -> list[str]:
        """Rooms of which anything is kept, whether or not they are configured any more."""
        found: set[str] = set()
        for key in (streams.LEDGER, streams.SHOW):
            names = cast("AsyncIterator[bytes]", self._redis.scan_iter(match=key.of("*"), count=PAGE))  # pyright: ignore[reportUnknownMemberType]  redis-py leaves it open
            found.update([name.decode().removeprefix(key.of("")) async for name in names])
        return sorted(found)

    async def forget(self, room: str, before_ms: int, *, dry_run: bool = False) -> int:
        """Drop rows of the ledger that were final before then and that nothing waits for; how many."""
        keys, gone = [key.of(room) for key in (streams.LEDGER, streams.PAID, streams.FLOOR)], 0
        rows = cast("AsyncIterator[tuple[bytes, bytes]]", self._redis.hscan_iter(keys[0], count=PAGE))  # pyright: ignore[reportUnknownMemberType]  as in rooms
        old = sorted({id_.decode() async for id_, body in rows if _forgettable(body, before_ms)})
        if dry_run:
            return len(old)
        for at in range(0, len(old), PAGE):
            some = [part for id_ in old[at : at + PAGE] for part in (id_, b'"id":' + to_json(id_))]
            gone += int(await self._scripts.run(FORGET, keys, [before_ms, *some]))
        return gone

    async def trim(self, room: str, before_ms: int, *, dry_run: bool = False) -> int:
        """Drop the record of the show before then (the broker's clock); how many entries."""
        key = streams.SHOW.of(room)
        if dry_run:
            return len(cast("Lane", await self._redis.xrange(key, "-", f"({before_ms}")))
        return int(await self._redis.xtrim(key, minid=str(before_ms), approximate=False))


def _forgettable(body: bytes, before_ms: int) -> bool:
    """Whether the script is asked about this row; one that does not parse is kept for people to look at."""
    try:
        row = LedgerRow.from_json(body)
    except BadMessageError:
        return False
    return row.state in FINAL and row.at_ms < before_ms
