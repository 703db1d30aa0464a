"""What avatar says: how the puppet stands."""

from pydantic import Field

from services.contract.message import Message


class Posed(Message):
    """One frame of the puppet on the playback clock."""

    at_ms: int = Field(ge=0)
    """Unix milliseconds at which it is shown."""
    mouth: float = Field(ge=0, le=1)
    """0 closed, 1 wide open."""
    expression: str = "neutral"
    turn: str = ""
