"""What is spoken of an answer, and in which pieces."""

import json
from typing import Literal

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from services.llm.core.sentences import LONG, Piece, Splitter, literal

EMOTIONS = ("普通", "开心", "happy")
Spoken = Literal["all", "quoted"]


def split(text: str, spoken: Spoken = "all", quotes: Literal["ascii", "any"] = "ascii") -> list[Piece]:
    splitter = Splitter(spoken, quotes, EMOTIONS)
    return [*splitter.feed(text), *splitter.close()]


def texts(text: str, spoken: Spoken = "all", quotes: Literal["ascii", "any"] = "ascii") -> list[str]:
    return [piece.text for piece in split(text, spoken, quotes)]


@pytest.mark.parametrize(
    ("answer", "pieces"),
    [
        ("你好呀。今天天气不错！", []),
        (
            '她笑了笑"你好呀，我是爱丽丝。今天想去哪里玩呢？好的！"然后走开',
            ["你好呀，", "我是爱丽丝。", "今天想去哪里玩呢？", "好的！"],
        ),
        ('"你好(挥手)呀，（小声）走吧。"', ["你好呀，", "走吧。"]),
        ('"你好，好"', ["你好，", "好"]),
        ('"Hi there. How are you? Fine!"', ["Hi there.", "How are you?", "Fine!"]),
        ('"嗨，一二三四。五六七八九。"', ["嗨，", "一二三四。五六七八九。"]),
        ('"等等...好"', ["等等…", "好"]),
        ('"没说完', ["没说完"]),
        ('"没说完(嘘', ["没说完"]),
        ('"一(二"三"四。"', ["一", "四。"]),
        ('"a)b"', ["a)b"]),
        ('"……"她说"走吧"', ["……走吧"]),
        ("“不是引号”", []),
    ],
)
def test_quoted_answers(answer: str, pieces: list[str]) -> None:
    """Only what stands between quotes and outside parentheses is spoken; a closing quote flushes."""
    assert texts(answer, "quoted") == pieces


@pytest.mark.parametrize(
    ("answer", "pieces"),
    [
        ('“你好呀！”她说"走吧"『一起』「好」＂行＂', ["你好呀！", "走吧", "一起", "好", "行"]),
        ("「他说『不去』了」", ["他说『不去』了"]),
    ],
)
def test_any_quotes(answer: str, pieces: list[str]) -> None:
    """With `any`, typographic and corner quotes speak too; a quote inside another is text."""
    assert texts(answer, "quoted", "any") == pieces


def test_a_tag_binds_to_the_quote_that_follows() -> None:
    """`[tag]` selects the emotion until the next known tag; unknown tags change nothing."""
    pieces = split('[普通]"你好呀。"[开心]"太好了我们走吧！"[不明]"嗯。"', "quoted")
    assert pieces == [
        Piece("你好呀。", "你好呀。", "普通"),
        Piece("太好了我们走吧！", "太好了我们走吧！", "开心"),
        Piece("嗯。", "嗯。", "开心"),
    ]


def test_tags_in_an_answer_that_is_spoken_whole() -> None:
    """Known tags are stripped, end the piece before them and hold from there on; unknown ones are text."""
    pieces = split("[开心]你好[普通]世界[1] [happy]ok")
    assert [(piece.text, piece.emotion) for piece in pieces] == [("你好", "开心"), ("世界[1]", "普通"), ("ok", "happy")]


@pytest.mark.parametrize(
    ("answer", "pieces"),
    [
        ("<think>嗯。\n对吧?</think>\n\n你好呀。", ["你好呀。"]),
        ("<Thinking>x</Thinking>你好呀。", ["你好呀。"]),
        ("你好<think>没完", ["你好"]),
        ("看：\n```py\nprint('你好。')\n```\n就这样。", ["看：", "就这样。"]),
        ("看```x```完", ["看", "完"]),
        ("看```没完", ["看"]),
        ("用 `x` 和 ``y``。", ["用 x 和 y。"]),
        ("a < b 而且 <thin", ["a < b 而且 <thin"]),
        ("好[开", ["好[开"]),
    ],
)
def test_thoughts_and_code_are_never_spoken(answer: str, pieces: list[str]) -> None:
    """What is unclosed ends with the answer; what only looked like a tag is text."""
    assert texts(answer) == pieces


@pytest.mark.parametrize(
    ("answer", "pieces"),
    [
        ("It is 3.14 now. And v1.2.3 is out. Yes it is.", ["It is 3.14 now.", "And v1.2.3 is out.", "Yes it is."]),
        ("Fruit, e.g. apples, i.e. good ones. Really good.", ["Fruit, e.g. apples, i.e. good ones.", "Really good."]),
        (
            "I live in the U.S. with Dr. Smith. He is J. Smith.",
            ["I live in the U.S. with Dr. Smith.", "He is J. Smith."],
        ),
        ("We meet at 5 p.m. Then we eat.", ["We meet at 5 p.m.", "Then we eat."]),
        ("We meet at 5 p.m. today. Good.", ["We meet at 5 p.m. today.", "Good."]),
        ("Open at 5 p.m. 3 days a week.", ["Open at 5 p.m. 3 days a week."]),
        ("I said no. I mean No. 5 it is.", ["I said no.", "I mean No. 5 it is."]),
        ("So do I. Then go.", ["So do I.", "Then go."]),
        ("See https://a.b/c?x=1&y=2! Good. www.a.b?c ok", ["See https://a.b/c?x=1&y=2!", "Good. www.a.b?c ok"]),
        ("看 https://a.b/c?d=e。好的好的。", ["看 https://a.b/c?d=e。", "好的好的。"]),
        ('"Really?" she asked. "Yes!" Then home.', ['"Really?" she asked.', '"Yes!" Then home.']),
        ("He said “Stop.” Then he left.", ["He said “Stop.”", "Then he left."]),
        ("我住在U.S. 你呢？好吧好吧", ["我住在U.S.", "你呢？好吧好吧"]),
        ("Hello.你好呀，世界真大。", ["Hello.", "你好呀，世界真大。"]),
        ("大概10~20个～30个吧。好~OK", ["大概10~20个～30个吧。", "好~OK"]),
        ("1. one thing here\n2. two\n3.\nthree", ["1. one thing here", "2. two", "3. three"]),
        ("Wait.. what? OK then! Sure", ["Wait..", "what? OK then!", "Sure"]),
        ("What?!Really!! Wow.", ["What?!", "Really!!", "Wow."]),
        ("嗯......好吧，那就这样。", ["嗯…", "好吧，那就这样。"]),
        ("Try a,b; c:d see.", ["Try a,b; c:d see."]),
        ("e.g.", ["e.g."]),
        ("e.g. \n\nok", ["e.g.", "ok"]),
        (").", []),
        ("好). 你呢", ["好).", "你呢"]),
        ("It ends etc., and goes on. Good.", ["It ends etc., and goes on.", "Good."]),
    ],
)
def test_full_stops(answer: str, pieces: list[str]) -> None:
    """A full stop ends a piece, but not inside numbers, abbreviations, initials, addresses."""
    assert texts(answer) == pieces


@pytest.mark.parametrize(
    ("answer", "pieces"),
    [
        ("今天我们来聊，音乐，好不好？", ["今天我们来聊，", "音乐，好不好？"]),
        ("你好，今天我们来聊音乐。", ["你好，今天我们来聊音乐。"]),
        ("Well, I really like this song, and you, too.", ["Well, I really like this song,", "and you, too."]),
        ("我喜欢 rock 和 jazz，还有别的。", ["我喜欢 rock 和 jazz，", "还有别的。"]),
        ("我今天想说的是——“好的，”他说。", ["我今天想说的是——", "“好的，”他说。"]),
        ("我今天想说的是，Bob来了。", ["我今天想说的是，", "Bob来了。"]),
    ],
)
def test_the_first_piece_may_end_early(answer: str, pieces: list[str]) -> None:
    """At a soft mark, once there are six letters or five words before it: sound starts early, later pieces do not."""
    assert texts(answer) == pieces


@pytest.mark.parametrize(
    ("answer", "pieces"),
    [
        ("太好了！😀 再见", [("太好了！😀", "太好了！"), ("再见", "再见")]),
        ("😀！！你好。", [("😀！！你好。", "！！你好。")]),
        ("😀", []),
        ("。。。！\n---\n# 你好", [("。。。！ 你好", "。。。！ 你好")]),
        ("**你好！** [站点](https://a.b) `x`", [("你好！", "你好！"), ("站点 x", "站点 x")]),
    ],
)
def test_what_cannot_be_pronounced_is_never_sent_alone(answer: str, pieces: list[tuple[str, str]]) -> None:
    """Marks and emoji go with the piece before or after them, or unspoken; Markdown is not pronounced."""
    assert [(piece.text, piece.speak) for piece in split(answer)] == pieces


def test_long_runs_are_broken() -> None:
    """Without an end a piece breaks at its last soft mark, else at a space, else where it stands."""
    assert texts("短，" + "啊" * 30 + "，" + "啊" * 100) == ["短，" + "啊" * 30 + "，", "啊" * 100]
    assert [len(text) for text in texts("word " * 40)] == [119, 79]
    assert [len(text) for text in texts("啊" * 300)] == [LONG + 1, LONG + 1, 300 - 2 * LONG - 2]
    first, last = texts("好" + "！" * 500 + "呀")
    assert len(first) == 2 * LONG + 1
    assert last.endswith("呀")
    assert texts("！" * 250) == []


def test_soft_breaks_do_not_lose_what_stands_before_them() -> None:
    """Where the part before the soft mark cannot be pronounced, the break is later."""
    assert "".join(texts("！，" + "啊" * 200)) == "！，" + "啊" * 200


def test_literal_text_has_no_markup() -> None:
    """A template's text is spoken as it is: a viewer can neither hide words nor choose an emotion."""
    pieces = literal('感谢<think>的"礼物"。[开心]走吧')
    assert [piece.text for piece in pieces] == ['感谢<think>的"礼物"。', "[开心]走吧"]
    assert {piece.emotion for piece in pieces} == {""}
    assert literal("  ") == []


SIGNS = "你好呀a bI1.,，。!?！？…~—：\n\"'()（）“”「」<>[]`*#_-/:;😀\u200b\ud83d\ude00"
RUNS = (
    "...",
    "<think>",
    "</think>",
    "```",
    "[开心]",
    "[普通]",
    "[x]",
    "e.g. ",
    "U.S. ",
    "3.14",
    "http://a.b?c",
    "p.m. ",
)
ALPHABET = st.sampled_from([*SIGNS, *RUNS, "👍🏽", "Then ", "word "])


@given(
    st.lists(ALPHABET, max_size=60).map("".join), st.sampled_from(["all", "quoted"]), st.sampled_from(["ascii", "any"])
)
@settings(max_examples=300)
@example('[开心]"你好...(嘘)呀，<think>x</think>Hi. 3.14!"```a```', "quoted", "any")
def test_chunking_changes_nothing(text: str, spoken: Spoken, quotes: Literal["ascii", "any"]) -> None:
    """Fed whole, or in two at every index, or character by character: the same pieces."""
    whole = split(text, spoken, quotes)
    for cut in range(len(text) + 1):
        halves = Splitter(spoken, quotes, EMOTIONS)
        assert [*halves.feed(text[:cut]), *halves.feed(text[cut:]), *halves.close()] == whole
    single = Splitter(spoken, quotes, EMOTIONS)
    assert [*(piece for char in text for piece in single.feed(char)), *single.close()] == whole


@given(st.lists(ALPHABET, max_size=80).map("".join), st.sampled_from(["all", "quoted"]))
@settings(max_examples=300)
def test_every_piece_can_be_spoken_and_sent(text: str, spoken: Spoken) -> None:
    """No piece is empty, too long, or not valid UTF-8."""
    for piece in split(text, spoken):
        assert any(char.isalnum() for char in piece.speak)
        assert len(piece.text) <= 3 * LONG
        assert json.dumps([piece.text, piece.speak], ensure_ascii=False).encode()


@given(st.text(alphabet="你好呀abI19.,，。!?！？…~—：\n'()（）“”*#-:;😀\" "))
@settings(max_examples=300)
def test_no_text_is_lost(text: str) -> None:
    """Every letter and digit of an answer without thoughts and code is spoken, in order."""

    def kept(value: str) -> str:
        return "".join(char for char in value if char.isalnum())

    assert kept("".join(piece.speak for piece in split(text))) == kept(text)


@given(st.text(alphabet="你好呀ab。！ "), st.text(alphabet="你好呀ab。！ "))
def test_no_quoted_text_is_lost(first: str, second: str) -> None:
    """Every letter between quotes is spoken, and nothing else."""

    def kept(value: str) -> str:
        return "".join(char for char in value if char.isalnum())

    answer = f'旁白"{first}"旁白"{second}'
    assert kept("".join(texts(answer, "quoted"))) == kept(first + second)


def test_the_first_piece_comes_as_early_as_it_can() -> None:
    """One character after its mark a piece is out; the closing quote needs none."""
    splitter = Splitter()
    assert splitter.feed("今天天气真好。") == []
    assert [piece.text for piece in splitter.feed("我")] == ["今天天气真好。"]
    quoted = Splitter("quoted")
    assert [piece.text for piece in quoted.feed('"好。"')] == ["好。"]
