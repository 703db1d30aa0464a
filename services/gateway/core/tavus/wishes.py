"""What a client wants of Tavus, and how it is put to Tavus. Total functions of the body, or a Failure with the reason."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from services.contract.failure import Code, Failure
from services.gateway.core.bodies import table
from services.runtime.words import whole

NAME, GREETING, TEXT = 100, 1_000, 32_000
"""Characters."""
DEEPEST = 12
"""Objects and lists in each other."""
LEAST_S, MOST_S, USUAL_S = 30, 3_600, 3_600
"""How long a conversation may last; Tavus allows an hour."""
LANGUAGES = {
    "en": "english",
    "zh": "chinese",
    "ja": "japanese",
    "ko": "korean",
    "fr": "french",
    "de": "german",
    "es": "spanish",
    "it": "italian",
    "pt": "portuguese",
    "ru": "russian",
    "hi": "hindi",
}
"""OnAir's word → Tavus's; any other is sent as it is, as `multilingual`."""
LAYERS = ("llm", "tts", "stt", "perception", "conversational_flow", "transport", "vqa")
OF_CONVERSATION = (
    "persona", "replica", "name", "context", "greeting", "language", "max_duration", "record", "test",
)  # fmt: skip
OF_PERSONA = ("name", "replica", "prompt", "from", "context", "layers", "perception")
STATES = ("active", "ended")
_IDENT = re.compile(r"[A-Za-z0-9_-]{1,64}")
_WORD = re.compile(r"[a-z]{3,32}")
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")


@dataclass(frozen=True)
class Wish:
    """A conversation that somebody wants."""

    name: str
    body: Mapping[str, Any]
    """What Tavus is sent besides the name."""
    max_s: int
    """Tavus ends it by itself after so long."""


def conversation(body: bytes) -> Wish:
    """The conversation that is wanted; raises Failure BAD_INPUT with the field that is wrong."""
    fields = _fields(body, OF_CONVERSATION)
    persona, replica = ident(fields, "persona"), ident(fields, "replica")
    if not persona and not replica:
        raise Failure(Code.BAD_INPUT, "say who speaks: a persona or a replica of Tavus; `onair tavus persona list`")
    max_s = _seconds(fields)
    known = {
        "max_call_duration": max_s,
        "enable_recording": _flag(fields, "record") or None,
        "language": _language(fields),
    }
    told = {
        "persona_id": persona,
        "replica_id": replica,
        "conversational_context": _text(fields, "context", TEXT),
        "custom_greeting": _text(fields, "greeting", GREETING),
        "test_mode": _flag(fields, "test") or None,
    }
    properties = {name: value for name, value in known.items() if value}
    sent = {**{name: value for name, value in told.items() if value}, "properties": properties}
    return Wish(" ".join(_text(fields, "name", NAME).split()) or "OnAir", sent, max_s)


def persona(body: bytes, prompts: Mapping[str, str]) -> dict[str, Any]:
    """The persona that is wanted, as Tavus is sent it; `prompts` are those of the configuration by name.

    Raises Failure BAD_INPUT with the field that is wrong.
    """
    fields = _fields(body, OF_PERSONA)
    of, own = _text(fields, "from", NAME), _text(fields, "prompt", TEXT)
    if of and own:
        raise Failure(Code.BAD_INPUT, "give prompt or from, not both")
    if of and not prompts.get(of):
        known = ", ".join(sorted(name for name, text in prompts.items() if text)) or "none"
        raise Failure(Code.BAD_INPUT, f"onair.yaml has no persona {of!r} with a prompt; known: {known}")
    if not (prompt := own or prompts.get(of, "")):
        raise Failure(Code.BAD_INPUT, "give the prompt that the persona answers by, or take one by from")
    name = " ".join(_text(fields, "name", NAME).split()) or of
    if not name:
        raise Failure(Code.BAD_INPUT, "give the persona a name")
    told = {
        "persona_name": name,
        "system_prompt": whole(prompt),
        "pipeline_mode": "full",
        "context": _text(fields, "context", TEXT),
        "default_replica_id": ident(fields, "replica"),
        "layers": _layers(fields),
    }
    return {key: value for key, value in told.items() if value}


def ident(fields: Mapping[str, object], name: str) -> str:
    """An id of Tavus, '' for none; raises Failure BAD_INPUT for what would be something else in a URL."""
    value = _text(fields, name, NAME)
    if value and not _IDENT.fullmatch(value):
        raise Failure(Code.BAD_INPUT, f"{name} must be an id of Tavus: up to 64 letters, digits, _ and -")
    return value


def state(text: str) -> str:
    """The state that is asked for, '' for any; raises Failure BAD_INPUT."""
    if text and text not in STATES:
        raise Failure(Code.BAD_INPUT, f"status must be one of {', '.join(STATES)}")
    return text


def _fields(body: bytes, known: tuple[str, ...]) -> dict[str, object]:
    fields = table(body)
    if unknown := sorted(set(fields) - set(known)):
        raise Failure(Code.BAD_INPUT, f"unknown field {unknown[0][:64]!r}; known: {', '.join(known)}")
    return fields


def _text(fields: Mapping[str, object], name: str, most: int) -> str:
    value = fields.get(name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise Failure(Code.BAD_INPUT, f"{name} must be a text")
    if len(value) > most:
        raise Failure(Code.BAD_INPUT, f"{name} has {len(value)} characters; {most} are allowed")
    return _CONTROL.sub(" ", whole(value)).strip()


def _flag(fields: Mapping[str, object], name: str) -> bool:
    value = fields.get(name)
    if value is not None and not isinstance(value, bool):
        raise Failure(Code.BAD_INPUT, f"{name} must be true or false")
    return bool(value)


def _seconds(fields: Mapping[str, object]) -> int:
    value = fields.get("max_duration", USUAL_S)
    if isinstance(value, bool) or not isinstance(value, int) or not LEAST_S <= value <= MOST_S:
        raise Failure(Code.BAD_INPUT, f"max_duration must be seconds, a whole number from {LEAST_S} to {MOST_S}")
    return value


def _language(fields: Mapping[str, object]) -> str:
    text = _text(fields, "language", NAME).lower()
    word = LANGUAGES.get(text, text)
    if word and not _WORD.fullmatch(word):
        known = ", ".join(LANGUAGES)
        raise Failure(Code.BAD_INPUT, f"language must be one of {known}, or Tavus's own word, as english, multilingual")
    return word


def _layers(fields: Mapping[str, object]) -> dict[str, Any]:
    """Tavus's own settings of hearing, thinking, speaking and seeing; `perception` names the model that sees."""
    value = fields.get("layers")
    if value is not None and not isinstance(value, dict):
        raise Failure(Code.BAD_INPUT, "layers must be an object: {llm: {…}, tts: {…}, stt: {…}, perception: {…}}")
    layers = cast("dict[str, object]", value or {})
    for name, layer in layers.items():
        if name not in LAYERS or not isinstance(layer, dict):
            raise Failure(Code.BAD_INPUT, f"layers has {name[:64]!r}; it may have objects named {', '.join(LAYERS)}")
    if _deeper(layers, DEEPEST):
        raise Failure(Code.BAD_INPUT, f"layers is nested more than {DEEPEST} deep")
    found = cast("dict[str, Any]", dict(layers))
    if model := ident(fields, "perception"):
        found["perception"] = {**found.get("perception", {}), "perception_model": model}
    return found


def _deeper(value: object, most: int) -> bool:
    """Whether objects and lists lie in each other more than so deep."""
    if not isinstance(value, dict | list):
        return False
    inside = cast("list[object]", list(value.values()) if isinstance(value, dict) else value)  # pyright: ignore[reportUnknownMemberType, reportUnknownArgumentType]  JSON
    return not most or any(_deeper(each, most - 1) for each in inside)


def schema(fields: tuple[str, ...]) -> dict[str, Any]:
    """The body for the API's description."""
    kinds = {"max_duration": "integer", "record": "boolean", "test": "boolean", "layers": "object"}
    return {"type": "object", "properties": {name: {"type": kinds.get(name, "string")} for name in fields}}
