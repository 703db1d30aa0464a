"""What a conversation remembers: what was heard."""

import pytest

from services.contract.gateway import Interrupted, Mark
from services.contract.ingest import TurnAired, TurnDropped
from services.contract.llm import AnswerEnded
from services.contract.message import Message
from services.contract.tts import SpeechStarted
from services.llm.core import memory
from services.llm.core.memory import Past

SENTENCES = {0: "你好呀。", 1: "今天天气很好。", 2: "Fine."}
SPOKEN = {0: "spoken:24000", 1: "spoken:48000", 2: "spoken:24000"}


def test_lines_survive_the_way() -> None:
    """A later line of a turn replaces the earlier one and keeps its place."""
    first, second = Past("a", "问", 1, "5-0"), Past("b", "再问")
    lines = [memory.dump(first), memory.dump(second), memory.dump(memory.settle(first, "答")).encode()]
    assert memory.load(lines) == [Past("a", "问", 1, "5-0", "答"), second]


def test_an_answer_in_peace_was_heard_but_for_what_was_skipped() -> None:
    """What has no sound yet is on its way; what was skipped was never heard."""
    assert memory.heard(SENTENCES, {}) == "你好呀。今天天气很好。Fine."
    assert memory.heard(SENTENCES, {1: "skipped:late"}) == "你好呀。Fine."


def test_an_interrupted_answer_of_which_nothing_is_known() -> None:
    """What has its whole sound counts, the rest does not."""
    assert memory.heard(SENTENCES, {0: "spoken:5", 1: "skipped:x"}, interrupted=True) == "你好呀。"


@pytest.mark.parametrize(
    ("played", "heard"),
    [
        (0, ""),
        (12_000, "你好…"),
        (24_000, "你好呀。"),
        (48_000, "你好呀。今天天…"),
        (72_000, "你好呀。今天天气很好。"),
        (84_000, "你好呀。今天天气很好。Fi…"),
        (999_000, "你好呀。今天天气很好。Fine."),
    ],
)
def test_an_interrupted_answer_was_heard_as_far_as_it_was_played(played: int, heard: str) -> None:
    """Whole sentences first; the one in the air by its part, with `…`."""
    assert memory.heard(SENTENCES, SPOKEN, interrupted=True, played=played) == heard


def test_sentences_without_sound_are_measured_by_their_text() -> None:
    """A skipped one takes no time; one that was not finished takes its usual one."""
    spoken = {0: "skipped:x"}
    assert memory.heard(SENTENCES, spoken, interrupted=True, played=3 * memory.SAMPLES_A_CHARACTER) == "今天天…"


def started(turn: str) -> SpeechStarted:
    return SpeechStarted(turn=turn, no=1, epoch=0, index=0, attempt=1, text="x")


ITEMS: list[tuple[int, Message]] = [
    (500, started("other")),
    (600, TurnAired(turn="other", no=1, epoch=0)),
    (1_000, started("t")),
    (1_100, started("t")),
    (2_000, TurnAired(turn="t", no=2, epoch=0)),
    (2_500, Interrupted(epoch=3, by="client")),
    (2_600, Mark(turn="other", index=0, played_ms=1)),
    (2_700, Mark(turn="t", index=0, played_ms=100)),
    (2_800, Mark(turn="t", index=1, played_ms=500)),
    (3_000, Interrupted(epoch=4, by="speech")),
    (3_500, TurnDropped(turn="other", reason="x")),
    (4_000, TurnDropped(turn="t", reason="x")),
    (5_000, Interrupted(epoch=5, by="client")),
    (5_000, AnswerEnded(turn="t", count=1, text="")),
]


def test_the_players_last_mark_counts_in_calls() -> None:
    """The sentences before it, and what of its own was played."""
    assert memory.played(Past("t", "", 3), ITEMS, SPOKEN, marks=True) == 24_000 + 12_000


def test_the_clock_counts_in_rooms() -> None:
    """From the airing, or from the first sound where that is later, to the interrupt or drop."""
    assert memory.played(Past("t", "", 3), ITEMS, SPOKEN, marks=False) == 24_000
    assert memory.played(Past("t", "", 9), ITEMS, SPOKEN, marks=False) == 48_000
    assert memory.played(Past("t", "", 3), ITEMS[2:4] + ITEMS[9:], {}, marks=True) == 48_000


def test_a_session_that_forgot_tells_nothing() -> None:
    """Without a beginning or an end nothing is guessed."""
    assert memory.played(Past("t", "", 3), ITEMS[:5], {}, marks=False) is None
    assert memory.played(Past("t", "", 3), ITEMS[9:], {}, marks=True) is None


def test_history_is_bounded() -> None:
    """The newest turns within the number and the characters; empty parts are left out."""
    pasts = [Past(str(at), f"问{at}", heard=f"答{at}") for at in range(memory.TURNS + 3)]
    assert memory.messages(pasts)[0] == ("user", "问3")
    assert len(memory.messages(pasts)) == 2 * memory.TURNS
    long = [Past("a", "x" * memory.CHARACTERS, heard="答"), Past("b", "", heard="说"), Past("c", "问")]
    assert memory.messages(long) == [("assistant", "说"), ("user", "问")]
