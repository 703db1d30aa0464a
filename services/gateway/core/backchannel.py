"""Back-channels: what a listener says to show that he listens, and does not mean to interrupt."""

from collections.abc import Iterable, Mapping

from services.runtime import words

MOST = 3
"""So many of them in a row still are one; more is talk."""


class Backchannels:
    """The words of the configuration, of all languages: who listens may mix them."""

    def __init__(self, known: Mapping[str, Iterable[str]]) -> None:
        self._known = {word for language in known.values() for each in language if (word := _bare(each))}
        self._longest = max(map(len, self._known), default=0)

    def only(self, text: str) -> bool:
        """Whether the text has words, and all of them are back-channels."""
        left, found = _bare(text), 0
        while left and found < MOST:
            size = next((n for n in range(min(self._longest, len(left)), 0, -1) if self._begins(left, n)), 0)
            if not size:
                return False
            left, found = left[size:].lstrip(), found + 1
        return found > 0 and not left

    def _begins(self, text: str, size: int) -> bool:
        """Whether the first `size` characters are one, and not the beginning of a longer word of a spaced script."""
        ends = size == len(text) or text[size].isspace() or words.is_cjk(text[size])
        return text[:size] in self._known and (ends or words.is_cjk(text[size - 1]))


def _bare(text: str) -> str:
    """Lower case, without punctuation."""
    kept = "".join(char if char.isalnum() or char == "'" else " " for char in text.replace("’", "'").lower())
    return " ".join(kept.split())
