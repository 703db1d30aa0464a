"""What `onair.yaml` may say of engines: which speak, think and listen, and the options of those that are servers."""

from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from services.contract.failure import Code, Failure

Kind = TypeVar("Kind", bound=BaseModel)
Options = dict[str, Any]
Single = dict[str, Options]
"""One name with its options, as `edge: {voice: …}`."""
EXACT = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)
"""A mapping in the file: exact keys. What is wrong is not repeated: a key may stand where none belongs."""
LLM_ENGINES = ("openai", "scripted")
ASR_ENGINES = ("offline", "openai", "scripted")
TTS_ENGINES = ("espeak", "openai", "scripted")


class OpenAI(BaseModel):
    """Any OpenAI-compatible endpoint; the key comes from OPENAI_API_KEY."""

    model_config = EXACT
    base_url: str = ""
    model: str = ""
    timeout: float = Field(default=10, gt=0)
    """Seconds without a token after which the model counts as silent."""
    room_timeout: float = Field(default=4, gt=0)
    """Seconds to the first token where a whole room waits for it; retries included."""


class Hearing(BaseModel):
    """An OpenAI-compatible endpoint that recognises speech."""

    model_config = EXACT
    base_url: str = ""
    """Empty: OPENAI_BASE_URL, else OpenAI's."""
    model: str = ""
    timeout: float = Field(default=10, gt=0)
    """Seconds for one utterance, a retry included."""


class Speaking(BaseModel):
    """An OpenAI-compatible endpoint that speaks; a voice names what else it wants."""

    model_config = EXACT
    base_url: str = ""
    """Empty: OPENAI_BASE_URL, else OpenAI's."""
    model: str = ""
    """For voices that name none."""
    format: Literal["pcm", "wav"] = "pcm"
    """What it is asked for: s16le at 24 kHz, or WAV of any rate."""
    timeout: float = Field(default=2.5, gt=0, le=3)
    """Seconds to the first sound, and between two pieces of it; after 3 the sentence goes to another engine anyway."""


class Engines(BaseModel):
    """Which engines speak, think and listen, with their options."""

    model_config = EXACT
    llm: Single = {}
    asr: Single = {}
    tts: Single = {}

    @model_validator(mode="after")
    def _known(self) -> "Engines":
        for found, known, what in (
            (self.llm, LLM_ENGINES, "llm engine"),
            (self.asr, ASR_ENGINES, "asr engine"),
            (self.tts, TTS_ENGINES, "tts engine"),
        ):
            for name in found:
                one_of({name: {}}, known, what)
        return self

    @property
    def openai(self) -> OpenAI:
        """Options of the llm engine `openai`; raises Failure(BAD_CONFIG), as the others."""
        return _options(OpenAI, self.llm, "llm")

    @property
    def hearing(self) -> Hearing:
        """Options of the asr engine `openai`."""
        return _options(Hearing, self.asr, "asr")

    @property
    def speaking(self) -> Speaking:
        """Options of the tts engine `openai`."""
        return _options(Speaking, self.tts, "tts")


def _options(model: type[Kind], given: Single, part: str) -> Kind:
    """Those of the server `openai`; raises Failure(BAD_CONFIG) that names the wrong one."""
    try:
        return model.model_validate(given.get("openai", {}))
    except ValidationError as error:
        first = error.errors(include_input=False)[0]
        what = "unknown key" if first["type"] == "extra_forbidden" else first["msg"]
        where = ".".join(map(str, ("engines", part, "openai", *first["loc"])))
        raise Failure(Code.BAD_CONFIG, f"{where}: {what}") from error


def one_of(entry: Options, known: tuple[str, ...], what: str) -> None:
    """Raise ValueError unless the entry is one known name with its options."""
    if len(entry) != 1:
        raise ValueError(f"a {what} is one name with its options, not {len(entry)}")
    if (name := next(iter(entry))) not in known:
        raise ValueError(f"unknown {what} {name!r}; known: {listed(known)}")


def listed(names: Any) -> str:  # noqa: ANN401  any iterable of names
    """The names in order, for people."""
    return ", ".join(sorted(str(name) for name in names)) or "none"
