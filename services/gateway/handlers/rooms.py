"""Reads what is kept of the show: rooms and their directors, the ledger, dead letters, what operators did."""

from collections.abc import Mapping, Sequence
from typing import Any, cast

from redis.asyncio import Redis

from services.contract import streams
from services.gateway.core.console import book, letters, scenes
from services.runtime.clock import now_ms
from services.runtime.dead import Dead, Letter

LETTERS, DEEDS = 50, 60
"""The newest that are shown."""
STEP = 500
LANE = 5_000
"""Entries of a paid lane that are looked at."""
AGAIN = 60
"""Readings after which a ledger is read anew as a whole."""


class Rooms:
    """The rooms of one broker."""

    def __init__(self, redis: Redis, rooms: Sequence[str]) -> None:
        self._redis = cast("Any", redis)
        self._dead = Dead(redis)
        self._rooms = rooms
        self._books = {room: book.Book() for room in rooms}
        self._age = dict.fromkeys(rooms, AGAIN)

    async def read(self) -> dict[str, Any]:
        """How things stand."""
        pipe = self._redis.pipeline(transaction=False)
        pipe.time()
        pipe.get(streams.SILENCE)
        pipe.xlen(streams.DEAD)
        pipe.xrevrange(streams.AUDIT, count=DEEDS)
        (seconds, micros), silence, count, deeds = await pipe.execute()
        return {
            "clock": {"ahead_ms": letters.ahead(seconds * 1_000 + micros // 1_000, now_ms())},
            "silence": letters.silence(silence),
            "dead": {"count": count, "rows": [_letter(letter) for letter in await self._dead.list(LETTERS)]},
            "audit": letters.deeds(deeds),
            "rooms": [await self._room(room) for room in self._rooms],
            "ledger": {room: await self._ledger(room) for room in self._rooms},
        }

    async def _room(self, room: str) -> dict[str, Any]:
        """Who directs it, what has its floor, what waits."""
        pipe = self._redis.pipeline(transaction=False)
        pipe.get(streams.LEASE.of(room))
        pipe.get(streams.TERM.of(room))
        pipe.get(streams.EPOCH.of(room))
        pipe.xlen(streams.PAID.of(room))
        pipe.xlen(streams.CHAT.of(room))
        pipe.hgetall(streams.FLOOR.of(room))
        lease, term, epoch, paid, chat, notes = await pipe.execute()
        floor = {name.decode(): note for name, note in notes.items()}
        return {
            "room": room,
            "director": lease.decode() if lease else "",
            "term": int(term or 0),
            "epoch": int(epoch or 0),
            "paid": paid,
            "chat": chat,
            "floor": scenes.floor(floor, await self._answers([turn for turn in floor if turn != "no"])),
        }

    async def _answers(self, turns: Sequence[str]) -> dict[str, Mapping[str, Any]]:
        """How far the answer of each turn has come."""
        pipe = self._redis.pipeline(transaction=False)
        for turn in turns:
            pipe.hmget(streams.ANSWER.of(turn), "n", "count")
            pipe.hvals(streams.SPOKEN.of(turn))
        found: list[Any] = await pipe.execute() if turns else []
        return {
            turn: {"sentences": int(n or 0), "count": None if count is None else int(count), "over": _over(values)}
            for turn, (n, count), values in zip(turns, found[::2], found[1::2], strict=True)
        }

    async def _ledger(self, room: str) -> dict[str, Any]:
        """The room's book, brought up to this moment: rows that may change and the lane are read in one transaction."""
        known, key = self._books[room], streams.LEDGER.of(room)
        if self._age[room] >= AGAIN:
            known.whole(await self._whole(key))
            self._age[room] = 0
        lane, size = await self._changes(room, known.open)
        fresh = [id_ for id_ in lane if id_ not in known]
        if fresh:
            known.merge(dict(zip(fresh, await self._redis.hmget(key, fresh), strict=True)))
        self._age[room] = AGAIN if size != known.size else self._age[room] + 1
        return known.told()

    async def _changes(self, room: str, ids: Sequence[str]) -> tuple[list[str], int]:
        """The ids in the paid lane and the number of rows, as the book's open rows are brought up."""
        pipe = self._redis.pipeline(transaction=True)
        pipe.xrange(streams.PAID.of(room), count=LANE)
        pipe.hlen(streams.LEDGER.of(room))
        if ids:
            pipe.hmget(streams.LEDGER.of(room), ids)
        entries, size, *rows = await pipe.execute()
        self._books[room].merge(dict(zip(ids, rows[0] if rows else [], strict=True)))
        lane = [letters.event_id(fields.get(b"event", b"")) for _, fields in entries]
        self._books[room].lie(lane)
        return lane, size

    async def _whole(self, key: str) -> dict[str, bytes]:
        rows: dict[str, bytes] = {}
        async for id_, row in self._redis.hscan_iter(key, count=STEP):
            rows[id_.decode()] = row
        return rows


def _letter(letter: Letter) -> dict[str, Any]:
    said = {"stream": letter.stream, "code": letter.code, "reason": letter.reason, "message": letter.message}
    return letters.letter(letter.letter, letter.at_ms, letter.body, letter.deliveries, said)


def _over(values: Sequence[bytes]) -> int:
    """Sentences that are terminal."""
    return sum(1 for value in values if value.startswith((b"spoken:", b"skipped:")))
