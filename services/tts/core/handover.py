"""When an engine is asked again, when a sentence goes to the voice's next engine, and when it is given up."""

from enum import StrEnum

from services.contract.failure import Code

TRIES = 2
"""How often one worker asks one engine for a sentence."""
LATE_MS = 8_000
"""A sentence that is silent this long after its sound was due is skipped."""
HOPELESS = (Code.ENGINE_MISSING, Code.ENGINE_REFUSED, Code.BAD_CONFIG)
"""Failures that asking again cannot change."""


class Fate(StrEnum):
    """What becomes of a sentence that waits."""

    WAITS = "waits"
    """Leave it where it is."""
    MOVES = "moves"
    """Hand it to the voice's next engine."""
    SKIPPED = "skipped"
    """It will not be heard."""


def fate(deadline_ms: int, last_sound_ms: int, now_ms: int, *, living: bool) -> Fate:
    """Judge a sentence by when its first sound was due, when its last sound was made, and whether its pool lives.

    Sound that is still being made keeps a sentence: only silence of `LATE_MS` ends it.
    """
    if now_ms > max(deadline_ms, last_sound_ms) + LATE_MS:
        return Fate.SKIPPED
    return Fate.MOVES if not living and now_ms > deadline_ms else Fate.WAITS


def again(why: str, tries: int, *, last: bool) -> bool:
    """Whether the same engine is asked again after `tries` bad answers; `last`: the voice has no other one.

    An engine that did not answer has cost seconds already: it is asked again only where nobody else can be.
    """
    return tries < TRIES and why not in HOPELESS and (last or why != Code.ENGINE_SILENT)
