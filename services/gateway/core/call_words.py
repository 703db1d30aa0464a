"""The words of a call: what its machine wants done, how the client wants it, what the client may say."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from services.contract.failure import Code, Failure
from services.contract.gateway import Mark
from services.gateway.core.backchannel import Backchannels

HEARD_RATE = 16_000
"""Samples a second of a client's microphone."""
RATE, RESTART, AGAIN, TAKEN = 1008, 1012, 1013, 4409
"""Close codes: policy, the gateway restarts, try again later, another connection has the call."""
PROMPT, TEXT = 8_000, 4_000
"""Characters of a system prompt and of what is typed."""


@dataclass(frozen=True)
class Say:
    """An event for the client."""

    event: str
    payload: Mapping[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True)
class File:
    """Sound for the client as one complete encoded file."""

    pcm: bytes


@dataclass(frozen=True)
class Chunk:
    """Sound for the client as it is."""

    pcm: bytes


@dataclass(frozen=True)
class Purge:
    """Sound that still waits to be sent is not wanted any more."""


@dataclass(frozen=True)
class Hear:
    """Write this to the microphone's stream, and see to it that somebody listens."""

    at_sample: int
    pcm: bytes
    language: str


@dataclass(frozen=True)
class Ask:
    """Have a turn answered, if nobody asked for it under this key before."""

    key: str
    text: str
    no: int
    config: "Config"
    at_ms: int
    """When what is answered was said, Unix milliseconds."""


@dataclass(frozen=True)
class Interrupt:
    """End all that the session asked for so far."""

    by: str


@dataclass(frozen=True)
class Tell:
    """Publish this on the session."""

    message: Mark


@dataclass(frozen=True)
class Close:
    """End the connection."""

    code: int
    reason: str


Down = Say | File | Chunk | Purge | Close
"""For the client, in this order."""
Order = Hear | Ask | Interrupt | Tell
"""For the bus, in this order."""
Effect = Down | Order


@dataclass(frozen=True)
class Menu:
    """What a client may choose from."""

    personas: Mapping[str, str]
    """Name → language."""
    voices: tuple[str, ...]
    persona: str
    """Who answers unless the client chooses."""
    backchannels: Backchannels
    opens: Mapping[str, str] = field(default_factory=dict[str, str])
    """Name → what has the persona speak first; those that wait have none."""


@dataclass(frozen=True)
class Config:
    """How the client wants the call."""

    persona: str
    voice: str = ""
    language: str = ""
    prompt: str = ""
    interrupt: bool = False
    stream: bool = False
    onair: bool = False
    opening: bool = False
    """The persona may speak first."""

    @property
    def own(self) -> bool:
        """Whether the client knows OnAir's own events; the original's gets the original's alone."""
        return self.interrupt or self.stream or self.onair


def configured(config: Config, menu: Menu, payload: Mapping[str, Any]) -> Config:
    """The configuration with what BotUpdateConfig says; raises Failure BAD_INPUT. Unknown keys say nothing."""
    persona = _text(payload, "persona", config.persona, 64) or menu.persona
    if persona not in menu.personas:
        raise _unknown("persona", persona, menu.personas)
    voice = _text(payload, "speaker", config.voice, 64)
    if voice and voice not in menu.voices:
        raise _unknown("voice", voice, menu.voices)
    audio = _text(payload, "audio", "stream" if config.stream else "file", 16)
    if audio not in {"stream", "file"}:
        raise Failure(Code.BAD_INPUT, f'audio is "file" or "stream", not {audio!r}')
    return replace(
        config,
        persona=persona,
        voice=voice,
        language=_text(payload, "language", config.language, 16),
        prompt=_text(payload, "prompt", config.prompt, PROMPT),
        interrupt=_flag(payload, "interrupt", default=config.interrupt),
        stream=audio == "stream",
        onair=_flag(payload, "onair", default=config.onair),
        opening=_flag(payload, "opening", default=config.opening),
    )


def typed(payload: Mapping[str, Any]) -> str:
    """What TextInput says; raises Failure BAD_INPUT."""
    if text := _text(payload, "text", "", TEXT).strip():
        return text
    raise Failure(Code.BAD_INPUT, "TextInput has no text")


def mark(payload: Mapping[str, Any], turn: str) -> Mark:
    """What PlaybackMark says; raises Failure BAD_INPUT. `turn`: the newest, meant where none is named."""
    return Mark(
        turn=_text(payload, "turn", turn, 96),
        index=_number(payload, "sentence"),
        played_ms=_number(payload, "played_ms"),
        player="call",
    )


def failed(failure: Failure) -> Say:
    """The failure as the client is told it."""
    return error(failure.code.value, failure.sentence)


def error(code: str, sentence: str) -> Say:
    """BotError."""
    return Say("BotError", {"error": {"code": code, "message": sentence}})


def _text(payload: Mapping[str, Any], name: str, default: str, most: int) -> str:
    value = payload.get(name)
    if value is None:
        return default
    if not isinstance(value, str) or len(value) > most:
        raise Failure(Code.BAD_INPUT, f"{name} is a text of at most {most} characters")
    return value


def _flag(payload: Mapping[str, Any], name: str, *, default: bool) -> bool:
    value = payload.get(name)
    if value is None:
        return default
    if not isinstance(value, bool):
        raise Failure(Code.BAD_INPUT, f"{name} is true or false")
    return value


def _number(payload: Mapping[str, Any], name: str) -> int:
    value = payload.get(name, 0)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1e9:  # noqa: PLR2004  eleven days
        raise Failure(Code.BAD_INPUT, f"{name} is a number that is not negative")
    return int(value)


def _unknown(what: str, name: str, known: Mapping[str, str] | tuple[str, ...]) -> Failure:
    names = ", ".join(sorted(known)) or "none"
    return Failure(Code.BAD_INPUT, f"there is no {what} {name[:64]!r}; known: {names}")
