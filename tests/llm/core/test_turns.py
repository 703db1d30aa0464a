"""What one turn speaks, and how it goes on after a crash."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.contract.failure import Code
from services.llm.core import turns
from services.llm.core.sentences import Piece


def texts(pieces: tuple[Piece, ...]) -> list[str]:
    return [piece.text for piece in pieces]


def test_a_template_is_split_at_the_answer() -> None:
    """What stands before the answer is spoken before the model is asked, what stands after it afterwards."""
    plan = turns.plan("夸夸他", "谢谢小明的sc。加油加油！ {gpt} 爱你哦。")
    assert texts(plan.head) == ["谢谢小明的sc。", "加油加油！"]
    assert plan.asks
    assert texts(plan.tail) == ["爱你哦。"]


@pytest.mark.parametrize(("ask", "say"), [("", "只说这个。"), ("  ", "只说{gpt}这个。"), ("问", "只说这个。")])
def test_nobody_is_asked_in_vain(ask: str, say: str) -> None:
    """Without an ask, or without a place for the answer, only the template is spoken."""
    plan = turns.plan(ask, say)
    assert not plan.asks
    assert "".join([*texts(plan.head), *texts(plan.tail)]) == "只说这个。"


def test_the_answer_is_spoken_once() -> None:
    """A second place in a template stays empty; `{}` is a place too."""
    plan = turns.plan("问", "{}后面{gpt}尾")
    assert (plan.head, texts(plan.tail)) == ((), ["后面尾"])


def test_a_redelivered_turn_repeats_nothing() -> None:
    """Sentences that are committed are left out, wherever the crash was: in the head, the answer, the tail."""
    ask, say = "问", "头一句话。头二句话。{gpt}尾一句话。尾二句话。"
    assert texts(turns.plan(ask, say, ["头一句话。"]).head) == ["头二句话。"]
    inside = turns.plan(ask, say, ["头一句话。", "头二句话。", "答一。"])
    assert (inside.head, inside.asks, inside.said, len(inside.tail)) == ((), True, ("答一。",), 2)
    ended = turns.plan(ask, say, ["头一句话。", "头二句话。", "答一。", "尾一句话。"])
    assert (ended.asks, ended.said, texts(ended.tail)) == (False, ("答一。",), ["尾二句话。"])
    over = turns.plan(ask, say, ["头一句话。", "头二句话。", "尾一句话。", "尾二句话。"])
    assert (over.asks, over.said, over.tail) == (False, (), ())


@given(st.integers(0, 3), st.integers(0, 4), st.integers(0, 3), st.data())
def test_wherever_it_crashes_all_is_spoken_once(head: int, answer: int, tail: int, data: st.DataObject) -> None:
    """Committed sentences and the plan's together are the whole turn, in order."""
    heads = [f"头头头头头{at}。" for at in range(head)]
    answers = [f"答答答答答{at}。" for at in range(answer)]
    tails = [f"尾尾尾尾尾{at}。" for at in range(tail)]
    whole = [*heads, *answers, *tails]
    crash = data.draw(st.integers(0, len(whole)))
    plan = turns.plan("问", "".join(heads) + "{gpt}" + "".join(tails), whole[:crash])
    left = answers[len(plan.said) :] if plan.asks else []
    assert [*whole[:crash], *texts(plan.head), *left, *texts(plan.tail)] == whole


def test_repeats_are_dropped_until_something_new_comes() -> None:
    """A model that begins again from the start is not spoken again; one that goes on is spoken at once."""
    again = turns.Repeats(["一。", "二。"])
    assert [again.new(Piece(text, text)) for text in ("一。", "二。", "三。", "一。")] == [False, False, True, True]
    onward = turns.Repeats(["一。", "二。"])
    assert [onward.new(Piece(text, text)) for text in ("三。", "一。")] == [True, True]


def test_when_the_first_sound_is_due() -> None:
    """The first sentence is due sooner than those that wait for it."""
    assert turns.due_ms(0, 1_000) == 5_000
    assert turns.due_ms(3, 1_000) == 9_000


def test_only_an_answer_that_has_not_begun_can_be_late() -> None:
    """After its first sentence an answer is finished, whatever the clock says."""
    assert turns.late(1_000, 1_001, 0)
    assert not turns.late(1_000, 1_000, 0)
    assert not turns.late(1_000, 9_999, 1)


def test_outcomes() -> None:
    """A failure after something was said is a cut; so is an endless answer that was stopped."""
    assert turns.outcome(failed=True, spoken=0, limited=False) == "failed"
    assert turns.outcome(failed=True, spoken=1, limited=False) == "cut"
    assert turns.outcome(failed=False, spoken=1, limited=True) == "cut"
    assert turns.outcome(failed=False, spoken=0, limited=False) == "done"


def test_an_answer_that_nobody_hears_is_complained_about() -> None:
    """Nothing at all, no quotes, only signs: each is told with its remedy; a spoken answer is not."""
    assert turns.complaint("好", 1, quoted=True) is None
    found = [turns.complaint(raw, 0, quoted=quoted) for raw, quoted in ((" ", True), ("好", True), ("！", False))]
    assert [failure.code for failure in found if failure] == [Code.ENGINE_BROKEN] * 3
    sentences = [failure.sentence for failure in found if failure]
    assert "nothing" in sentences[0]
    assert "quotes" in sentences[1]
    assert "signs" in sentences[2]
