"""Which face goes with what is said."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.avatar.core.expressions import choose, of_causes, of_tag, of_text
from services.contract.ingest import Lane

FACES = {"neutral", "happy", "sad", "angry", "surprised", "shy"}


@pytest.mark.parametrize(
    ("tag", "face"),
    [("开心", "happy"), (" Happy ", "happy"), ("普通", "neutral"), ("伤心", "sad"), ("angry", "angry"), ("害羞", "shy"), ("惊讶", "surprised"), ("???", "")],
)  # fmt: skip
def test_an_emotion_is_known_by_its_name_in_both_languages(tag: str, face: str) -> None:
    """Case and blanks do not count; an unknown name asks for nothing."""
    assert of_tag(tag) == face


@pytest.mark.parametrize(
    ("text", "face"),
    [
        ("谢谢你的礼物！", "happy"),
        ("Thanks a lot!", "happy"),
        ("呜呜，太可惜了。", "sad"),
        ("I'm sorry to hear that.", "sad"),
        ("哼！不理你了。", "angry"),
        ("How dare you.", "angry"),
        ("哇，真的吗？", "surprised"),
        ("No way!", "surprised"),
        ("人家才没有呢", "shy"),
        ("She blushes.", "shy"),
        ("今天天气不错。", ""),
        ("A glove is not a feeling, nor is a saddle.", ""),
        ("谢谢，不好意思啦", "shy"),
    ],
)
def test_words_ask_for_a_face(text: str, face: str) -> None:
    """In Chinese and English, whole words only; where two are asked for, the rarer one is made."""
    assert of_text(text) == face


@pytest.mark.parametrize(
    ("causes", "lane", "face"),
    [
        (("bilibili:super_chat:1",), Lane.PAID, "happy"),
        (("bilibili:gift:1",), Lane.CHAT, "happy"),
        (("bilibili:danmaku:1", "douyin:follow:2"), Lane.WELCOME, "happy"),
        (("bilibili:danmaku:1",), Lane.CHAT, "neutral"),
        (("odd",), Lane.CHAT, "neutral"),
        ((), Lane.CHAT, "neutral"),
    ],
)
def test_who_gives_or_comes_is_smiled_at(causes: tuple[str, ...], lane: Lane, face: str) -> None:
    """By the lane or by the kind in the cause's id; a plain comment gets a plain face."""
    assert of_causes(causes, lane) == face


def test_the_emotion_wins_over_the_words_and_they_over_the_default() -> None:
    """An unknown emotion leaves the choice to the words."""
    assert choose("sad", "哈哈", "happy") == "sad"
    assert choose("??", "哈哈", "neutral") == "happy"
    assert choose("", "好的。", "happy") == "happy"


@given(st.text(), st.text(), st.sampled_from(sorted(FACES)))
def test_every_sentence_has_a_known_face(emotion: str, text: str, default: str) -> None:
    """Whatever the words."""
    assert choose(emotion, text, default) in FACES
