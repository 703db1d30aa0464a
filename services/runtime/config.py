"""What `onair.yaml` may say: personas, voices, engines, rooms. A key that is not here is an error that names its line."""

from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, Field, ValidationError, field_validator, model_validator

from services.contract.failure import Code, Failure
from services.runtime.engines import EXACT, TTS_ENGINES, Engines, Options, Single, listed, one_of
from services.runtime.lines import line_of, unread
from services.runtime.words import BACKCHANNELS

SOURCES = ("api", "replay")
"""`api`: events come only by POST."""
COMING = ("bilibili", "douyin", "schedule")
"""Sources that this version does not know yet."""
FOREVER = "forever"
LEAST_KEPT_S = 3_600
LEAST_HELD_S = 60


class Part(BaseModel):
    """A mapping in the file: exact keys."""

    model_config = EXACT


class Template(Part):
    """What is put to the model and what is spoken; `{gpt}` is the answer."""

    ask: str = "{text}"
    say: str = "{gpt}"


class Persona(Part):
    """Who is on air."""

    language: Literal["zh", "en"] = "zh"
    prompt: str | dict[str, str] = ""
    """One text, or one for each language."""
    opens: str = Field(default="", max_length=1_000)
    """What is put to the model where the persona speaks first, in `/talk` and `onair talk`; empty: it waits."""
    spoken: Literal["all", "quoted"] = "all"
    quotes: Literal["ascii", "any"] = "ascii"
    voice: str
    templates: dict[str, Template] = {}

    def prompt_in(self, language: str) -> str:
        """The prompt in that language, or the persona's own."""
        if isinstance(self.prompt, str):
            return self.prompt
        return self.prompt.get(language) or self.prompt.get(self.language) or next(iter(self.prompt.values()), "")


class Voice(Part):
    """Engines in order of preference, and what belongs to the voice whoever speaks it."""

    engines: list[Single] = Field(min_length=1)
    references: dict[str, dict[str, str]] = {}
    """Emotion → clip id and its text."""
    pronounce: dict[str, str] = {}

    @field_validator("engines")
    @classmethod
    def _known(cls, engines: list[Single]) -> list[Single]:
        for engine in engines:
            one_of(engine, TTS_ENGINES, "tts engine")
        return engines


class Deadlines(Part):
    """How long an event may wait before its answer begins."""

    paid: str = "60s"
    chat: str = "15s"
    welcome: str = "8s"


class Direction(Part):
    """How the director chooses."""

    chat_lane: int = Field(default=15, ge=1, le=1_000)
    welcome_lane: int = Field(default=5, ge=0, le=1_000)
    deadlines: Deadlines = Deadlines()
    chat_every: int = Field(default=5, ge=1)
    """After so many paid answers in a row a waiting comment is answered."""


class Room(Part):
    """A live room: who is on air there and where its events come from."""

    persona: str
    sources: list[dict[str, Any]] = Field(default=[], max_length=16)
    director: Direction = Direction()

    @field_validator("sources")
    @classmethod
    def _known(cls, sources: list[dict[str, Any]]) -> list[dict[str, Any]]:
        for source in sources:
            if wrong := [name for name in source if name in COMING]:
                raise ValueError(f"the source {wrong[0]!r} is not in this version yet; known: {listed(SOURCES)}")
            if "daily" in source:
                raise ValueError("a conversation of Daily is no room's source: ask /ws or `onair listen` for its id")
            one_of(source, SOURCES, "source")
            if source.get("api"):
                raise ValueError("the source 'api' has no options; write {api: {}}")
        return sources

    @model_validator(mode="after")
    def _fed(self) -> "Room":
        if not self.sources:
            known, coming = listed(SOURCES), listed(COMING)
            raise ValueError(f"the room has no source; give one of {known} (not in this version: {coming})")
        return self


class Network(Part):
    """How the outside is reached."""

    proxy: str = ""
    """http:// or socks5:// for all engines and platforms."""
    proxies: dict[str, str] = {}
    """The same for one engine; empty: direct."""

    def proxy_of(self, engine: str) -> str:
        """The proxy of that engine."""
        return self.proxies.get(engine, self.proxy)


class Gateway(Part):
    """Where clients come in."""

    port: int = Field(default=8000, ge=0, le=65_535)
    extra_ports: list[Annotated[int, Field(ge=1, le=65_535)]] = Field(default=[], max_length=8)
    """Ports besides, where clients look that were made for another server."""
    persona: str = "friend"
    """Who answers chats and calls."""
    backchannels: dict[str, list[Annotated[str, Field(max_length=32)]]] = BACKCHANNELS
    """What a caller says to show that he listens: it does not interrupt an answer."""


class Listening(Part):
    """When a caller has said what he wanted to say."""

    end_of_turn_ms: int = Field(default=500, ge=300, le=1_500)
    """Silence that ends an utterance."""
    adaptive: bool = True
    """Wait shorter or longer, from 300 to 1500 ms, as the words so far and the speaker's own pauses suggest."""
    ahead: bool = True
    """Ask the engine at the first likely end, 250 ms into a silence; in vain where the caller goes on."""


class Daily(Part):
    """Conversations of Daily, as Tavus holds them, that listeners ask for by their id."""

    domain: str = Field(default="tavus", pattern=r"^[A-Za-z0-9-]{1,63}$")
    """They are held at https://<domain>.daily.co/<id>."""
    answer: bool = False
    """What a user says in one that is listened to is answered by the persona."""
    by: Literal["echo", "respond"] = "echo"
    """The replica says the answer as it is, or takes it for what a user said."""
    persona: str = ""
    """Who answers; empty: gateway.persona."""


class Keep(Part):
    """How long is kept what piles up: a duration of an hour at least, as 12h or 30d, or `forever`."""

    ledger: str = "365d"
    """What became of what was paid for; only what is settled is ever forgotten."""
    shows: str = "30d"
    """What was said when, and how much was dropped why."""
    recordings: str = "30d"
    audio: str = "7d"
    reports: str = "90d"
    """Files of these folders of ONAIR_DATA, by the time of their last change."""

    @field_validator("*")
    @classmethod
    def _long_enough(cls, text: str) -> str:
        try:
            enough = text == FOREVER or seconds(text) >= LEAST_KEPT_S
        except Failure as failure:
            raise ValueError(f"{failure.sentence}, or forever") from failure
        if not enough:
            raise ValueError(f"{text} is too short to be meant; keep it for 1h at least")
        return text

    def ms(self, what: str) -> int | None:
        """Milliseconds that `what` is kept; None: for ever."""
        text = str(getattr(self, what))
        return None if text == FOREVER else int(seconds(text) * 1_000)


class Tavus(Part):
    """Conversations at Tavus."""

    forget_after: str = "1h"
    """One that OnAir created and that has lasted so long is ended by the hourly job, whoever is in it."""

    @field_validator("forget_after")
    @classmethod
    def _long_enough(cls, text: str) -> str:
        try:
            enough = seconds(text) >= LEAST_HELD_S
        except Failure as failure:
            raise ValueError(failure.sentence) from failure
        if not enough:
            raise ValueError(f"{text} is too short to be meant; give a conversation 1m at least")
        return text

    @property
    def forget_ms(self) -> int:
        """The same in milliseconds."""
        return int(seconds(self.forget_after) * 1_000)


class Config(Part):
    """The whole file."""

    personas: dict[str, Persona] = {}
    voices: dict[str, Voice] = {}
    engines: Engines = Engines()
    rooms: dict[Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")], Room] = {}
    network: Network = Network()
    gateway: Gateway = Gateway()
    asr: Listening = Listening()
    daily: Daily = Daily()
    avatar: dict[str, Options] = {}
    keep: Keep = Keep()
    tavus: Tavus = Tavus()

    @model_validator(mode="after")
    def _refer(self) -> "Config":
        for name, persona in self.personas.items():
            if persona.voice not in self.voices:
                raise ValueError(f"persona {name!r} names the voice {persona.voice!r}; known: {listed(self.voices)}")
        for name, room in self.rooms.items():
            if room.persona not in self.personas:
                raise ValueError(f"room {name!r} names the persona {room.persona!r}; known: {listed(self.personas)}")
        if self.daily.answer and self.answers_daily not in self.personas:
            raise ValueError(f"daily names the persona {self.answers_daily!r}; known: {listed(self.personas)}")
        return self

    @property
    def answers_daily(self) -> str:
        """The persona that answers in conversations of Daily."""
        return self.daily.persona or self.gateway.persona


def load(path: Path) -> Config:
    """The configuration in that file; raises Failure(BAD_CONFIG) which names the file, the line and the remedy."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise Failure(Code.BAD_CONFIG, f"cannot read {path}: {error}; name another file by ONAIR_CONFIG") from error
    try:
        tree = yaml.compose(text, Loader=yaml.SafeLoader)
        data: object = yaml.safe_load(text) or {}
    except yaml.YAMLError as error:
        raise Failure(Code.BAD_CONFIG, f"{path} is not YAML: {unread(error)}") from None
    try:
        return Config.model_validate(data)
    except ValidationError as error:
        first = error.errors()[0]
        loc = [str(part) for part in first["loc"]]
        where = f"{path}:{line_of(tree, loc)}"
        what = "unknown key" if first["type"] == "extra_forbidden" else first["msg"].removeprefix("Value error, ")
        raise Failure(Code.BAD_CONFIG, f"{where}: {'.'.join(loc) or 'the file'}: {what}") from error


def demo_of(config: Config, recording: str) -> Config:
    """The same with the room `demo`, which plays that recording lap after lap; unchanged if it has no persona."""
    if not (persona := "host" if "host" in config.personas else next(iter(config.personas), "")):
        return config
    room = Room(persona=persona, sources=[{"replay": {"path": recording}}])
    return config.model_copy(update={"rooms": {"demo": room}})


def seconds(text: str) -> float:
    """A duration as `15s`, `500ms`, `10m`, `30d`; raises Failure(BAD_CONFIG)."""
    for unit, factor in (("ms", 0.001), ("s", 1.0), ("m", 60.0), ("h", 3_600.0), ("d", 86_400.0)):
        number = text.removesuffix(unit)
        if number != text and number.replace(".", "", 1).isdigit():
            return float(number) * factor
    raise Failure(Code.BAD_CONFIG, f"{text!r} is no duration; write 500ms, 15s, 10m, 1h or 30d")
