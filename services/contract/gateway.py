"""What the gateway says: what clients want, what they heard."""

from pydantic import Field

from services.contract.message import Message


class ClipHeard(Message):
    """Recognise this clip: complete WAV bytes lie at `clip:<session>` on live. Answered by `Transcribed` there."""

    session: str = Field(max_length=80)
    utterance: str = Field(max_length=64)
    language: str = ""
    deadline_ms: int
    """Unix milliseconds after which nobody waits for the text."""
    trace: str = ""


class Interrupted(Message):
    """All turns below `epoch` are over: nothing of them is heard after this entry."""

    epoch: int = Field(ge=1)
    by: str
    """Who: client, operator, speech, disconnect, silence."""


class Mark(Message):
    """What a player really played."""

    turn: str
    index: int
    played_ms: int = Field(ge=0)
    player: str = ""


class CallOpened(Message):
    """Attend this call: listen to `mic:<session>` from its last utterance on. Asked again whenever nobody attends it."""

    session: str = Field(max_length=80)
    language: str = ""
    """What is spoken, as `zh`; empty: the engine finds out."""
    deadline_ms: int
    """Unix milliseconds after which the order is asked anew by whoever still holds the call."""
    trace: str = Field(default="", max_length=64)


class CallJoined(Message):
    """A client has the session from here on; a connection that had it before has lost it."""

    connection: str = Field(max_length=64)


class AudioHeard(Message):
    """Sound from the caller's microphone: s16le mono at 16 kHz in the entry's raw field `b`, never in the JSON."""

    at_sample: int = Field(ge=0)
    """Position of its first sample in the call: what was missing between two frames is a gap of silence."""
    language: str = ""
    """What is spoken now; empty: as the order says."""


class ConversationCreated(Message):
    """A conversation at Tavus that OnAir creates, and therefore ends: written down before Tavus is asked for it."""

    mark: str = Field(max_length=32)
    """Stands at the end of its name there: whose answer was lost is found by it."""
    name: str = Field(max_length=160)
    conversation: str = Field(default="", max_length=64)
    """Tavus's id; empty while its answer is not here."""
    url: str = Field(default="", max_length=500)
    """Where people join it."""
    max_s: int = Field(ge=1)
    """Tavus ends it by itself after so many seconds."""
    at_ms: int
    by: str = Field(default="", max_length=128)
    """Who wanted it, as in `audit`."""


class ConversationWanted(Message):
    """Join this conversation of Daily and tell its session what is said in it. Asked again while nobody is in it.

    There is no order to leave it: whoever listens holds a lease on `wanted:<session>`, and the last one's end ends it.
    """

    session: str = Field(max_length=80)
    conversation: str = Field(max_length=64)
    deadline_ms: int
    """Unix milliseconds after which the order is given anew by whoever still listens."""
    trace: str = Field(default="", max_length=64)
