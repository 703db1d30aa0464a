"""Voices: which engine speaks a sentence. A voice names its engines in order of preference; an engine is a pool."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

Engines = Sequence[Mapping[str, Mapping[str, Any]]]
"""As in the configuration: each entry is one engine's name with its options."""


def pool(engines: Engines, at: int) -> str:
    """Name of the pool that speaks with the engine at that place; the last one's for a place beyond the end."""
    return next(iter(engines[min(at, len(engines) - 1)]))


def options(engines: Engines, at: int) -> Mapping[str, Any]:
    """The options that the voice gives to that engine."""
    return engines[min(at, len(engines) - 1)][pool(engines, at)]


def first(engines: Engines, living: Collection[str]) -> int:
    """The first engine whose pool has a living worker; the first of all if none has."""
    return next((at for at in range(len(engines)) if pool(engines, at) in living), 0)


def after(engines: Engines, at: int, living: Collection[str]) -> int | None:
    """The next engine in order, living ones before the others; None if `at` was the last."""
    rest = range(at + 1, len(engines))
    return next((at for at in rest if pool(engines, at) in living), next(iter(rest), None))


def pronounce(text: str, words: Mapping[str, str]) -> str:
    """The text with the voice's own pronunciations, longest first so that none hides another."""
    for word in sorted(words, key=len, reverse=True):
        text = text.replace(word, words[word])
    return text
