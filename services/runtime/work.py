"""Commits on the work broker: typed calls of the scripts, one for each fact that must not be lost or doubled."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, cast

from redis.asyncio import Redis
from redis.asyncio.client import Pipeline

from services.contract import streams
from services.contract.message import Message
from services.runtime import envelope, letters, scripts


class Verdict(StrEnum):
    """What became of a commit."""

    OK = "ok"
    GONE = "gone"
    """The entry is no longer pending for this worker: another has it. Stop at once and say nothing."""
    STALE = "stale"
    """The turn was interrupted, dropped or silenced; the entry has been finished. Stop."""
    ORDER = "order"
    """Another sentence is due."""
    DONE = "done"
    """It was decided before."""


@dataclass(frozen=True)
class Entry:
    """One delivery of a work stream's entry to one consumer."""

    stream: str
    group: str
    id: str
    me: str


@dataclass(frozen=True)
class Fence:
    """What a turn's commits are checked against."""

    session: str
    epoch: int
    turn: str


@dataclass(frozen=True)
class Answer:
    """What work knows of a turn's answer and of its sound."""

    sentences: dict[int, str] = field(default_factory=dict[int, str])
    count: int | None = None
    reason: str = ""
    dropped: str = ""
    spoken: dict[int, str] = field(default_factory=dict[int, str])
    """index → `spoken:<samples>` or `skipped:<reason>`."""

    @property
    def complete(self) -> bool:
        """The count is known and every sentence is terminal."""
        return self.count is not None and all(index in self.spoken for index in range(self.count))

    @property
    def samples(self) -> int:
        """Samples of sound that were made."""
        return sum(int(value[7:]) for value in self.spoken.values() if value.startswith("spoken:"))


class Work:
    """The commits. Raises redis errors as they are: delivery decides what they mean."""

    def __init__(self, redis: "Redis") -> None:
        self._redis = redis
        self._scripts = scripts.Scripts(redis)

    async def _turn(
        self, script: str, entry: Entry, fence: Fence, more: Sequence[str], *args: str | bytes | int
    ) -> Any:  # noqa: ANN401
        keys = [entry.stream, streams.EPOCH.of(fence.session), streams.SILENCE, streams.ANSWER.of(fence.turn), *more]
        return await self._scripts.run(script, keys, [entry.group, entry.id, entry.me, fence.epoch, *args])

    async def say(
        self, entry: Entry, fence: Fence, index: int, text: str, out_stream: str, sentence: Message
    ) -> Verdict:
        """Add sentence `index` to the answer and to `out_stream`. ORDER: the hash is at another index."""
        data = envelope.encode(sentence)
        args = (index, text, data, streams.TURN_KEPT_S)
        return Verdict(_word(await self._turn(scripts.SAY, entry, fence, [out_stream], *args)))

    async def count(self, entry: Entry, fence: Fence, reason: str) -> tuple[Verdict, int, str]:
        """Fix the number of sentences; the count and the reason that stand. Then tell the session, then `finish`."""
        verdict, count, stands = await self._turn(scripts.COUNT, entry, fence, [], reason, streams.TURN_KEPT_S)
        return Verdict(_word(verdict)), int(count), _word(stands)

    async def end(self, turn: str) -> tuple[int, str]:
        """The answer ends where it stands, because it failed for good (`failed` if nothing of it was said, else `cut`).

        The count and the reason that stand; then tell the session.
        """
        count, stands = await self._scripts.run(scripts.END, [streams.ANSWER.of(turn)], [streams.TURN_KEPT_S])
        return int(count), _word(stands)

    async def begin(self, entry: Entry, fence: Fence, index: int) -> tuple[Verdict, int]:
        """The number of this attempt at the sentence.

        DONE: it is terminal, but the session may not know: `skip` says what stands, tell it if skipped, then `finish`.
        """
        keys = [streams.SPOKEN.of(fence.turn)]
        verdict, attempt = await self._turn(scripts.BEGIN, entry, fence, keys, index, streams.TURN_KEPT_S)
        return Verdict(_word(verdict)), int(attempt)

    async def spoken(self, entry: Entry, fence: Fence, index: int, samples: int) -> Verdict:
        """The sentence was spoken to its end, which the session already tells; finishes the entry."""
        keys = [streams.SPOKEN.of(fence.turn)]
        return Verdict(_word(await self._turn(scripts.SPOKEN, entry, fence, keys, index, f"spoken:{samples}")))

    async def skip(self, turn: str, index: int, reason: str) -> str:
        """The sentence will not be spoken, unless it is terminal already; the value that stands."""
        args = [index, f"skipped:{reason}", streams.TURN_KEPT_S]
        return _word(await self._scripts.run(scripts.SKIP, [streams.SPOKEN.of(turn)], args))

    async def move(self, entry: Entry, target: str, message: Message) -> Verdict:
        """Hand the work over to `target`; deliveries are counted anew."""
        return await self._entry(scripts.MOVE, entry, [target], envelope.encode(message))

    async def hand_back(self, entry: Entry) -> Verdict:
        """Put the entry's own bytes back into its stream as new; deliveries are counted anew."""
        return await self._entry(scripts.HAND_BACK, entry)

    async def bury(self, entry: Entry, fields: dict[str, str | bytes]) -> Verdict:
        """Move the entry to the dead letters, with its own fields and what `fields` say of it."""
        flat = [part for pair in fields.items() for part in pair]
        return await self._entry(letters.BURY, entry, [streams.DEAD], *flat)

    async def _entry(self, script: str, entry: Entry, more: Sequence[str] = (), *args: str | bytes) -> Verdict:
        known = [entry.group, entry.id, entry.me, *args]
        return Verdict(_word(await self._scripts.run(script, [entry.stream, *more], known)))

    async def finish(self, entry: Entry) -> Verdict:
        """Acknowledge and delete the entry."""
        return await self._entry(scripts.FINISH, entry)

    async def beat(self, entry: Entry) -> Verdict:
        """Keep the entry from being reclaimed, if it is still ours."""
        return await self._entry(scripts.BEAT, entry)

    async def deliveries(self, entry: Entry) -> int:
        """How often the entry was delivered; 0 if it is not pending for us."""
        found = cast(
            "list[dict[str, Any]]",
            await self._redis.xpending_range(entry.stream, entry.group, entry.id, entry.id, 1, entry.me),
        )
        return int(found[0]["times_delivered"]) if found else 0

    async def stale(self, fence: Fence) -> bool:
        """Whether the turn was interrupted, dropped or silenced meanwhile."""
        pipe = self._redis.pipeline(transaction=False)
        pipe.get(streams.EPOCH.of(fence.session))
        pipe.exists(streams.SILENCE)
        pipe.hexists(streams.ANSWER.of(fence.turn), "dropped")
        epoch, silence, dropped = await pipe.execute()
        return int(epoch or 0) > fence.epoch or bool(silence) or bool(dropped)

    async def answer(self, turn: str) -> Answer:
        """What is known of the turn's answer and its sound."""
        pipe = self._redis.pipeline(transaction=False)
        look(pipe, turn)
        return found(*await pipe.execute())

    async def epoch(self, session: str) -> int:
        """The session's epoch."""
        return int(await self._redis.get(streams.EPOCH.of(session)) or 0)

    async def sweep(self, stream: str, group: str, idle_ms: int) -> int:
        """Delete the group's consumers that hold nothing and have not asked for so long; how many."""
        return int(await self._scripts.run(scripts.SWEEP, [stream], [group, idle_ms]))

    async def raise_epoch(self, session: str) -> int:
        """Raise the session's epoch and wake who listens; the new one. `Sessions.interrupt` also tells the session."""
        epoch = int(await self._redis.incr(streams.EPOCH.of(session)))
        await self._redis.publish(streams.INTERRUPTS, f"{session} {epoch}")  # pyright: ignore[reportUnknownMemberType]  redis-py leaves **kwargs untyped
        return epoch


def look(pipe: Pipeline, turn: str) -> None:
    """Ask what is known of the turn's answer and its sound: two commands, whose answers are for `found`."""
    pipe.hgetall(streams.ANSWER.of(turn))
    pipe.hgetall(streams.SPOKEN.of(turn))


def found(answer: dict[bytes, bytes], spoken: dict[bytes, bytes]) -> Answer:
    """What is known of it."""
    said = {_word(name): _word(value) for name, value in answer.items()}
    ends = {_word(name): _word(value) for name, value in spoken.items()}
    return Answer(
        sentences={int(name): value for name, value in said.items() if name.isdigit()},
        count=int(said["count"]) if "count" in said else None,
        reason=said.get("reason", ""),
        dropped=said.get("dropped", ""),
        spoken={int(name): value for name, value in ends.items() if name.isdigit()},
    )


def _word(value: bytes | str | None) -> str:
    """Redis answers in bytes."""
    return value.decode() if isinstance(value, bytes) else value or ""
