"""Calls whose listeners are killed, frozen and ended in mid-utterance."""

import asyncio
from pathlib import Path

import pytest

from services.contract.asr import Transcribed
from services.runtime.sessions import Item
from tests.chaos.calls import Ward, Wound, judge, run


@pytest.mark.e2e
@pytest.mark.slow
@pytest.mark.timeout(150)
async def test_what_is_said_is_heard_once(tmp_path: Path) -> None:
    """Killed, woken up after another took over, or told to end: no word lost, none under two names; back within 4 s."""
    async with asyncio.timeout(140):
        ward = await run(tmp_path, ["kill", "freeze", "end", "kill"])
    assert [wound.kind for wound in ward.wounds] == ["kill", "freeze", "end", "kill"]
    assert ward.problems == [], ward


def final(name: str, until: int, text: str = "x") -> Item:
    return Item("1-0", 1, Transcribed(utterance=name, text=text, final=True, until_sample=until))


@pytest.mark.parametrize(
    ("items", "wrong"),
    [
        ([final("s-0", 2_000)], 0),
        ([final("s-0", 2_000), final("s-0", 2_000)], 0),
        ([], 1),
        ([final("s-0", 2_000, "")], 1),
        ([final("s-0", 900)], 1),
        ([final("s-0", 1_500), final("s-1500", 2_500)], 1),
        ([final("s-0", 2_000), final("s-400", 2_000)], 2),
    ],
)
def test_the_judge_can_find(items: list[Item], wrong: int) -> None:
    """What is missing, has no text, is half heard, has two names, or overlaps is told."""
    ward = Ward([Wound("kill", 0, 100, 1_900, 500)])
    judge(items, ward)
    assert len(ward.problems) == wrong


def test_a_call_that_is_deaf_for_long_is_told() -> None:
    """More than four seconds after a kill is a problem, after a freeze it is not."""
    for kind, wrong in (("kill", 1), ("freeze", 0)):
        ward = Ward([Wound(kind, 0, 100, 1_900, 4_001)])
        judge([final("s-0", 2_000)], ward)
        assert len(ward.problems) == wrong
