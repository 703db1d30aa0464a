"""How the director weighs what waits: the figures that a person may set."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Policy:
    """Figures of one room; all times in milliseconds."""

    chat_lane: int = 15
    """The newest so many comments wait; an older one is pushed out."""
    welcome_lane: int = 5
    paid_deadline_ms: int = 60_000
    """A paid event that has waited longer goes before any price; its turn may begin for as long after it was asked."""
    chat_deadline_ms: int = 15_000
    """A comment older than this is never answered."""
    welcome_deadline_ms: int = 8_000
    combo_quiet_ms: int = 3_000
    """A combo is over when no gift has joined it for so long,"""
    combo_limit_ms: int = 10_000
    """or when it has lasted longer than this."""
    chat_every: int = 5
    """A waiting comment is passed over by so many paid answers, then it is its turn."""
    busy_at: int = 3
    """Nobody is welcomed while at least so many comments wait."""
    turn_limit_ms: int = 30_000
    """A turn that has not ended, and of which nothing new was heard for so long, is given up."""
    ahead_ms: int = 6_000
    """How long a turn on air is taken to go on while its end is not known: comments too old for that are not prepared."""
    idle_after_ms: int | None = None
    """Silence after which a topic of `idle_asks` is taken up; None: never."""
    idle_asks: tuple[str, ...] = ()
    seen_ids: int = 10_000
    """Ids remembered against duplicates, for each lane."""
