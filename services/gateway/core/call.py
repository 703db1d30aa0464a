"""A live call as a state machine: what the client and the session say, and time, become frames and orders."""

from collections.abc import Sequence
from dataclasses import dataclass

from services.contract.asr import Transcribed, VoiceBegan
from services.contract.failure import Code, Failed, Failure
from services.contract.gateway import CallJoined
from services.contract.ingest import TurnRequested
from services.gateway.core import call_rates
from services.gateway.core import call_words as words
from services.gateway.core.call_ear import Do, Ear
from services.gateway.core.call_voice import SILENCE, Mouth, Position, Spoken
from services.gateway.core.call_words import Ask, Close, Config, Effect, File, Hear, Interrupt, Menu, Order, Say, Tell
from services.gateway.core.frame import Request
from services.gateway.core.ports import Entry

PATIENCE_MS = 40_000
"""A turn of which nothing new came for so long is ended."""
SETTLE_MS = 1_000
"""A client that comes back says within this time how it wants the call."""
DEAF_MS = 1_000
"""After a frame of the microphone could not be written, the next ones are not tried for so long."""
HEARD = 64
"""Utterances whose times are remembered."""


@dataclass(frozen=True)
class Asked:
    """A turn that was asked for and has not begun."""

    key: str
    text: str
    at_ms: int


class Call:
    """One client's connection to one call."""

    def __init__(self, session: str, connection: str, menu: Menu, resume: Position | None = None) -> None:
        self.config = Config(menu.persona, onair=resume is not None)
        self.session = session
        self.ready = False
        """How the call stands is known, and the client was told so."""
        self._connection = connection
        self._menu = menu
        self._resume = resume
        self._mouth = Mouth(self.config)
        self._ear = Ear(menu.backchannels)
        self._sounds, self._requests = call_rates.sound_bucket(), call_rates.request_bucket()
        self._asked: Asked | None = None
        self._at_sample = 0
        self._until = -1
        self._early: list[bytes] = []
        self._held: list[Entry] | None = None
        self._held_ms = 0
        self._past = False
        self._unasked: Transcribed | None = None
        self._heard: dict[str, Spoken] = {}
        self._deaf_ms = 0
        self._configured = False
        self._mine = False

    def busy(self, now_ms: int) -> bool:
        """Whether the client is being answered, or still plays an answer."""
        return self._answering or self._mouth.clock.playing(now_ms)

    @property
    def _answering(self) -> bool:
        return self._mouth.busy or self._asked is not None

    def joined(self, kept: Sequence[Entry], at_sample: int, now_ms: int) -> list[Effect]:
        """The call stands like this, by what its session holds; its microphone goes on at that sample."""
        self._at_sample, self.ready = at_sample, True
        found = self._found(kept)
        told = {"resumed": found is not None} if self._resume else {}
        effects: list[Effect] = [Say("BotReady", {"session": self.session.removeprefix("call-"), **told})]
        for entry in kept:
            effects += self._join(entry.message) if isinstance(entry.message, CallJoined) else []
        if found and self._resume:
            self._mouth.go_on(self._resume, found.no)
            self._held, self._held_ms = list(kept), now_ms + (0 if self._configured else SETTLE_MS)
            effects += self._settled(now_ms)
        else:
            effects += self._learn(kept, now_ms)
        for pcm in self._early:
            effects += self._hear(pcm, now_ms)
        self._early = []
        return effects

    def event(self, request: Request, now_ms: int) -> list[Effect]:
        """The client wants something."""
        if not self._requests.take(call_rates.MARK if request.event == "PlaybackMark" else 1, now_ms):
            return self._too_much(f"more than {call_rates.REQUESTS} requests a minute")
        try:
            return self._wanted(request, now_ms)
        except Failure as failure:
            return [words.failed(failure)]

    def sound(self, pcm: bytes, now_ms: int) -> list[Effect]:
        """The client's microphone. While it is answered only a client that may interrupt is listened to."""
        if not self._sounds.take(len(pcm) // 2, now_ms):
            return self._too_much(f"sound faster than {call_rates.SPEED} × real time")
        if not self.ready:
            self._early.append(pcm)
            return []
        return self._hear(pcm, now_ms)

    def told(self, entry: Entry, now_ms: int) -> list[Effect]:
        """The session says something."""
        if isinstance(entry.message, CallJoined):
            return self._join(entry.message)
        if self._held is not None:
            self._held.append(entry)
            return []
        return self._fold(entry, now_ms)

    def tick(self, now_ms: int) -> list[Effect]:
        """Time has passed."""
        effects = self._settled(now_ms)
        effects += self._do(self._ear.tick(now_ms), now_ms)
        if self._mouth.news_ms and now_ms - self._mouth.news_ms >= PATIENCE_MS:
            effects += [*self._mouth.give_up(*_SILENT, now_ms), Interrupt("deadline")]
        if self._asked and now_ms - self._asked.at_ms >= PATIENCE_MS:
            effects += [*self._unanswered(self._asked.text, Failure(*_SILENT)), Interrupt("deadline")]
        return effects

    def due_ms(self) -> int | None:
        """When `tick` has something to do, unless something else comes before."""
        due = [
            self._held_ms if self._held is not None else None,
            self._ear.due_ms(),
            self._mouth.news_ms + PATIENCE_MS if self._mouth.news_ms else None,
            self._asked.at_ms + PATIENCE_MS if self._asked else None,
        ]
        return min((each for each in due if each is not None), default=None)

    def refused(self, order: Order, failure: Failure, now_ms: int) -> list[Effect]:
        """An order could not be carried out."""
        match order:
            case Ask(key=key, text=text) if failure.code is not Code.BUSY and self._asked and self._asked.key == key:
                return self._unanswered(text, failure)
            case Hear():
                self._deaf_ms = now_ms + DEAF_MS
                return [words.failed(failure)]
            case Tell():
                return []
            case _:
                return [words.failed(failure)]

    def _wanted(self, request: Request, now_ms: int) -> list[Effect]:
        """What the request asks for; raises Failure BAD_INPUT."""
        match request.event:
            case "BotUpdateConfig":
                self.config = self._mouth.config = words.configured(self.config, self._menu, request.payload)
                self._configured, self._held_ms = True, now_ms
                return self._settled(now_ms)
            case "TextInput":
                return self._typed(words.typed(request.payload), now_ms)
            case "StopSpeaking":
                return self._stop("client", now_ms) if self.busy(now_ms) else []
            case "PlaybackMark":
                mark = words.mark(request.payload, self._mouth.turn)
                self._mouth.clock.mark(mark, now_ms)
                return [Tell(mark)] if mark.turn and mark.turn == self._mouth.turn else []
            case _:
                raise Failure(Code.BAD_INPUT, f"there is no event {request.event[:64]!r}")

    def _join(self, message: CallJoined) -> list[Effect]:
        """Whoever joined last has the call."""
        mine = message.connection == self._connection
        taken = self._mine and not mine
        self._mine = self._mine or mine
        return [Close(words.TAKEN, "another connection took the call")] if taken else []

    def _too_much(self, what: str) -> list[Effect]:
        return [words.error(Code.TOO_LARGE.value, f"{what}: the call is ended"), Close(words.RATE, what)]

    def _found(self, kept: Sequence[Entry]) -> TurnRequested | None:
        """The turn at which a client that comes back is."""
        turn = self._resume.turn if self._resume else ""
        requests = (entry.message for entry in kept if isinstance(entry.message, TurnRequested))
        return next((request for request in requests if request.turn == turn), None)

    def _learn(self, kept: Sequence[Entry], now_ms: int) -> list[Effect]:
        """Nothing of what was is sent; what is still being answered is ended: no stale tail."""
        self._past = True
        for entry in kept:
            self._fold(entry, now_ms)
        self._past, self._unasked = False, None
        cut: list[Effect] = [Interrupt("disconnect")] if self._mouth.busy else []
        self._mouth.forget()
        return cut

    def _settled(self, now_ms: int) -> list[Effect]:
        """Send a client that came back what it lacks, once it has said how."""
        if self._held is None or now_ms < self._held_ms:
            return []
        held, self._held, self._past = self._held, None, True
        effects = [effect for entry in held for effect in self._fold(entry, now_ms)]
        self._past = False
        if self._unasked:
            effects += self._ask(self._unasked.utterance, self._unasked.text, now_ms)
        return effects

    def _fold(self, entry: Entry, now_ms: int) -> list[Effect]:
        message = entry.message
        match message:
            case VoiceBegan():
                return [] if self._past else self._voice(message, now_ms)
            case Transcribed():
                return self._transcribed(message, entry.ms, now_ms)
            case Failed(turn=""):
                return [] if self._past else self._misheard(message)
            case TurnRequested(causes=causes):
                if self._asked and (self._asked.key in causes or self._asked.key == message.turn):
                    self._asked = None
                if self._unasked and self._unasked.utterance in causes:
                    self._unasked = None
                spoken = next((self._heard[key] for key in causes if key in self._heard), None)
                return [*self._mouth.feed(entry.ms, message, entry.blob, now_ms, spoken)]
            case _:
                return [*self._mouth.feed(entry.ms, message, entry.blob, now_ms)]

    def _hear(self, pcm: bytes, now_ms: int) -> list[Effect]:
        if not pcm or now_ms < self._deaf_ms or (self._answering and not self.config.interrupt):
            return []
        at, self._at_sample = self._at_sample, self._at_sample + len(pcm) // 2
        language = self.config.language or self._menu.personas[self.config.persona]
        heard = Hear(at, pcm, language)
        do = self._ear.frame(at, pcm, now_ms) if self.config.interrupt else Do.NOTHING
        return [heard, *self._do(do, now_ms)]

    def _voice(self, message: VoiceBegan, now_ms: int) -> list[Effect]:
        effects: list[Effect] = [Say("VoiceBegan", {"utterance": message.utterance})] if self.config.own else []
        if self.config.interrupt and self.busy(now_ms):
            clock = self._mouth.clock
            playing = now_ms - clock.began_ms if clock.playing(now_ms) else None
            effects += self._do(self._ear.began(message.utterance, message.at_sample, now_ms, playing), now_ms)
        return effects

    def _transcribed(self, message: Transcribed, ms: int, now_ms: int) -> list[Effect]:
        text = "" if message.speaker == "rejected" else message.text.strip()[: words.TEXT]
        if not message.final:
            return [] if self._past else self._partial(message.utterance, text, now_ms)
        if message.until_sample <= self._until:
            return []
        self._until, self._at_sample = message.until_sample, max(self._at_sample, message.until_sample)
        self._heard[message.utterance] = Spoken(message.ended_ms, ms)
        if len(self._heard) > HEARD:
            del self._heard[next(iter(self._heard))]
        if self._past:
            wanted = text and not self._menu.backchannels.only(text)
            self._unasked = message.model_copy(update={"text": text}) if wanted else self._unasked
            return []
        return self._said(message.utterance, text, now_ms)

    def _partial(self, utterance: str, text: str, now_ms: int) -> list[Effect]:
        effects: list[Effect] = [Say("PartialSentence", {"sentence": text})] if self.config.own and text else []
        if self.config.interrupt and self.busy(now_ms):
            effects += self._do(self._ear.words(utterance, text, final=False), now_ms)
        return effects

    def _said(self, utterance: str, text: str, now_ms: int) -> list[Effect]:
        """An utterance is complete: a turn, unless there is nothing to answer."""
        if not (self.busy(now_ms) if self.config.interrupt else self._answering):
            return self._ask(utterance, text, now_ms) if text else []
        if not self.config.interrupt:
            return []
        do = self._ear.words(utterance, text, final=True)
        return [*self._do(do, now_ms), *(self._ask(utterance, text, now_ms) if do is Do.STOP else [])]

    def _typed(self, text: str, now_ms: int) -> list[Effect]:
        stop = self._stop("client", now_ms) if self.busy(now_ms) else []
        return [*stop, *self._ask("", text, now_ms)]

    def _ask(self, utterance: str, text: str, now_ms: int) -> list[Effect]:
        no = self._mouth.last_no = max(now_ms, self._mouth.last_no + 1)
        key = utterance or f"{self.session}-{no}"
        self._asked = Asked(key, text, now_ms)
        return [Ask(key, text, no, self.config, now_ms)]

    def _do(self, do: Do, now_ms: int) -> list[Effect]:
        clock = self._mouth.clock
        match do:
            case Do.PAUSE:
                clock.pause(now_ms)
                return [Say("PlaybackPause")]
            case Do.RESUME:
                clock.resume(now_ms)
                return [Say("PlaybackResume")]
            case Do.STOP:
                return self._stop("speech", now_ms)
            case Do.NOTHING:
                return []

    def _stop(self, by: str, now_ms: int) -> list[Effect]:
        """Nothing more of the answer is heard; what was heard is told, unless the client tells it itself."""
        clock = self._mouth.clock
        mark: list[Effect] = []
        if clock.playing(now_ms) and not clock.told:
            mark = [Tell(clock.position(now_ms))]
        self._ear.forget()
        return [*self._mouth.stop(now_ms), *mark, Interrupt(by)]

    def _misheard(self, failed: Failed) -> list[Effect]:
        """What was said could not be recognised: there is no turn."""
        told: list[Effect] = [words.error(failed.code.value, failed.sentence)]
        if self._answering:
            return told
        return [*told, *([] if self.config.own else [File(SILENCE)]), Say("TTSDone")]

    def _unanswered(self, text: str, failure: Failure) -> list[Effect]:
        """A turn that could not be asked for is over at once."""
        self._asked = None
        silence = [] if self.config.own else [File(SILENCE)]
        return [Say("SentenceRecognized", {"sentence": text}), words.failed(failure), *silence, Say("TTSDone")]


_SILENT = (Code.ENGINE_SILENT, "nothing came of the answer for too long; say it again")
