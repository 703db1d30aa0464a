"""Text: what is pronounced, what is shown, what is filled in."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.runtime import words


@pytest.mark.parametrize(
    ("broken", "mended"),
    [
        ("plain", "plain"),
        ("你好😀", "你好😀"),
        ("\ud83d\ude00", "😀"),
        ("a\ud83db", "a\ufffdb"),
        ("\ude00", "\ufffd"),
        ("好\ud83d", "好\ufffd"),
    ],
)
def test_halves_of_surrogate_pairs_are_mended(broken: str, mended: str) -> None:
    """A pair becomes its character, a half alone becomes U+FFFD, its neighbours stay."""
    assert words.whole(broken) == mended


@given(st.text(alphabet=st.characters(codec="utf-8")))
def test_a_mended_text_can_be_encoded(text: str) -> None:
    """Whatever a model sends, the result is valid UTF-8, and a valid text is unchanged."""
    words.whole(text + "\ud83d").encode()
    assert words.whole(text) == text


@pytest.mark.parametrize(("text", "yes"), [("好", True), ("a", True), ("7", True), ("……！😀", False), ("", False)])
def test_only_letters_and_digits_can_be_pronounced(text: str, yes: bool) -> None:  # noqa: FBT001  a table's column
    """A piece of marks and emoji alone must never be sent to an engine."""
    assert words.speakable(text) is yes


def test_scripts_are_told_apart() -> None:
    """Chinese, Japanese and Korean letters are CJK; Latin ones are not."""
    assert all(words.is_cjk(char) for char in "你のカ한𠀀")
    assert not any(words.is_cjk(char) for char in "aé9。")


def test_silent_characters_are_seen_but_not_heard() -> None:
    """Emoji, arrows and invisible characters are silent; letters, digits, ℃ and Chinese marks are not."""
    assert all(words.silent(char) for char in "😀→★\u200b\ufe0f")
    assert not any(words.silent(char) for char in "好a7℃①。～")


def test_counts() -> None:
    """Letters of CJK scripts one by one, words of others as wholes; an apostrophe belongs to its word."""
    assert words.counts("我喜欢 don't stop 2 次") == (4, 3)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("你好呀", "zh"),
        ("hello there", "en"),
        ("我玩Minecraft很久了", "zh"),
        ("hi 你", "en"),
        ("", "zh"),
        ("666", "zh"),
    ],
)
def test_language(text: str, found: str) -> None:
    """A name in Latin letters does not make a Chinese sentence English."""
    assert words.language(text) == found


def test_language_without_letters_is_the_given_one() -> None:
    """Digits and emoji have no language of their own."""
    assert words.language("666 😀", "en") == "en"


def test_ellipses() -> None:
    """Three or more full stops become one sign; two stay."""
    assert words.ellipses("嗯...好.. 行......") == "嗯…好.. 行…"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("# Title\n- one\n* two\n+ three\n> four", "Title one two three four"),
        ("**bold** and *it* and `code` and __u__ and _i_", "bold and it and code and u and i"),
        ("see [the page](https://a.b/c_d) now", "see the page now"),
        ("![cat](/cat.png)", "cat"),
        ("[笑](小声)好", "[笑](小声)好"),
        ("2*3=6, 2 * 3 = 6", "2*3=6, 2 * 3 = 6"),
        ("snake_case #1 -5", "snake_case #1 -5"),
        ("a\n---\nb\n***", "a b"),
        ("**", ""),
        ("1. one", "1. one"),
        (" a \n\t b ", "a b"),
    ],
)
def test_markdown_is_not_shown(text: str, shown: str) -> None:
    """Marks go, their text stays; multiplication, names with underscores and numbers are no marks."""
    assert words.plain(text) == shown


def test_pronounced() -> None:
    """Emoji and invisible characters are not pronounced, what is around them is."""
    assert words.pronounced("**太好了**！😀👍🏽 走\u200b吧 →") == "太好了！ 走吧"


@given(st.text(alphabet="abc好7 *_#`-\n。!😀"))
def test_no_letter_is_lost(text: str) -> None:
    """Cleaning removes marks alone: letters and digits stay, in their order."""

    def kept(value: str) -> str:
        return "".join(char for char in value if char.isalnum())

    assert kept(words.plain(text)) == kept(text)
    assert kept(words.pronounced(text)) == kept(text)


def test_fill() -> None:
    """Known placeholders are filled in, others stay for who knows them."""
    assert words.fill("谢谢{user}，{gpt}{x}", {"user": "小明"}) == "谢谢小明，{gpt}{x}"


def test_a_value_is_never_a_template() -> None:
    """A viewer who writes a placeholder gets no answer put in his mouth."""
    assert words.fill("{text} {gpt}", {"text": "{gpt}{text}{ x }"}) == "(gpt)(text){ x } {gpt}"


def test_clip() -> None:
    """A shortened text shows that it is, within the limit."""
    assert words.clip("abcdef", 6) == "abcdef"
    assert words.clip("abcdefg", 6) == "abcde…"


def test_sentences_are_joined() -> None:
    """With a space where the script has spaces."""
    assert words.joined(["Hi.", "你好。", "再见。", "Bye."]) == "Hi. 你好。再见。Bye."
    assert words.joined([]) == ""
