"""What is said in a conversation, as runs: an utterance that repeats with growing text is one, of which the newest counts."""

import json
from dataclasses import dataclass
from typing import Any, cast

UTTERANCE = "conversation.utterance"


@dataclass(frozen=True)
class Run:
    """What one side says at a time."""

    role: str
    """user, replica."""
    speech: str


@dataclass(frozen=True)
class Notice:
    """What the gateway says of itself."""

    event: str
    """joined, left, error."""
    why: str = ""
    code: str = ""
    waits: bool = False
    """It goes on waiting for the conversation."""


def parse(frame: str) -> Run | Notice | None:
    """What a listener's frame says that is shown; None for every other app-message."""
    try:
        found: Any = json.loads(frame)
    except (ValueError, RecursionError):
        return None
    told, properties = _table(found), _table(_table(found).get("properties"))
    kind, name = told.get("message_type"), str(told.get("event_type", ""))
    if kind == "onair":
        why, code = (str(properties.get(part, "")) for part in ("reason", "code"))
        return Notice(name.removeprefix("onair."), why, code, bool(properties.get("waits")))
    speech = properties.get("speech")
    if name != UTTERANCE or not isinstance(speech, str) or not speech.strip():
        return None
    return Run(str(properties.get("role", "")), speech)


def _table(found: object) -> dict[str, Any]:
    return cast("dict[str, Any]", found) if isinstance(found, dict) else {}


class Runs:
    """Feed utterances; each run is given back once it is over."""

    def __init__(self) -> None:
        self.open: Run | None = None
        """What is being said."""

    def feed(self, said: Run) -> Run | None:
        """The run that is over because of this, if one is."""
        before, self.open = self.open, said
        return None if before is None or continues(before, said) else before

    def end(self) -> Run | None:
        """The run that was still open."""
        before, self.open = self.open, None
        return before


def continues(before: Run, said: Run) -> bool:
    """Whether it is the same utterance, grown or mended: of the same side, and half of what was said is said again."""
    if before.role != said.role:
        return False
    old, new = before.speech.casefold(), said.speech.casefold()
    same = next((at for at, (a, b) in enumerate(zip(old, new, strict=False)) if a != b), min(len(old), len(new)))
    return same * 2 >= len(old)
