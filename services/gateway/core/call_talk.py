"""The talk of a call: what is heard becomes a turn, a turn is answered, a voice may interrupt the answer."""

from collections.abc import Sequence
from dataclasses import dataclass

from services.contract.asr import Transcribed, VoiceBegan
from services.contract.failure import Code, Failed, Failure
from services.contract.gateway import Mark
from services.contract.ingest import TurnRequested
from services.gateway.core import call_words as words
from services.gateway.core.call_ear import Do, Ear
from services.gateway.core.call_said import Said, Saying
from services.gateway.core.call_turn import OPENING, SILENCE, Position, Spoken, said
from services.gateway.core.call_voice import Mouth
from services.gateway.core.call_words import Ask, Config, Effect, File, Hear, Interrupt, Menu, Order, Purge, Say, Tell
from services.gateway.core.ports import Entry

PATIENCE_MS = 40_000
"""A turn of which nothing new came for so long is ended."""
DEAF_MS = 1_000
"""After a frame of the microphone could not be written, the next ones are not tried for so long."""
_SILENT = (Code.ENGINE_SILENT, "nothing came of the answer for too long; say it again")


@dataclass(frozen=True)
class Asked:
    """A turn that was asked for and has not begun."""

    key: str
    text: str
    """What the client said, or ''."""
    at_ms: int


class Talk:
    """One client's talk. Times are Unix milliseconds."""

    def __init__(self, session: str, menu: Menu, config: Config) -> None:
        self.config = config
        self.at_sample = 0
        """Where the microphone goes on."""
        self._session = session
        self._menu = menu
        self._mouth = Mouth(config)
        self._ear = Ear(menu.backchannels)
        self._asked: Asked | None = None
        self._past = False
        """What is folded happened before this client came."""
        self._told = Said()
        self._deaf_ms = 0

    @property
    def turn(self) -> str:
        """The turn that is being answered, or else the last one; '' before the first."""
        return self._mouth.turn

    @property
    def _answering(self) -> bool:
        return self._mouth.busy or self._asked is not None

    def busy(self, now_ms: int) -> bool:
        """Whether the client is being answered, or still plays an answer."""
        return self._answering or self._mouth.clock.playing(now_ms)

    def configure(self, config: Config) -> None:
        """The client wants the turns that follow like this."""
        self.config = self._mouth.config = config

    def learn(self, kept: Sequence[Entry], now_ms: int) -> list[Effect]:
        """Nothing of what was is sent; what is still being answered is ended: no stale tail."""
        self._past = True
        for entry in kept:
            self.fold(entry, now_ms)
        self._past = False
        self._told.forget()
        cut: list[Effect] = [Interrupt("disconnect")] if self._mouth.busy else []
        self._mouth.forget()
        return cut

    def go_on(self, position: Position, no: int) -> None:
        """The client has everything up to there, in the turn of that number."""
        self._mouth.go_on(position, no)

    def catch_up(self, kept: Sequence[Entry], now_ms: int) -> list[Effect]:
        """What the client lacks; what was said last and nobody asked for is asked for."""
        self._past = True
        effects = [effect for entry in kept for effect in self.fold(entry, now_ms)]
        self._past = False
        return [*effects, *self._answer(self._told.take(), now_ms)]

    def fold(self, entry: Entry, now_ms: int) -> list[Effect]:
        """The session says something."""
        message = entry.message
        match message:
            case VoiceBegan(at_sample=at_sample):
                self._told.began(at_sample, now_ms)
                return [] if self._past else self._voice(message, now_ms)
            case Transcribed(final=False):
                self._told.heard(now_ms)
                return [] if self._past else self._partial(message, now_ms)
            case Transcribed():
                return self._transcribed(message, entry.ms, now_ms)
            case Failed(turn=""):
                return [] if self._past else self._misheard(message)
            case _:
                spoken = self._begun(message) if isinstance(message, TurnRequested) else None
                downs = self._mouth.feed(entry.ms, message, entry.blob, now_ms, spoken)
                if any(isinstance(down, Purge) for down in downs):
                    self._ear.forget()
                return [*downs]

    def hear(self, pcm: bytes, now_ms: int) -> list[Effect]:
        """The client's microphone. While it is answered only a client that may interrupt is listened to."""
        if not pcm or now_ms < self._deaf_ms or (self._answering and not self.config.interrupt):
            return []
        at, self.at_sample = self.at_sample, self.at_sample + len(pcm) // 2
        language = self.config.language or self._menu.personas[self.config.persona]
        do = self._ear.frame(at, pcm, now_ms) if self.config.interrupt else Do.NOTHING
        return [Hear(at, pcm, language), *self._do(do, now_ms)]

    def typed(self, text: str, now_ms: int) -> list[Effect]:
        """A turn that is not spoken; it ends what is being said."""
        stop = self.stop("client", now_ms) if self.busy(now_ms) else []
        return [*stop, *self._ask("", text, now_ms)]

    def open(self, now_ms: int) -> list[Effect]:
        """The persona speaks first, if it does so and the client lets it, in a call in which nothing was said yet."""
        text = self._menu.opens.get(self.config.persona, "") if self.config.opening else ""
        if not text or self.config.prompt or self._mouth.last_no:
            return []
        return self._ask(f"{self._session}-{now_ms}{OPENING}", text, now_ms)

    def mark(self, mark: Mark, now_ms: int) -> list[Effect]:
        """How far the client has played."""
        self._mouth.clock.mark(mark, now_ms)
        return [Tell(mark)] if mark.turn and mark.turn == self.turn else []

    def stop(self, by: str, now_ms: int) -> list[Effect]:
        """Nothing more of the answer is heard; what was heard is told, unless the client tells it itself."""
        clock = self._mouth.clock
        unknown = clock.turn == self.turn and not clock.told
        heard = [Tell(clock.position(now_ms))] if unknown and clock.playing(now_ms) else []
        self._ear.forget()
        return [*self._mouth.stop(now_ms), *heard, Interrupt(by)]

    def tick(self, now_ms: int) -> list[Effect]:
        """Time has passed."""
        effects = self._do(self._ear.tick(now_ms), now_ms)
        if self._mouth.news_ms and now_ms - self._mouth.news_ms >= PATIENCE_MS:
            effects += [*self._mouth.give_up(*_SILENT, now_ms), Interrupt("deadline")]
        if self._asked and now_ms - self._asked.at_ms >= PATIENCE_MS:
            effects += [*self._unanswered(self._asked.text, Failure(*_SILENT)), Interrupt("deadline")]
        return [*effects, *self._answer(self._told.tick(now_ms), now_ms)]

    def due_ms(self) -> int | None:
        """When `tick` has something to do; None: never."""
        due = (
            self._ear.due_ms(),
            self._told.due_ms(),
            self._mouth.news_ms + PATIENCE_MS if self._mouth.news_ms else None,
            self._asked.at_ms + PATIENCE_MS if self._asked else None,
        )
        return min((each for each in due if each is not None), default=None)

    def refused(self, order: Order, failure: Failure, now_ms: int) -> list[Effect]:
        """An order could not be carried out. A turn that is silenced was asked for, and is ended on the session."""
        match order:
            case Ask(key=key) if failure.code is not Code.BUSY and self._asked and self._asked.key == key:
                return self._unanswered(self._asked.text, failure)
            case Hear():
                self._deaf_ms = now_ms + DEAF_MS
                return [words.failed(failure)]
            case Tell():
                return []
            case _:
                return [words.failed(failure)]

    def _begun(self, request: TurnRequested) -> Spoken | None:
        """The turn was asked for, by whomever; when what it answers was said."""
        if self._asked and self._asked.key in request.causes:
            self._asked = None
        return self._told.asked(request.causes)

    def _voice(self, message: VoiceBegan, now_ms: int) -> list[Effect]:
        effects: list[Effect] = [Say("VoiceBegan", {"utterance": message.utterance})] if self.config.own else []
        if self.config.interrupt and self.busy(now_ms):
            clock = self._mouth.clock
            playing = now_ms - clock.began_ms if clock.playing(now_ms) else None
            effects += self._do(self._ear.began(message.utterance, message.at_sample, now_ms, playing), now_ms)
        return effects

    def _partial(self, message: Transcribed, now_ms: int) -> list[Effect]:
        text = message.text.strip()[: words.TEXT]
        effects: list[Effect] = [Say("PartialSentence", {"sentence": text})] if self.config.own and text else []
        if self.config.interrupt and self.busy(now_ms):
            effects += self._do(self._ear.words(message.utterance, text, final=False), now_ms)
        return effects

    def _transcribed(self, message: Transcribed, ms: int, now_ms: int) -> list[Effect]:
        """An utterance is complete, told once or more often."""
        if not self._told.ended(message, ms):
            return []
        text = "" if message.speaker == "rejected" else message.text.strip()[: words.TEXT]
        self.at_sample = max(self.at_sample, message.until_sample)
        if not self._past:
            return self._said(message.utterance, text, now_ms)
        if text and not self._menu.backchannels.only(text):
            self._told.add(message.utterance, text, now_ms)
        return []

    def _said(self, utterance: str, text: str, now_ms: int) -> list[Effect]:
        """A turn as soon as the caller has stopped, unless there is nothing to answer."""
        effects: list[Effect] = []
        if self.busy(now_ms) if self.config.interrupt else self._answering:
            do = self._ear.words(utterance, text, final=True) if self.config.interrupt else Do.NOTHING
            effects = self._do(do, now_ms)
            text = text if do is Do.STOP else ""
        self._told.add(utterance, text, now_ms)
        return [*effects, *self._answer(self._told.take(), now_ms)]

    def _answer(self, saying: Saying | None, now_ms: int) -> list[Effect]:
        return self._ask(saying.key, saying.text, now_ms) if saying else []

    def _ask(self, key: str, text: str, now_ms: int) -> list[Effect]:
        no = self._mouth.last_no = max(now_ms, self._mouth.last_no + 1)
        key = key or f"{self._session}-{no}"
        self._asked = Asked(key, said([key], text), now_ms)
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
                return self.stop("speech", now_ms)
            case _:
                return []

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
