"""From a choice to the order for llm, and to the rows of the ledger."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from services.contract.ingest import Kind, Lane, LedgerRow, LiveEvent, TurnRequested
from services.ingest.core.bilibili import is_summary
from services.ingest.core.items import Turn
from services.ingest.core.policy import Policy
from services.ingest.core.templates import render


@dataclass(frozen=True)
class Cast:
    """Who is on air in a room, and how its director chooses."""

    room: str
    persona: str
    voice: str
    language: str
    spoken: Literal["all", "quoted"]
    templates: Mapping[str, Mapping[str, str]]
    policy: Policy


def turn_requested(cast: Cast, turn: Turn) -> TurnRequested:
    """The order to answer what was chosen; its latency counts from the oldest event that it answers."""
    first = turn.choice.item.first
    ask, say = render(turn.choice.events, cast.templates, cast.language)
    return TurnRequested(
        turn=turn.id,
        no=turn.no,
        session=cast.room,
        epoch=turn.epoch,
        kind="room",
        lane=turn.choice.lane,
        causes=turn.choice.item.ids,
        ask=ask,
        say=say,
        persona=cast.persona,
        voice=cast.voice,
        language=cast.language,
        spoken=cast.spoken,
        viewer=first.viewer.name,
        requested_ms=first.at_ms,
        deadline_ms=turn.choice.deadline_ms,
        trace=turn.id,
    )


def ledger_rows(
    events: Sequence[LiveEvent],
    state: Literal["received", "chosen", "aired", "spoken", "failed", "withdrawn"],
    at_ms: int,
    *,
    turn: str = "",
    reason: str = "",
    samples: int = 0,
) -> list[LedgerRow]:
    """What the ledger says of those of the events that were paid for.

    A platform's withdrawal is no purchase, nor is its summary of a combo whose gifts are in the ledger.
    """
    summed_up = state == "withdrawn" and reason == "combo"
    paid = (
        event for event in events if event.lane is Lane.PAID and event.kind is not Kind.WITHDRAWAL and not summed_up
    )
    sound = samples if state == "spoken" else 0
    return [LedgerRow(event=e, state=state, reason=reason, turn=turn, at_ms=at_ms, samples=sound) for e in paid]


def has_row(event: LiveEvent) -> bool:
    """Whether the ledger counts the event as soon as it comes: a summary is counted only if it is answered itself."""
    return event.kind is not Kind.WITHDRAWAL and not is_summary(event)
