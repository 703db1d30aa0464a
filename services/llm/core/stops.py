"""Where a text may be cut: strong marks, soft marks, and the full stops that end no sentence."""

import re
from typing import Literal

from services.runtime import words

Kind = Literal["", "strong", "soft", "dot"]
STRONG = frozenset("…~～。？！?!")
SOFT = frozenset("，,、：:；;—")
QUICK = frozenset("，,")
"""Soft marks at which the first piece of a quoted answer may end."""
CLOSERS = frozenset("'”’」』】》）)]*_`")
"""Characters that belong to what stands before them; `"` does where one is open."""
NEVER = frozenset(
    [
        "e.g",
        "i.e",
        "mr",
        "mrs",
        "ms",
        "dr",
        "prof",
        "st",
        "vs",
        "cf",
        "viz",
        "approx",
        "dept",
        "gen",
        "col",
        "capt",
        "sgt",
        "rev",
        "hon",
        "gov",
        "sen",
        "mt",
        "messrs",
    ]
)
SOMETIMES = frozenset("a.m p.m etc inc ltd co corp jr sr ph.d al".split())  # noqa: SIM905  as above
"""Abbreviations that end a sentence if the next word begins like one."""
NUMBERED = frozenset("no nos fig vol p pp ch sec eq art jan feb mar apr jun jul aug sep sept oct nov dec".split())  # noqa: SIM905  as above
"""Words that are abbreviations only before a number."""
_INITIALS = re.compile(r"(?:[A-Za-z]\.)+[A-Za-z]|[A-HJ-Z]")
_LAST_WORD = re.compile(r"[A-Za-z0-9.]*$")
_URL = re.compile(r"(?:[a-zA-Z][\w+.-]*://|www\.)[!-~]*$", re.ASCII)
_NUMBER_ONLY = re.compile(r"\s*\d+\.\s*")
_CLOSING = "".join(CLOSERS) + '"'
_SPEECH_ENDS = frozenset("\"”'’」』")


def kind_of(char: str) -> Kind:
    """What the character is as a mark."""
    if char in STRONG:
        return "strong"
    if char in SOFT:
        return "soft"
    return "dot" if char == "." else ""


def joined(before: Kind, char: str) -> Kind:
    """What a run of marks is when `char` follows it: the strongest counts, but a soft mark undoes a full stop."""
    after = kind_of(char)
    if before == "strong" or not after:
        return before
    return after


def last_word(text: str) -> str:
    """The word that a full stop at the end of `text` belongs to, in lower case, its inner stops kept."""
    found = _LAST_WORD.search(text)
    return found[0].strip(".") if found else ""


def number_only(text: str) -> bool:
    """Whether the text is the number of a list's item."""
    return _NUMBER_ONLY.fullmatch(text) is not None


def in_url(text: str) -> bool:
    """Whether the text ends inside an address."""
    return _URL.search(text) is not None


def waits(text: str, kind: Kind, word: str) -> bool:
    """Whether the first letter after the white space is needed to decide."""
    if kind == "dot" and _abbreviation(word):
        return True
    return kind != "soft" and text.rstrip()[-1:] in _SPEECH_ENDS


def _abbreviation(word: str) -> bool:
    low = word.lower()
    return low in NEVER | SOMETIMES | NUMBERED or _INITIALS.fullmatch(word) is not None


def ends_before(text: str, kind: Kind, word: str, following: str) -> bool:
    """Whether a sentence ends at the end of `text`, whose last mark is of `kind`; `following` comes next.

    `following` is the next character, or the first after the white space where `waits` is true.
    """
    if following.isascii() and not following.isspace() and not text[-1:].isspace():
        return _adjacent(text.rstrip(_CLOSING), kind)
    if kind == "dot" and (number_only(text) or (_abbreviation(word) and _goes_on(word, following))):
        return False
    return not (following.islower() and kind != "soft" and text.rstrip()[-1:] in _SPEECH_ENDS)


def _adjacent(text: str, kind: Kind) -> bool:
    """Whether a mark ends a sentence though an ASCII letter, digit or mark follows without a space: not in 10~20."""
    if text.endswith(("~", "～")):
        return False
    return not text[-1:].isascii() or (kind == "strong" and not in_url(text))


def _goes_on(word: str, following: str) -> bool:
    """Whether the sentence goes on after this abbreviation."""
    low = word.lower()
    if low in NEVER:
        return True
    if low in SOMETIMES:
        return following.isascii() and (following.islower() or following.isdigit())
    if low in NUMBERED:
        return following.isdigit()
    return following.isascii()


def early(text: str) -> bool:
    """Whether there is enough for a first piece: 6 CJK letters, 5 words, or a mix of both."""
    letters, others = words.counts(text)
    return 5 * letters + 6 * others >= 30  # noqa: PLR2004  the least common multiple of both
