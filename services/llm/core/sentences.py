"""Cuts a model's stream into the pieces that are spoken, as early as they are known."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from services.llm.core import stops
from services.llm.core.markup import Boundary, Markup, Quotes
from services.runtime import words

LONG = 120
"""Characters without a sentence's end after which a piece is broken anyway."""
LEAST = 5
"""Characters before the mark of a later piece: shorter ones sound choppy."""


@dataclass(frozen=True)
class Piece:
    """One piece of speech."""

    text: str
    """What captions show."""
    speak: str
    """What is pronounced; never without a letter or digit."""
    emotion: str = ""


class Splitter:
    """A model's answer in, pieces out. No matter how the answer is chunked, the pieces are the same.

    `spoken`: `all`, or `quoted` for only what stands between quotes and not in parentheses.
    `quotes`: `ascii` for `"`, `any` for “ ” 「 」 『 』 too. `emotions`: the tags that select an emotion.
    """

    def __init__(
        self,
        spoken: Literal["all", "quoted"] = "all",
        quotes: Literal["ascii", "any"] = "ascii",
        emotions: Iterable[str] = (),
    ) -> None:
        self._markup = Markup(emotions)
        self._quotes = Quotes(quotes) if spoken == "quoted" else None
        self._cutter = Cutter(quick=spoken == "quoted")
        self._high = ""

    def feed(self, text: str) -> list[Piece]:
        """The pieces that are complete now."""
        return [
            piece for char in text for whole in self._whole(char) for piece in self._pieces(self._markup.feed(whole))
        ]

    def close(self) -> list[Piece]:
        """The rest: what is unclosed ends here. Nothing may be fed afterwards."""
        rest = self._markup.feed(words.whole(self._high)) if self._high else []
        return [*self._pieces([*rest, *self._markup.close()]), *self._cutter.flush()]

    def _whole(self, char: str) -> str:
        """Halves of a surrogate pair may come in two chunks."""
        if not self._high and not "\ud800" <= char <= "\udfff":
            return char
        text, self._high = self._high + char, ""
        if "\ud800" <= char <= "\udbff":
            text, self._high = text[:-1], char
        return words.whole(text)

    def _pieces(self, items: Iterable[str | Boundary]) -> list[Piece]:
        return [piece for item in items for inner in self._heard(item) for piece in self._cutter.feed(inner)]

    def _heard(self, item: str | Boundary) -> list[str | Boundary]:
        if self._quotes is None or isinstance(item, Boundary):
            return [item]
        return self._quotes.feed(item)


def literal(text: str) -> list[Piece]:
    """The pieces of a text that is spoken as it is: tags, quotes and code mean nothing in it."""
    cutter = Cutter(quick=False)
    return [*(piece for char in words.whole(text) for piece in cutter.feed(char)), *cutter.flush()]


class Cutter:
    """Cuts speech at its marks, one character of look-ahead."""

    def __init__(self, *, quick: bool) -> None:
        self._quick = quick
        self._first = True
        self._emotion = ""
        self._text = ""
        self._open = False
        self._kind: stops.Kind = ""
        self._mark_at = 0
        self._soft_at = 0
        self._word = ""

    def feed(self, item: str | Boundary) -> list[Piece]:
        """The pieces that are complete now."""
        if isinstance(item, Boundary):
            done = self.flush()
            self._emotion = item.emotion or self._emotion
            return done
        if item in "\r\n":
            return self._line()
        if self._kind and self._extends(item):
            self._kind = stops.joined(self._kind, item)
            self._append(item)
            return self._overlong(2 * LONG)
        done = self._decide(item) if self._kind else []
        if self._text or not item.isspace():
            self._append(item)
        return [*done, *self._overlong(LONG)]

    def flush(self) -> list[Piece]:
        """All that is held, if it can be pronounced."""
        return self._cut(len(self._text))

    def _append(self, char: str) -> None:
        if char == "." and self._text.endswith(("..", "…")):
            self._text = self._text.removesuffix("..").removesuffix("…") + "…"
            self._kind = "strong"
            return
        if not self._kind and (kind := stops.kind_of(char)):
            self._kind, self._mark_at, self._word = kind, len(self._text), stops.last_word(self._text)
        self._open ^= char == '"'
        self._text += char

    def _extends(self, char: str) -> bool:
        """Whether the character belongs to the mark before it."""
        if self._text[-1:].isspace():
            return False
        marks = stops.kind_of(char) != "" or char in stops.CLOSERS or words.silent(char)
        return marks or (char == '"' and self._open)

    def _decide(self, following: str) -> list[Piece]:
        """The run of marks is over: is the piece?"""
        if following.isspace() and stops.waits(self._text, self._kind, self._word):
            return []
        kind, self._kind = self._kind, ""
        if not stops.ends_before(self._text, kind, self._word, following):
            return []
        if kind == "soft":
            self._soft_at = len(self._text)
        return self._cut(len(self._text)) if self._enough(kind) else []

    def _enough(self, kind: stops.Kind) -> bool:
        before = self._text[: self._mark_at].strip()
        if kind != "soft":
            return len(before) >= (1 if self._first else LEAST)
        if not self._first:
            return False
        return self._text[self._mark_at] in stops.QUICK if self._quick else stops.early(before)

    def _line(self) -> list[Piece]:
        """A line's end ends a piece, unless it is the number of a list's item."""
        done = [] if stops.number_only(self._text) else self.flush()
        self._kind, self._open = "", False
        self._text += "\n" if self._text else ""
        return done

    def _overlong(self, limit: int) -> list[Piece]:
        """Break a run without an end at its last soft mark, else at a space, else where it stands."""
        if len(self._text) <= limit or (self._kind and limit == LONG):
            return []
        for at in (self._soft_at, self._text.rfind(" ") + 1, len(self._text)):
            if done := self._cut(at):
                return done
        self._text, self._kind, self._soft_at = "", "", 0
        return []

    def _cut(self, at: int) -> list[Piece]:
        """The piece up to there; what cannot be pronounced stays and is merged into the next."""
        head = self._text[:at]
        speak = words.pronounced(head)
        if not words.speakable(speak):
            return []
        self._text, self._kind, self._soft_at, self._first = self._text[at:].lstrip(), "", 0, False
        return [Piece(words.plain(head), speak, self._emotion)]
