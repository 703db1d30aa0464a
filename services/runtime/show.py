"""Commits of a room: what was paid for comes in once, and only the holder of the room's lease decides about it."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any, cast

import structlog
from redis.asyncio import Redis

from services.contract import streams
from services.contract.failure import Code
from services.contract.ingest import LedgerRow, LiveEvent, TurnRequested
from services.contract.message import BadMessageError
from services.runtime import envelope, letters, scripts
from services.runtime.bus import BLOCK_MS
from services.runtime.clock import now_ms
from services.runtime.work import Verdict

log = structlog.get_logger(__name__)
Rows = Sequence[LedgerRow]
Lane = list[tuple[bytes, dict[bytes, bytes]]]


@dataclass(frozen=True)
class Term:
    """A hold of a room's lease; every commit of the director names it."""

    room: str
    me: str
    number: int


@dataclass(frozen=True)
class Waiting:
    """An entry of the paid lane."""

    entry: str
    event: LiveEvent


class Show:
    """The commits. Raises redis errors as they are."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._scripts = scripts.Scripts(redis)

    async def lease(self, room: str, me: str) -> Term | None:
        """Take the room's lease, or go on with it; None while another holds it."""
        keys = [streams.LEASE.of(room), streams.TERM.of(room)]
        number = int(await self._scripts.run(scripts.LEASE, keys, [me, streams.LEASE_MS]))
        return Term(room, me, number) if number else None

    async def keep(self, term: Term) -> bool:
        """Hold the lease for longer; False if this term is over, even if nobody has taken the lease since."""
        keys = [streams.LEASE.of(term.room), streams.TERM.of(term.room)]
        return bool(await self._scripts.run(scripts.KEEP, keys, [term.me, term.number, streams.LEASE_MS]))

    async def catch_up(self, room: str, no: int, epoch: int) -> int:
        """Go on after that turn and in no lower epoch, which the session's readers have seen; the epoch that holds."""
        keys = [streams.FLOOR.of(room), streams.EPOCH.of(room)]
        return int(await self._scripts.run(scripts.CATCH_UP, keys, [no, epoch]))

    async def release(self, term: Term) -> None:
        """Give the lease back, so that the next holder need not wait."""
        await self._scripts.run(scripts.RELEASE, [streams.LEASE.of(term.room)], [term.me])

    async def receive(self, event: LiveEvent, *, row: bool = True) -> bool:
        """Keep an event in the paid lane; False if its id came before in this room, in seven days.

        `row`: it was paid for, so the ledger says from now on what became of it.
        """
        keys = [_seen(event), streams.PAID.of(event.room), streams.LEDGER.of(event.room)]
        received = LedgerRow(event=event.model_copy(update={"raw": ""}), state="received", at_ms=now_ms())
        args = [streams.SEEN_KEPT_S, event.id, event.to_json(), received.to_json() if row else ""]
        return bool(await self._scripts.run(scripts.RECEIVE, keys, args))

    async def comment(self, event: LiveEvent, newest: int) -> bool:
        """Hand a comment to the room's director, who is given the newest few; False if its id came before."""
        keys = [_seen(event), streams.CHAT.of(event.room)]
        return bool(await self._scripts.run(scripts.COMMENT, keys, [streams.SEEN_KEPT_S, newest, event.to_json()]))

    async def waiting(self, room: str, after: str = "-") -> list[Waiting]:
        """The paid lane after that entry, oldest first."""
        first = after if after == "-" else f"({after}"
        key = streams.PAID.of(room)
        return await self._readable(key, cast("Lane", await self._redis.xrange(key, first)))

    async def _readable(self, key: str, entries: Lane) -> list[Waiting]:
        """The entries as events; what is none goes to the dead letters."""
        good: list[Waiting] = []
        for id_, fields in entries:
            try:
                good.append(Waiting(id_.decode(), LiveEvent.from_json(fields.get(b"event", b""))))
            except BadMessageError as error:
                log.error("buried", stream=key, id=id_.decode(), reason=str(error))  # noqa: TRY400  the sentence says it all
                said = _said("LiveEvent", error)
                await self._scripts.run(letters.BURY_LANE, [key, streams.DEAD], [id_, *said])
        return good

    async def follow(self, room: str, after: str) -> AsyncIterator[Waiting]:
        """The paid lane after that entry, as it grows, and the comments of the API, which are taken out of theirs.

        For ever. Raises redis errors as they are: a broker that was gone may have come back with less than it had, so
        who follows begins again with what it knows.
        """
        paid, chat = streams.PAID.of(room), streams.CHAT.of(room)
        while True:
            lanes = cast("Any", await self._redis.xread({paid: after, chat: "0-0"}, count=100, block=BLOCK_MS))
            found = {key.decode(): entries for key, entries in cast("list[tuple[bytes, Lane]]", lanes)}
            bought = await self._readable(paid, found.get(paid, []))
            if comments := await self._readable(chat, found.get(chat, [])):
                await self._redis.xdel(chat, *(waiting.entry for waiting in comments))
            after = found[paid][-1][0].decode() if paid in found else after
            for waiting in (*bought, *comments):
                yield waiting

    async def next_no(self, room: str) -> int:
        """The number of the room's next turn."""
        return int(await self._redis.hincrby(streams.FLOOR.of(room), "no", 1))

    async def request(self, term: Term, request: TurnRequested, note: bytes, rows: Rows) -> Verdict:
        """Ask for a turn; `note` is what a later holder needs to know. STALE: the kill switch is on. GONE: not ours."""
        keys = [*self._keys(term), streams.TURNS.key(), streams.SILENCE]
        turn = envelope.encode(request)
        return await self._direct(scripts.REQUEST, keys, term, request.turn, note, turn, *_flat(rows))

    async def air(self, term: Term, turn: str, note: bytes, rows: Rows) -> Verdict:
        """The turn is heard from now on; then tell the session. DONE: it is no longer in flight."""
        return await self._direct(scripts.AIR, self._keys(term), term, turn, note, *_flat(rows))

    async def settle(self, term: Term, turn: str, rows: Rows, entries: Sequence[str], drop: str = "") -> Verdict:
        """The turn is over; its paid `entries` leave the lane. `drop`: nothing more of it may be spoken, and why."""
        keys = [*self._keys(term), streams.PAID.of(term.room), streams.ANSWER.of(turn)]
        args = [drop, streams.TURN_KEPT_S, len(entries), *entries, *_flat(rows)]
        return await self._direct(scripts.SETTLE, keys, term, turn, *args)

    async def floor(self, room: str) -> list[bytes]:
        """The notes of the turns in flight."""
        found = cast("dict[bytes, bytes]", await self._redis.hgetall(streams.FLOOR.of(room)))
        return [note for name, note in found.items() if name != b"no"]

    async def ledger(self, room: str) -> dict[str, LedgerRow]:
        """Every paid event's row by its id; what is no row goes to the dead letters."""
        key, rows = streams.LEDGER.of(room), dict[str, LedgerRow]()
        for id_, row in cast("dict[bytes, bytes]", await self._redis.hgetall(key)).items():
            try:
                rows[id_.decode("utf-8", "replace")] = LedgerRow.from_json(row)
            except BadMessageError as error:
                log.error("buried", stream=key, id=repr(id_), reason=str(error))  # noqa: TRY400  as above
                said = _said("LedgerRow", error)
                await self._scripts.run(letters.BURY_ROW, [key, streams.DEAD], [id_, row, *said, "hash", "1"])
        return rows

    @staticmethod
    def _keys(term: Term) -> list[str]:
        room = term.room
        return [streams.LEASE.of(room), streams.TERM.of(room), streams.LEDGER.of(room), streams.FLOOR.of(room)]

    async def _direct(self, script: str, keys: Sequence[str], term: Term, *args: str | bytes | int) -> Verdict:
        word = await self._scripts.run(script, keys, [term.me, term.number, *args])
        return Verdict(word.decode() if isinstance(word, bytes) else word)


def _seen(event: LiveEvent) -> str:
    """Each room takes an event in by itself: two rooms may listen to one platform, or be posted the same id."""
    return streams.SEEN.of(f"{event.room}:{event.id}")


def _flat(rows: Rows) -> list[str | bytes]:
    return [part for row in rows for part in (row.event.id, row.to_json())]


def _said(message: str, error: BadMessageError) -> list[str]:
    return ["code", Code.BAD_MESSAGE.value, "reason", str(error), "message", message]
