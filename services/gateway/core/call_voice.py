"""The speaking side of a call: what the session says becomes what its client is sent."""

from collections.abc import Mapping
from typing import Any

from services.contract.failure import Code, Failed
from services.contract.gateway import Interrupted
from services.contract.ingest import TurnDropped, TurnRequested
from services.contract.llm import AnswerEnded, SentenceReady
from services.contract.message import Message
from services.contract.tts import AIR_RATE, SpeechStarted
from services.gateway.core import call_words as words
from services.gateway.core.call_clock import Clock
from services.gateway.core.call_turn import SILENCE, Position, Spoken, Turn, latency, said
from services.gateway.core.call_words import Chunk, Config, Down, File, Purge, Say
from services.runtime.timeline import Caption, Closed, Cut, Lost, Out, SentenceOver, Sound, Timeline

FILE_BYTES = 15 * AIR_RATE * 2
"""A longer sentence comes in several files."""
ENDINGS = {
    "expired": (Code.EXPIRED, "nobody began to answer in time; is the service llm running?"),
    "failed": (Code.ENGINE_BROKEN, "the answer failed; say it again"),
}


class Mouth:
    """One client's view of the turns of a call. Each feeding gives what is sent to it, in order."""

    def __init__(self, config: Config) -> None:
        self.config = config
        """Of the turns that begin from now on."""
        self.clock = Clock()
        self.last_no = 0
        self.position: Position | None = None
        """Where a client that came back goes on: what lies before is not sent."""
        self._from_no = 0
        self._timeline = Timeline()
        self._turn: Turn | None = None
        self._waiting: list[tuple[TurnRequested, Spoken | None]] = []
        self._now_ms = 0
        self._last: TurnRequested | None = None

    @property
    def turn(self) -> str:
        """The turn that is being answered, or else the last one; '' before the first."""
        request = self._turn.request if self._turn else self._last
        return request.turn if request else ""

    @property
    def busy(self) -> bool:
        """Whether a turn is being answered."""
        return self._turn is not None

    @property
    def news_ms(self) -> int:
        """When something new of the turn came; 0: there is none."""
        return self._turn.news_ms if self._turn else 0

    def go_on(self, position: Position, no: int) -> None:
        """The client has everything up to there; `no` is the turn's."""
        self.position, self._from_no = position, no

    def forget(self) -> None:
        """Nothing of what is being answered is sent."""
        self._turn, self._waiting = None, []
        self.clock.stop()

    def feed(self, ms: int, message: Message, blob: bytes, now_ms: int, spoken: Spoken | None = None) -> list[Down]:
        """What the client is sent because of this entry, which was written at `ms`."""
        self._now_ms, downs = now_ms, list[Down]()
        if isinstance(message, TurnRequested):
            self.last_no = max(self.last_no, message.no)
            downs += self._request(message, spoken)
        self._note(ms, message)
        self._prune(message)
        if isinstance(message, Failed) and self._turn and message.turn == self._turn.request.turn:
            downs += self._complain(message.code.value, message.sentence)
        for out in self._timeline.feed(message, blob):
            downs += self._hear(out)
        return downs + self._ended_by(message)

    def stop(self, now_ms: int) -> list[Down]:
        """The client hears nothing more of what there is."""
        self._now_ms, self._waiting = now_ms, []
        return self._cut()

    def give_up(self, code: Code, sentence: str, now_ms: int) -> list[Down]:
        """The turn ends here, for that reason."""
        self._now_ms = now_ms
        return [*self._complain(code.value, sentence), *self._end(self._turn)] if self._turn else []

    def _request(self, request: TurnRequested, spoken: Spoken | None) -> list[Down]:
        known = [each.turn for each, _ in self._waiting]
        if request.turn in known or request.turn == self.turn or request.epoch < self._timeline.epoch:
            return []
        self._waiting.append((request, spoken))
        return [] if self._turn else self._next()

    def _next(self) -> list[Down]:
        """The next turn begins."""
        if not self._waiting:
            return []
        request, spoken = self._waiting.pop(0)
        turn = self._turn = Turn(request, self.config, spoken, self._now_ms)
        if request.no < self._from_no:
            turn.first = 1 << 31
        if self.position and request.no == self._from_no:
            turn.first, turn.samples = self.position.index, self.position.samples
        took = {"took_ms": max(0, spoken.recognised_ms - spoken.ended_ms)} if spoken and spoken.ended_ms else {}
        own = {"turn": request.turn, **took}
        if request.no <= self._from_no:
            return []
        return [self._say("SentenceRecognized", {"sentence": said(request.causes, request.ask)}, own)]

    def _note(self, ms: int, message: Message) -> None:
        """Remember texts, times and the end: a sentence without sound has no other source for its own text."""
        turn = self._turn
        if turn is None or getattr(message, "turn", "") != turn.request.turn:
            return
        turn.news_ms = self._now_ms
        match message:
            case SentenceReady() | SpeechStarted():
                turn.texts[message.index] = message.text
                turn.sentence_ms = turn.sentence_ms or ms
            case AnswerEnded():
                turn.reason = message.reason
            case _:
                pass

    def _hear(self, out: Out) -> list[Down]:
        turn = self._turn
        if turn is None or out.turn != turn.request.turn:
            return []
        match out:
            case Caption(index=index, text=text):
                turn.texts[index] = text
            case Sound():
                return self._sound(turn, out)
            case Lost(index=index) if index == turn.started and turn.config.stream:
                turn.started = -1  # the next sound is announced with its place
            case SentenceOver():
                return self._over(turn, out)
            case Closed():
                return self._end(turn)
            case Cut():
                return self._cut()
            case _:
                pass
        return []

    def _sound(self, turn: Turn, out: Sound) -> list[Down]:
        """What the client lacks of it."""
        has = turn.samples if out.index == turn.first else 0
        skip = max(0, has - out.offset) * 2
        if out.index < turn.first or skip >= len(out.pcm):
            return []
        pcm, turn.reached = out.pcm[skip:], out.offset + len(out.pcm) // 2
        if turn.config.stream:
            return [
                *self._start(turn, out.index, turn.reached - len(pcm) // 2),
                self._sent(turn, out.index, Chunk(pcm)),
            ]
        turn.pcm += pcm
        return self._file(turn, out.index) if len(turn.pcm) >= FILE_BYTES else []

    def _file(self, turn: Turn, index: int) -> list[Down]:
        pcm, turn.pcm = bytes(turn.pcm), bytearray()
        return [*self._start(turn, index, turn.reached - len(pcm) // 2), self._sent(turn, index, File(pcm))]

    def _sent(self, turn: Turn, index: int, sound: Chunk | File) -> Down:
        turn.sounded, turn.audio_ms = True, turn.audio_ms or self._now_ms
        self.clock.sent(turn.request.turn, index, turn.reached, len(sound.pcm) // 2, self._now_ms)
        return sound

    def _start(self, turn: Turn, index: int, at: int) -> list[Down]:
        """Announce the sentence, unless it was."""
        if index == turn.started:
            return []
        turn.started = index
        own = {"turn": turn.request.turn, "index": index, "rate": AIR_RATE, "from_sample": at}
        return [self._say("TTSSentenceStart", {"sentence": turn.texts.get(index, "")}, own)]

    def _over(self, turn: Turn, out: SentenceOver) -> list[Down]:
        """The rest of its sound; silence for the original client where it has none."""
        if out.index < turn.first:
            return []
        downs = self._file(turn, out.index) if turn.pcm else []
        had = out.index == turn.first and turn.samples > 0
        if out.index != turn.started and not downs and not had:
            downs = self._start(turn, out.index, 0)
            downs += [] if turn.config.own else [self._sent(turn, out.index, File(SILENCE))]
        if turn.config.own:
            downs.append(Say("TTSSentenceEnd", {"turn": out.turn, "index": out.index, "samples": out.samples}))
        turn.reached = 0
        return downs

    def _complain(self, code: str, sentence: str) -> list[Down]:
        """Of each turn the first failure; the client hears something after it."""
        if self._turn is None or self._turn.complained:
            return []
        self._turn.complained, self._turn.sounded = True, False
        return [] if self._turn.request.no < self._from_no else [words.error(code, sentence)]

    def _prune(self, message: Message) -> None:
        """Turns that wait and are over before they began."""
        match message:
            case Interrupted(epoch=epoch):
                self._waiting = [(each, spoken) for each, spoken in self._waiting if each.epoch >= epoch]
            case TurnDropped(turn=turn):
                self._waiting = [(each, spoken) for each, spoken in self._waiting if each.turn != turn]
            case _:
                pass

    def _ended_by(self, message: Message) -> list[Down]:
        """What ends a turn that never had the floor, and what is still played of one that is over."""
        request = self._turn.request if self._turn else self._last
        match message:
            case Interrupted(epoch=epoch) if request and request.epoch < epoch:
                return self._cut()
            case TurnDropped(turn=turn) if self._turn and self._turn.request.turn == turn:
                return self._cut()
            case _:
                return []

    def _cut(self) -> list[Down]:
        """The client is silent at once."""
        turn, playing = self._turn, self.clock.playing(self._now_ms)
        self.clock.stop()
        if turn is None:
            heard = playing and self._last and self.config.own
            return [Purge(), Say("PlaybackStop", {"turn": self._last.turn})] if heard and self._last else []
        if turn.request.no < self._from_no:
            return self._end(turn)
        if turn.config.own:
            return [Purge(), Say("PlaybackStop", {"turn": turn.request.turn}), *self._end(turn)]
        turn.sounded = False
        return [Purge(), *self._end(turn)]

    def _end(self, turn: Turn) -> list[Down]:
        """The turn is over; the next one begins."""
        downs = self._complain(*ENDINGS[turn.reason]) if turn.reason in ENDINGS else []
        self._turn, self._last = None, turn.request
        if turn.request.no < self._from_no:
            return self._next()
        if not (turn.sounded or turn.config.own):
            downs.append(File(SILENCE))
        done = {"turn": turn.request.turn, "latency": latency(turn)} if turn.config.own else {}
        return [*downs, Say("TTSDone", done), *self._next()]

    def _say(self, event: str, payload: Mapping[str, Any], own: Mapping[str, Any]) -> Say:
        turn = self._turn
        return Say(event, {**payload, **own} if turn and turn.config.own else payload)
