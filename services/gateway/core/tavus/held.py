"""Which conversations OnAir has to end, and when one that it wrote down needs no ending any more."""

from collections.abc import Iterable

from services.contract.gateway import ConversationCreated
from services.gateway.core.tavus.ports import Conversation

MOST = 32
"""Conversations that OnAir holds at once."""
ASKING_MS = 120_000
"""Tavus has answered by then, or its answer is lost."""


def named(name: str, mark: str) -> str:
    """The name under which Tavus has it: by the mark it is found where the answer was lost."""
    return f"{name} (onair-{mark})"


def found(record: ConversationCreated, seen: Iterable[Conversation]) -> str:
    """Tavus's id of that conversation among those, '' if it is not there."""
    return next((each.id for each in seen if each.name.endswith(f"(onair-{record.mark})")), "")


def asked_for(record: ConversationCreated, now_ms: int) -> bool:
    """Whether its answer may still come."""
    return not record.conversation and now_ms - record.at_ms < ASKING_MS


def forgotten(record: ConversationCreated, now_ms: int, after_ms: int) -> bool:
    """Whether nobody will end it: it has lasted as long as it may, or its answer was lost, so that nobody knows of it."""
    if not record.conversation:
        return not asked_for(record, now_ms)
    return now_ms - record.at_ms >= after_ms or expired(record, now_ms)


def expired(record: ConversationCreated, now_ms: int) -> bool:
    """Whether Tavus itself has ended it by now, if it ever began."""
    return now_ms - record.at_ms >= record.max_s * 1_000 + ASKING_MS
