"""What the scripted persona says."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.llm.core import replies
from services.llm.core.sentences import Splitter
from services.runtime import words
from services.runtime.config import load

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize(
    ("ask", "part"),
    [
        ("小明投喂了3个小花花。请表示感谢，再夸一夸小明。", "小明"),
        ("阿圆刚刚上舰了。请真诚地感谢阿圆。", "阿圆"),
        ("tim1997进入直播间。请表示欢迎", "tim1997"),
        ("Ann sent 3 roses. Thank Ann.", "Ann"),
        ("Ann has just come in. Welcome them.", "Ann"),
        ("Ann liked the stream. Say thanks.", "Ann"),
    ],
)
def test_givers_and_guests_are_called_by_their_name(ask: str, part: str) -> None:
    """The name stands in the ask; the answer says it, without what surrounds it."""
    answer = replies.reply(ask)
    assert part in answer
    assert "刚刚" not in answer
    assert "has just" not in answer


@pytest.mark.parametrize("ask", ["你是谁", "你是真人吗？", "who are you?", "are you a robot"])
def test_it_says_that_it_is_scripted_when_asked(ask: str) -> None:
    """Nobody shall take it for a model or a person."""
    assert any(sign in replies.reply(ask) for sign in ("脚本", "script"))


def test_the_first_answer_says_that_it_is_scripted() -> None:
    """In the language of the question; later answers do not repeat it."""
    assert replies.reply("你好", first=True).startswith(replies.INTRO["zh"])
    assert replies.reply("hello", first=True).startswith(replies.INTRO["en"])
    assert replies.INTRO["zh"] not in replies.reply("你好")


def test_the_language_of_an_ask_without_letters_is_the_personas() -> None:
    """666 is answered in English by an English persona."""
    assert words.language(replies.reply("666")) == "zh"
    assert words.language(replies.reply("777", language="en")) == "en"


@given(st.text(max_size=60), st.booleans())
def test_every_ask_has_a_short_answer_that_can_be_spoken(ask: str, first: bool) -> None:  # noqa: FBT001  drawn
    """The same ask, the same answer; in the language of the question; nothing left to fill in."""
    answer = replies.reply(ask, first=first)
    assert answer == replies.reply(ask, first=first)
    splitter = Splitter()
    assert 1 <= len([*splitter.feed(answer), *splitter.close()]) <= 6


def test_all_replies_fit() -> None:
    """Each pattern and reply is of its language, and has no quote that would end speech in quoted mode."""
    for rules, tongue in ((replies.ZH, "zh"), (replies.EN, "en")):
        for text in [reply for rule in rules for reply in rule.replies] + [
            *replies.SELF[tongue],
            replies.INTRO[tongue],
        ]:
            assert words.language(text) == tongue
            assert '"' not in text
    assert len(replies.ZH) + len(replies.EN) >= 48


@pytest.mark.parametrize(
    ("answer", "said", "left"),
    [
        ("你好呀，很高兴见到你！", "", "你好呀，很高兴见到你！"),
        ("你好呀，很高兴见到你！", "你好呀，", "很高兴见到你！"),
        ("你好呀！", "你好呀", ""),
        ("你好呀！", "您好", "你好呀！"),
        ("你好", "你好呀", "你好"),
        ("Hi there! Go on.", "Hi there!", "Go on."),
    ],
)
def test_the_rest_of_an_answer(answer: str, said: str, left: str) -> None:
    """What was spoken is left out, marks aside; another beginning means that nothing was."""
    assert replies.rest(answer, said) == left


def test_the_teacher_opens_with_a_question() -> None:
    """The shipped persona that speaks first, where no model is connected."""
    teacher = load(ROOT / "onair.yaml").personas["teacher"]
    assert replies.reply(teacher.opens, language=teacher.language).endswith("?")
