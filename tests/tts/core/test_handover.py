"""When a sentence is handed on, and when it is given up."""

import pytest

from services.tts.core.handover import LATE_MS, Fate, again, fate

DUE = 1_000_000


@pytest.mark.parametrize(
    ("now", "last_sound", "living", "expected"),
    [
        (DUE - 1, 0, True, Fate.WAITS),
        (DUE - 1, 0, False, Fate.WAITS),
        (DUE + 1, 0, True, Fate.WAITS),
        (DUE + 1, 0, False, Fate.MOVES),
        (DUE + LATE_MS, 0, True, Fate.WAITS),
        (DUE + LATE_MS + 1, 0, True, Fate.SKIPPED),
        (DUE + LATE_MS + 1, 0, False, Fate.SKIPPED),
        (DUE + LATE_MS + 1, DUE + LATE_MS, True, Fate.WAITS),
        (DUE + 2 * LATE_MS, DUE + LATE_MS - 1, True, Fate.SKIPPED),
    ],
)
def test_fate(now: int, last_sound: int, living: bool, expected: Fate) -> None:  # noqa: FBT001  a column of the table
    """A sentence waits until it is due, moves from a dead pool then, and is skipped after 8 s without sound."""
    assert fate(DUE, last_sound, now, living=living) is expected


@pytest.mark.parametrize(
    ("why", "tries", "last", "expected"),
    [
        ("silent", 1, False, True),
        ("silent", 2, False, False),
        ("engine_broken", 1, True, True),
        ("engine_broken", 2, True, False),
        ("engine_missing", 1, True, False),
        ("bad_config", 1, True, False),
        ("engine_silent", 1, False, False),
        ("engine_silent", 1, True, True),
    ],
)
def test_again(why: str, tries: int, last: bool, expected: bool) -> None:  # noqa: FBT001  columns of the table
    """An engine is asked twice; not where that cannot help, nor where another could answer sooner."""
    assert again(why, tries, last=last) is expected
