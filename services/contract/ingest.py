"""What ingest says: what happened in a room, what the persona shall answer, what the director decided."""

from enum import StrEnum
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from services.contract.failure import Code
from services.contract.message import Message


class Kind(StrEnum):
    """What happened in a live room."""

    DANMAKU = "danmaku"
    SUPER_CHAT = "super_chat"
    GUARD = "guard"
    GIFT = "gift"
    ENTER = "enter"
    FOLLOW = "follow"
    SHARE = "share"
    LIKE = "like"
    SCHEDULE = "schedule"
    SAY = "say"
    """An operator's line, spoken as it is."""
    WITHDRAWAL = "withdrawal"
    """The platform took something back: `withdraws` names the ids."""
    STARTED = "started"
    ENDED = "ended"


class Lane(StrEnum):
    """How an event is kept until it is answered."""

    PAID = "paid"
    """Never lost: a ledger row until spoken, failed or withdrawn, visibly."""
    CHAT = "chat"
    """The newest few."""
    WELCOME = "welcome"
    """Answered only when nothing else is there."""
    CONTROL = "control"
    """About the room, not answered."""


class Viewer(BaseModel):
    """Who did it. `id` is empty where the platform masks it: an empty id identifies nobody."""

    model_config = ConfigDict(frozen=True, extra="ignore")
    id: str = Field(default="", max_length=128)
    name: str = Field(default="", max_length=128)
    medal: str = Field(default="", max_length=64)
    """Name of the fan club's medal."""


class LiveEvent(Message):
    """One thing that happened in a room, whatever the platform."""

    id: str = Field(max_length=200)
    """`<platform>:<kind>:<message id>`; the twins of one purchase share it."""
    room: str = Field(max_length=64)
    source: str = Field(max_length=32)
    """bilibili, douyin, api, schedule, operator."""
    kind: Kind
    lane: Lane
    viewer: Viewer = Viewer()
    text: str = Field(default="", max_length=2_000)
    """What was written, or what the platform says was done."""
    amount_fen: int = Field(default=0, ge=0)
    """Price in 1/100 CNY."""
    gift: str = Field(default="", max_length=64)
    count: int = Field(default=1, ge=0)
    """Pieces of the gift."""
    action: str = Field(default="", max_length=32)
    """The platform's verb, as 投喂."""
    combo: str = Field(default="", max_length=200)
    """Gifts with the same combo are answered together."""
    withdraws: tuple[str, ...] = ()
    at_ms: int = Field(ge=0)
    """Unix milliseconds, by the platform."""
    raw: str = Field(default="", max_length=65_536)
    """The platform's own frame, for replay."""


class TurnRequested(Message):
    """Answer this. Work of llm on `turns`, and a fact on the session."""

    turn: str = Field(max_length=96)
    no: int = Field(ge=1)
    """Order of turns in the session."""
    session: str = Field(max_length=80)
    epoch: int = Field(ge=0)
    kind: Literal["room", "call", "chat"]
    lane: Lane = Lane.CHAT
    causes: tuple[str, ...] = ()
    """Ids of the events it answers."""
    ask: str = Field(max_length=8_000)
    """What is put to the model. Empty: nothing is asked, only `say` is spoken."""
    say: str = Field(default="{gpt}", max_length=4_000)
    """What is spoken; `{gpt}` stands for the model's answer."""
    persona: str = Field(max_length=64)
    voice: str = Field(default="", max_length=64)
    """Empty: the persona's."""
    language: str = Field(default="", max_length=16)
    spoken: Literal["all", "quoted"] = "all"
    prompt: str = Field(default="", max_length=8_000)
    """Takes the place of the persona's own; empty: the persona's."""
    messages: tuple[tuple[str, str], ...] | None = None
    """(role, content) of a history that the client owns."""
    viewer: str = Field(default="", max_length=128)
    """Name of who is answered, for people."""
    requested_ms: int = Field(ge=0)
    """Unix milliseconds of the event that is answered: latency counts from here."""
    deadline_ms: int = Field(ge=0)
    """Unix milliseconds; an answer that has not begun by then is not begun."""
    trace: str = Field(default="", max_length=64)


class TurnAired(Message):
    """From here on readers play this turn; turns of a lower `no` that were never aired never will be."""

    turn: str
    no: int
    epoch: int
    clear: bool = False
    """The floor is clear: a turn aired before this one that has not ended for a reader never will (its sound is gone).

    Only who follows the session and saw them end, or settled them as lost, may say so.
    """


class TurnDropped(Message):
    """This turn is not heard, or no further."""

    turn: str
    reason: str


class Decided(Message):
    """One choice of the director, with its reason."""

    choice: Literal["answer", "drop", "withdraw", "merge", "air", "settle", "idle"]
    reason: str
    """A stable word: paid_first, oldest_chat, stale, pushed_out, duplicate, combo, busy, withdrawn, preempted, …"""
    turn: str = ""
    event: LiveEvent | None = None


class SourceEnded(Message):
    """A source that ends by itself (a recording) has nothing more to give."""

    source: str
    events: int
    """Frames read, good and bad."""
    rejected: int
    """Frames that were counted and could not be read."""


class ShowEnded(Message):
    """All sources have ended and nothing is left to answer."""

    received: int
    answered: int
    dropped: dict[str, int]
    """Reason → count."""


class LedgerRow(Message):
    """What became of one paid event."""

    event: LiveEvent
    state: Literal["received", "chosen", "aired", "spoken", "failed", "withdrawn"]
    reason: str = ""
    """A stable word; `in_part`: spoken, but for a sentence that was skipped."""
    turn: str = ""
    at_ms: int
    """When the state was reached."""
    samples: int = 0
    """Samples that were aired for it."""


class Heard(BaseModel):
    """A sentence as it was heard on the show's clock: Unix milliseconds."""

    model_config = ConfigDict(frozen=True, extra="ignore")
    text: str = Field(max_length=2_000)
    from_ms: int = Field(ge=0)
    to_ms: int = Field(ge=0)


class TurnSettled(Message):
    """The end of a turn of a room, for the record. Told twice where a director was lost between it and the ledger."""

    turn: str
    lane: Lane = Lane.CHAT
    event: LiveEvent | None = None
    """The first of those that it answers; None where nothing is known of it."""
    amount_fen: int = Field(default=0, ge=0)
    """What was paid for all that it answers, in 1/100 CNY."""
    state: Literal["spoken", "failed"]
    reason: str = ""
    """A stable word; `in_part` as in the ledger."""
    at_ms: int = Field(ge=0)
    captions: tuple[Heard, ...] = ()
    """What was heard of it, as far as the session still had it."""


class Counted(Message):
    """Events of a room since the `Counted` before it. Those of a director that was lost within seconds are missing."""

    at_ms: int = Field(ge=0)
    received: int = Field(ge=0)
    answered: int = Field(ge=0)
    dropped: dict[str, int]
    """Reason → count."""


class ConversationJoined(Message):
    """OnAir is in the conversation from here on. What was said in it before is not known."""

    call: str = Field(max_length=128)
    """Names this stay; a later one has another name."""


class ConversationFailed(Message):
    """It could not be joined; whoever wants it nevertheless asks anew."""

    code: Code
    sentence: str = Field(max_length=2_000)


class ConversationEnded(Message):
    """The conversation is over, or OnAir was sent away from it."""

    call: str = Field(max_length=128)
    reason: str = Field(max_length=2_000)


class AppMessageHeard(Message):
    """Somebody in the conversation sent an app-message: its JSON text is the entry's raw field `b`, untouched."""

    sender: str = Field(default="", max_length=128)
    """Daily's id of the participant; empty: it came by Daily's REST interface."""
