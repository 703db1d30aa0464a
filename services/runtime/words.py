"""Rules of text that several services share: what can be pronounced, markup, templates, lengths, languages."""

import re
from collections.abc import Iterable, Mapping

CJK = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff\U00020000-\U0003ffff"
"""Letters that are written without spaces (and Hangul), as the inside of a character class."""
_CJK = re.compile(f"[{CJK}]")
_WORD = re.compile(rf"(?:(?![{CJK}])[^\W_])+(?:['’](?:(?![{CJK}])[^\W_])+)*")
_LINK = re.compile(r"!?\[([^\[\]]*)\]\((?:[a-zA-Z][\w+.-]*:|/|#|www\.)[^()\s]*\)")
_LINE_START = re.compile(r"^(?:[ \t]*(?:[-*+•>]|#{1,6})[ \t]+)+", re.MULTILINE)
_RULE = re.compile(r"^[ \t]*(?:-{3,}|\*{3,}|_{3,})[ \t]*$", re.MULTILINE)
_STARS = re.compile(r"\*+")
_UNDERSCORES = re.compile(r"(?<![^\W_])_+|_+(?![^\W_])")
_SPACES = re.compile(r"\s+")
_DOTS = re.compile(r"\.{3,}")
_SILENT = re.compile(
    "[\u200b-\u200f\u2060\ufeff\ufe0e\ufe0f\u20e3"  # invisible: zero width, marks of direction, variants of an emoji
    "\u2190-\u21ff\u2300-\u23ff\u2500-\u27bf\u2900-\u297f\u2b00-\u2bff\u3030\u303d\u3297\u3299"  # arrows, dingbats
    "\U0001f000-\U0001faff\U000e0000-\U000e007f\ufffd]"
)
_PLACE = re.compile(r"\{(\w+)\}")
BACKCHANNELS = {
    "zh": ["嗯", "嗯哼", "哦", "噢", "喔", "啊", "呃", "唔", "诶", "欸", "哈", "对", "对的", "对啊", "是", "是的", "是啊", "好", "好的", "行", "没错", "这样", "这样啊", "原来如此"],
    "en": ["uh", "um", "mm", "mhm", "hmm", "hm", "uh huh", "mm hmm", "ah", "oh", "yeah", "yep", "yes", "right", "ok", "okay", "sure", "i see", "got it", "exactly", "true", "wow"],
}  # fmt: skip
"""Language → what people say to show that they listen."""


def whole(text: str) -> str:
    """The text with halves of surrogate pairs joined; a half without its other becomes U+FFFD."""
    if text.isascii():
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def is_cjk(char: str) -> bool:
    """Whether the character is a Chinese, Japanese or Korean letter."""
    return _CJK.fullmatch(char) is not None


def speakable(text: str) -> bool:
    """Whether there is anything to pronounce: a letter or a digit."""
    return any(char.isalnum() for char in text)


def silent(char: str) -> bool:
    """Whether the character is seen but not heard: an emoji, an arrow, an invisible one."""
    return _SILENT.fullmatch(char) is not None


def counts(text: str) -> tuple[int, int]:
    """Number of CJK letters, and of words of other scripts."""
    return len(_CJK.findall(text)), len(_WORD.findall(text))


def language(text: str, default: str = "zh") -> str:
    """`zh` or `en`: that of which there is more, a word counts as two CJK letters; `default` where there is no letter."""
    if not any(char.isalpha() for char in text):
        return default
    letters, others = counts(text)
    return "en" if others * 2 > letters else "zh"


def ellipses(text: str) -> str:
    """Three or more full stops become one `…`."""
    return _DOTS.sub("…", text)


def plain(text: str) -> str:
    """The text as captions show it: Markdown's marks removed (a link leaves its label), white space collapsed."""
    text = _RULE.sub(" ", _LINK.sub(r"\1", text.replace("`", "")))
    text = _STARS.sub(_star, _LINE_START.sub("", text))
    return _SPACES.sub(" ", _UNDERSCORES.sub("", text)).strip()


def _star(match: re.Match[str]) -> str:
    """A single star between two digits, or two spaces inside the text, is a multiplication."""
    around = match.string[match.start() - 1 : match.start()] + match.string[match.end() : match.end() + 1]
    product = len(match[0]) == 1 and len(around) == 2 and (around.isspace() or around.isdigit())  # noqa: PLR2004  one character on each side
    return match[0] if product else ""


def pronounced(text: str) -> str:
    """The text as it is pronounced: as `plain`, without emoji and invisible characters."""
    return _SPACES.sub(" ", _SILENT.sub("", plain(text))).strip()


def fill(template: str, values: Mapping[str, str]) -> str:
    """The template with each `{name}` of `values` filled in; other placeholders stay.

    What looks like a placeholder inside a value loses its braces, so that what a viewer writes is never filled in again.
    """

    def value(match: re.Match[str]) -> str:
        return _PLACE.sub(r"(\1)", values[match[1]]) if match[1] in values else match[0]

    return _PLACE.sub(value, template)


def clip(text: str, limit: int) -> str:
    """At most `limit` characters (≥ 1) of the text; a shortened one ends with `…`."""
    return text if len(text) <= limit else text[: limit - 1] + "…"


def joined(sentences: Iterable[str]) -> str:
    """The sentences as one text: those of spaced scripts need a space between them."""
    return "".join(f"{text} " if text[-1:].isascii() else text for text in sentences).strip()
