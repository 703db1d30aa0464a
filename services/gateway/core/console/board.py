"""What is told to those who look: each section once, and again only when it has changed."""

import json
from collections.abc import Mapping
from typing import Any


class Board:
    """The newest text of each section; whoever looks keeps the versions that he knows."""

    def __init__(self) -> None:
        self._texts: dict[str, str] = {}
        self._versions: dict[str, int] = {}

    def put(self, sections: Mapping[str, Any]) -> None:
        """These sections are as follows."""
        for name, value in sections.items():
            text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
            if self._texts.get(name) != text:
                self._texts[name] = text
                self._versions[name] = self._versions.get(name, 0) + 1

    def since(self, known: dict[str, int], **always: object) -> str:
        """One JSON object: what is `always` told, and every section that is newer than `known`, which is brought up."""
        fresh = [name for name, version in self._versions.items() if known.get(name) != version]
        known.update((name, self._versions[name]) for name in fresh)
        head = [f"{json.dumps(name)}:{json.dumps(value, separators=(',', ':'))}" for name, value in always.items()]
        return "{" + ",".join([*head, *(f"{json.dumps(name)}:{self._texts[name]}" for name in fresh)]) + "}"


def event(text: str) -> bytes:
    """A server-sent event; JSON has no line break of its own."""
    return f"data: {text}\n\n".encode("utf-8", "replace")
