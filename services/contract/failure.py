"""The one vocabulary of what can go wrong: a stable code for programs, a sentence for people."""

from enum import StrEnum

from pydantic import Field

from services.contract.message import Message


class Code(StrEnum):
    """Stable names of failures. A name is never reused for another meaning."""

    BAD_INPUT = "bad_input"
    """The caller sent something that can never succeed as it is."""
    BAD_AUDIO = "bad_audio"
    """Sound that cannot be decoded, or that an engine should not have made."""
    BAD_MESSAGE = "bad_message"
    """A message on the bus that does not parse."""
    BAD_CONFIG = "bad_config"
    """onair.yaml or the environment asks for something that cannot be."""
    TOO_LARGE = "too_large"
    UNAUTHORIZED = "unauthorized"
    NOT_FOUND = "not_found"
    BUSY = "busy"
    """A bounded resource is taken; the same call may succeed later."""
    ENGINE_MISSING = "engine_missing"
    """A configured engine lacks its package, key, model or server."""
    ENGINE_REFUSED = "engine_refused"
    """The engine answered that it will not do this."""
    ENGINE_SILENT = "engine_silent"
    """The engine did not answer in time."""
    ENGINE_BROKEN = "engine_broken"
    """The engine's answer broke off, or is not what it should be."""
    BUS_DOWN = "bus_down"
    EXPIRED = "expired"
    """The deadline passed before the work was done."""
    SOUND_LOST = "sound_lost"
    """Sound that had been made is gone from the live broker."""
    WORKER_LOST = "worker_lost"
    """Each of the workers that tried this ended before it was done."""
    INTERNAL = "internal"


class Failure(Exception):  # noqa: N818  the field's word; "FailureError" says it twice
    """Raised wherever OnAir knows what went wrong.

    `retryable` is decided where it is raised: true only if the same work may succeed if tried again unchanged.
    """

    def __init__(self, code: Code, sentence: str, *, retryable: bool = False) -> None:
        super().__init__(f"{code}: {sentence}")
        self.code = code
        self.sentence = sentence
        self.retryable = retryable


def caused_by(error: BaseException | None, *kinds: type[BaseException]) -> bool:
    """Whether the error, or anything that it was raised from, is of one of these kinds."""
    return error is not None and (isinstance(error, kinds) or caused_by(error.__cause__, *kinds))


class Failed(Message):
    """A turn, or a part of it, failed: told on its session for people to see."""

    turn: str = ""
    code: Code
    sentence: str = Field(max_length=2_000)
    retryable: bool = False
