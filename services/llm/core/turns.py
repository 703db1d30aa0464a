"""What one turn speaks: its literal head, the model's answer, its literal tail; and how it goes on after a crash."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from services.contract.failure import Code, Failure
from services.llm.core.sentences import Piece, literal

Reason = Literal["done", "cut", "failed", "expired"]
ANSWER_LIMIT = 8_000
"""Characters of an answer after which the model is stopped: nobody listens for that long."""
FIRST_DUE_MS = 4_000
"""From a sentence's publication to its first sound, for the first of a turn."""
LATER_DUE_MS = 8_000
"""The same for a later one, which waits for those before it."""
BEFORE = 64
"""Last characters spoken before a sentence that go with it."""
_PLACE = re.compile(r"\{(?:gpt)?\}")


@dataclass(frozen=True)
class Plan:
    """What is left to do for a turn."""

    head: tuple[Piece, ...]
    asks: bool
    """Whether the model is asked."""
    said: tuple[str, ...]
    """Sentences of the model's answer that were spoken by an earlier attempt."""
    tail: tuple[Piece, ...]


def plan(ask: str, say: str, committed: Sequence[str] = ()) -> Plan:
    """The plan for a turn of which the sentences `committed` are out already: they are not spoken again.

    An empty `ask`, or a `say` without a place for the answer, asks nobody.
    """
    before, place, after = _split(say)
    head, tail = literal(before), literal(after)
    asks = bool(ask.strip()) and place
    if len(committed) < len(head):
        return Plan(tuple(head[len(committed) :]), asks, (), tuple(tail))
    answer = list(committed[len(head) :])
    for ended in range(min(len(tail), len(answer)), 0, -1):
        if [piece.text for piece in tail[:ended]] == answer[-ended:]:
            return Plan((), asks=False, said=tuple(answer[:-ended]), tail=tuple(tail[ended:]))
    return Plan((), asks, tuple(answer), tuple(tail))


def _split(say: str) -> tuple[str, bool, str]:
    """Text before the answer, whether it has a place, text after it. The answer is spoken once."""
    first, *rest = _PLACE.split(say)
    return first, bool(rest), "".join(rest)


class Repeats:
    """Drops what a model that was to go on says again from the beginning."""

    def __init__(self, said: Sequence[str]) -> None:
        self._left = list(said)

    def new(self, piece: Piece) -> bool:
        """Whether the piece was not spoken before."""
        if self._left and self._left[0] == piece.text:
            del self._left[0]
            return False
        self._left.clear()
        return True


def due_ms(index: int, now_ms: int) -> int:
    """Unix milliseconds at which the first sound of sentence `index` is due."""
    return now_ms + (LATER_DUE_MS if index else FIRST_DUE_MS)


def late(deadline_ms: int, now_ms: int, committed: int) -> bool:
    """Whether it is too late to begin; an answer that has begun is never late."""
    return not committed and now_ms > deadline_ms


def outcome(*, failed: bool, spoken: int, limited: bool) -> Reason:
    """Why the answer ended; `spoken` counts the model's own sentences."""
    if failed:
        return "cut" if spoken else "failed"
    return "cut" if limited else "done"


def complaint(raw: str, spoken: int, *, quoted: bool) -> Failure | None:
    """What people should know of an answer that came to its end and of which nothing can be heard."""
    if spoken:
        return None
    if not raw.strip():
        return Failure(Code.ENGINE_BROKEN, "the model answered nothing: try again, or choose another model")
    if quoted:
        return Failure(
            Code.ENGINE_BROKEN,
            "nothing_spoken: the answer has nothing between quotes, so there is nothing to say; "
            'let the prompt ask for speech between ASCII quotes ("), or set the persona to spoken: all',
        )
    return Failure(Code.ENGINE_BROKEN, "nothing_spoken: the answer has no words, only signs; nothing was said")
