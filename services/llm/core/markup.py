"""What of a model's stream is speech: thoughts and code are not, tags select emotions, quotes switch speech on and off.

Everything works character by character, so the result cannot depend on how the stream was chunked.
"""

from collections.abc import Iterable
from dataclasses import dataclass

HIDDEN = {"<think>": "</think>", "<thinking>": "</thinking>", "```": "```"}
"""Openings of what is never spoken, with their ends."""
OPENERS = {"ascii": {'"': '"'}, "any": {'"': '"', "“": "”", "『": "』", "「": "」", "＂": "＂"}}
"""Quotes by setting, each with the one that closes it."""


@dataclass(frozen=True)
class Boundary:
    """A piece ends here at the latest; `emotion` holds from here on, empty: the one before."""

    emotion: str = ""


class Markup:
    """Drops thoughts and code, turns known `[tag]`s into boundaries; unknown tags stay text."""

    def __init__(self, emotions: Iterable[str]) -> None:
        self._tags = {f"[{emotion}]": emotion for emotion in emotions}
        self._tokens = (*HIDDEN, *self._tags)
        self._starts = frozenset(token[0] for token in self._tokens)
        self._held = ""
        self._until = ""

    def feed(self, char: str) -> list[str | Boundary]:
        """What the character sets free."""
        if self._until:
            return self._hidden(char)
        if not self._held and char not in self._starts:
            return [char]
        self._held += char
        return self._free()

    def close(self) -> list[str | Boundary]:
        """What was held back as the possible beginning of a tag; an unclosed thought or fence ends here."""
        held = "" if self._until else self._held
        self._held = self._until = ""
        return list(held)

    def _hidden(self, char: str) -> list[str | Boundary]:
        self._held = (self._held + char)[-len(self._until) :]
        if self._held.lower() != self._until:
            return []
        fence, self._held, self._until = self._until == "```", "", ""
        return ["\n"] if fence else []

    def _free(self) -> list[str | Boundary]:
        """Release what cannot become a token any more."""
        out: list[str | Boundary] = []
        while self._held:
            held = self._held.lower()
            if held in HIDDEN:
                self._held, self._until = "", HIDDEN[held]
                return out
            if self._held in self._tags:
                out.append(Boundary(self._tags[self._held]))
                self._held = ""
            elif any(token.startswith((self._held, held)) for token in self._tokens):
                return out
            else:
                out.append(self._held[0])
                self._held = self._held[1:]
        return out


class Quotes:
    """Lets through what stands between quotes and not in parentheses; a closing quote is a boundary."""

    def __init__(self, quotes: str) -> None:
        self._openers = OPENERS[quotes]
        self._closer = ""
        self._depth = 0

    def feed(self, char: str) -> list[str | Boundary]:
        """What the character sets free. A closing quote ends an open parenthesis too, so that speech goes on after it."""
        if not self._closer:
            self._closer = self._openers.get(char, "")
            return []
        if char == self._closer:
            self._closer, self._depth = "", 0
            return [Boundary()]
        if char in "(（":
            self._depth += 1
        elif char in ")）" and self._depth:
            self._depth -= 1
        elif not self._depth:
            return [char]
        return []
