"""A call's machine with its session and its bus played by the test."""

from dataclasses import dataclass, field
from typing import Any, cast

from services.contract.asr import Transcribed, VoiceBegan
from services.contract.gateway import CallJoined, Interrupted
from services.contract.ingest import TurnAired, TurnRequested
from services.contract.llm import AnswerEnded, SentenceReady
from services.contract.message import Message
from services.contract.tts import AIR_RATE, SpeechChunk, SpeechEnded, SpeechStarted
from services.gateway.core.backchannel import Backchannels
from services.gateway.core.call import Call
from services.gateway.core.call_turn import Position
from services.gateway.core.call_words import Ask, Chunk, Close, Effect, File, Hear, Interrupt, Menu, Purge, Say, Tell
from services.gateway.core.frame import Request
from services.gateway.core.ports import Entry

MENU = Menu(
    {"friend": "zh", "teacher": "en"}, ("anna", "ben"), "friend", Backchannels({"zh": ["嗯", "对"], "en": ["ok"]})
)
OWN = {"interrupt": True, "audio": "stream"}
LOUD, QUIET = b"\0\x20" * 1_600, bytes(3_200)
SESSION = "call-a"


@dataclass
class Scene:
    """One connection of the call; all that it sent, the session as it is on the bus."""

    call: Call = field(default_factory=lambda: Call(SESSION, "me", MENU))
    now: int = 1_000_000
    session: list[Entry] = field(default_factory=list[Entry])
    done: list[Effect] = field(default_factory=list[Effect])
    epoch: int = 0
    asked: list[Ask] = field(default_factory=list[Ask])
    keys: set[str] = field(default_factory=set[str])
    obeys: bool = True
    """The bus does what it is told at once."""

    def join(self, at_sample: int = 0) -> list[Effect]:
        self.publish(CallJoined(connection="me"), deliver=False)
        return self.do(self.call.joined(tuple(self.session), at_sample, self.now))

    def do(self, effects: list[Effect]) -> list[Effect]:
        """Note them, and do what they order."""
        told = list(effects)
        self.done += effects
        for effect in effects:
            if not self.obeys:
                break
            if isinstance(effect, Ask) and effect.key not in self.keys:
                self.keys.add(effect.key)
                self.asked.append(effect)
                told += self.request(effect)
            elif isinstance(effect, Interrupt):
                told += self.interrupt(effect.by)
            elif isinstance(effect, Tell):
                told += self.publish(effect.message)
        return told

    def request(self, ask: Ask) -> list[Effect]:
        turn = f"{SESSION}-{ask.no}"
        request = TurnRequested(
            turn=turn, no=ask.no, session=SESSION, epoch=self.epoch, kind="call", causes=(ask.key,), ask=ask.text,
            persona=ask.config.persona, requested_ms=ask.at_ms, deadline_ms=ask.at_ms + 40_000,
        )  # fmt: skip
        return self.publish(request) + self.publish(TurnAired(turn=turn, no=ask.no, epoch=self.epoch))

    def interrupt(self, by: str = "operator") -> list[Effect]:
        self.epoch += 1
        return self.publish(Interrupted(epoch=self.epoch, by=by))

    def publish(self, message: Message, blob: bytes = b"", *, deliver: bool = True) -> list[Effect]:
        entry = Entry(f"{self.now}-{len(self.session)}", self.now, message, blob)
        self.session.append(entry)
        return self.do(self.call.told(entry, self.now)) if deliver else []

    def event(self, event: str, **payload: Any) -> list[Effect]:
        return self.do(self.call.event(Request(event, payload), self.now))

    def mic(self, *frames: bytes) -> list[Effect]:
        """Frames of 100 ms in real time."""
        effects: list[Effect] = []
        for pcm in frames:
            self.now += 100
            effects += self.do(self.call.sound(pcm, self.now))
        return effects

    def wait(self, ms: int) -> list[Effect]:
        """The machine is woken as often as it wants to be."""
        until, effects = self.now + ms, list[Effect]()
        while (due := self.call.due_ms()) <= until:
            self.now = max(self.now, due)
            effects += self.do(self.call.tick(self.now))
        self.now = until
        return effects

    @property
    def place(self) -> dict[str, Any]:
        request = next(e.message for e in reversed(self.session) if isinstance(e.message, TurnRequested))
        return {"turn": request.turn, "no": request.no, "epoch": request.epoch}

    def sentence(
        self, index: int, text: str, ms: int = 0, *, over: bool = True, samples: int | None = None
    ) -> list[Effect]:
        """One sentence is spoken, in one piece."""
        place = self.place
        who: dict[str, Any] = {"turn": place["turn"], "index": index, "attempt": 1}
        effects = self.publish(
            SentenceReady(
                **place, session=SESSION, kind="call", index=index, text=text, speak=text, voice="v", deadline_ms=0
            )
        )
        pcm = bytes([index + 1, 1]) * (ms * AIR_RATE // 1_000 if samples is None else samples)
        if pcm:
            effects += self.publish(SpeechStarted(**place, index=index, attempt=1, text=text))
            effects += self.publish(SpeechChunk(**who, chunk=0, sample_offset=0), pcm)
        return effects + (self.publish(SpeechEnded(**who, samples=len(pcm) // 2)) if over else [])

    def answered(self, count: int, reason: str = "done") -> list[Effect]:
        said = {"turn": self.place["turn"], "count": count, "text": "x", "reason": reason}
        return self.publish(AnswerEnded.model_validate(said))

    def began(self, at: int) -> list[Effect]:
        return self.publish(VoiceBegan(utterance=f"{SESSION}-{at}", at_sample=at))

    def heard(self, at: int, text: str, until: int = 0, *, final: bool = True, **more: Any) -> list[Effect]:
        return self.publish(
            Transcribed(utterance=f"{SESSION}-{at}", text=text, final=final, until_sample=until, **more)
        )


def inside(made: Scene) -> Any:
    """The talk, for what no client sees of it."""
    return cast("Any", made.call)._talk


def scene(**config: Any) -> Scene:
    """Joined, and configured like this."""
    made = Scene()
    made.join()
    if config:
        made.event("BotUpdateConfig", **config)
    made.done.clear()
    return made


def back(old: Scene, resume: Position | None = None) -> Scene:
    """The same call's next connection, elsewhere."""
    call = Call(SESSION, "again", MENU, resume)
    new = Scene(call, old.now, list(old.session), epoch=old.epoch, keys=set(old.keys))
    new.publish(CallJoined(connection="again"), deliver=False)
    new.do(call.joined(tuple(new.session), 0, new.now))
    return new


def words(effects: list[Effect]) -> list[str]:
    """For the eye: events by name, sound as its kind, orders in capitals."""
    return [_word(effect) for effect in effects]


def _word(effect: Effect) -> str:
    match effect:
        case Say(event=event):
            return event
        case File() | Chunk():
            return type(effect).__name__.lower()
        case Close(code=code):
            return f"close {code}"
        case Hear() | Ask() | Interrupt() | Tell() | Purge():
            return type(effect).__name__.upper()


def payload(effects: list[Effect], event: str) -> dict[str, Any]:
    """Of the first such event."""
    return next(dict(effect.payload) for effect in effects if isinstance(effect, Say) and effect.event == event)


def sounds(effects: list[Effect]) -> bytes:
    return b"".join(effect.pcm for effect in effects if isinstance(effect, File | Chunk))
