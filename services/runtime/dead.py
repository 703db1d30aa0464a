"""Dead letters: what failed for good or could not be read, with its own bytes, for people to look at and decide.

An entry of `dead` says `stream, group, id, code, reason, message, trace, at_ms, deliveries`; each field of the entry that
was buried is kept, byte for byte, under the name `was:<field>`. Letters are written by the scripts `BURY…` of `letters` and read here.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

from redis.asyncio import Redis

from services.contract import streams
from services.runtime import envelope, letters, scripts
from services.runtime.work import Verdict

_WAS = b"was:"


@dataclass(frozen=True)
class Letter:
    """One dead letter."""

    letter: str
    """Its id in `dead`; what it is requeued or dropped by."""
    stream: str
    """Where it was buried from; of a row, the hash."""
    id: str
    """Its id there; of a row, the field."""
    group: str
    """Empty: a lane or a hash, which have no group."""
    code: str
    reason: str
    """A sentence for people."""
    message: str
    """What type it was taken for."""
    trace: str
    at_ms: int
    """When it was buried, by the broker's clock, Unix milliseconds."""
    deliveries: int
    fields: Mapping[str, bytes]
    """The entry as it was."""

    @property
    def body(self) -> bytes:
        """The message's JSON, or whatever stands in its place; b'' if there are foreign fields only."""
        known = (self.fields[name] for name in ("__data__", "event", "row") if name in self.fields)
        return envelope.body(next(known, b""))


class Dead:
    """The dead letters of one work broker. Raises redis errors as they are."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._scripts = scripts.Scripts(redis)

    async def count(self) -> int:
        """How many letters there are."""
        return int(await self._redis.xlen(streams.DEAD))

    async def list(self, count: int = 100, before: str = "") -> list[Letter]:
        """The newest letters; `before`: only those older than that one, for the next page."""
        newest = f"({before}" if before else "+"
        found = await self._redis.xrevrange(streams.DEAD, newest, "-", count)
        return [_letter(id_, fields) for id_, fields in cast("list[tuple[bytes, dict[bytes, bytes]]]", found)]

    async def requeue(self, letter: str) -> Verdict:
        """Put the entry back where it was, as new, and take the letter away. The turn of a failed answer stays failed.

        GONE: there is no such letter, because it was requeued or dropped before. ORDER: it cannot go back, because
        it has no fields or its key is of another type now; the letter stays.
        """
        found = cast("list[tuple[bytes, dict[bytes, bytes]]]", await self._redis.xrange(streams.DEAD, letter, letter))
        if not found:
            return Verdict.GONE
        keys = [streams.DEAD, _letter(*found[0]).stream]
        return Verdict((await self._scripts.run(letters.REQUEUE, keys, [letter])).decode())

    async def drop(self, letter: str) -> bool:
        """Delete the letter for good; False if it is not there."""
        return bool(await self._redis.xdel(streams.DEAD, letter))


def _letter(id_: bytes, fields: dict[bytes, bytes]) -> Letter:
    said = {name.decode("utf-8", "replace"): value.decode("utf-8", "replace") for name, value in fields.items()}
    at, deliveries = said.get("at_ms", ""), said.get("deliveries", "")
    return Letter(
        letter=id_.decode(),
        stream=said.get("stream", ""),
        id=said.get("id", ""),
        group=said.get("group", ""),
        code=said.get("code", ""),
        reason=said.get("reason", ""),
        message=said.get("message", ""),
        trace=said.get("trace", ""),
        at_ms=int(at) if at.isdecimal() else int(id_.partition(b"-")[0]),
        deliveries=int(deliveries) if deliveries.isdecimal() else 0,
        fields={k[len(_WAS) :].decode("utf-8", "replace"): v for k, v in fields.items() if k.startswith(_WAS)},
    )
