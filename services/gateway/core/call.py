"""A live call as a state machine: what the client and the session say, and time, become frames and orders."""

from collections.abc import Sequence

from services.contract.failure import Code, Failure
from services.contract.gateway import CallJoined
from services.contract.ingest import TurnRequested
from services.gateway.core import call_rates
from services.gateway.core import call_words as words
from services.gateway.core.call_talk import Talk
from services.gateway.core.call_turn import Position
from services.gateway.core.call_words import Close, Effect, Menu, Order, Say
from services.gateway.core.frame import Request
from services.gateway.core.ports import Entry

SETTLE_MS = 1_000
"""A client that comes back says within this time how it wants the call."""
IDLE_MS = 600_000
"""A call in which nothing at all happens is kept so long."""


class Call:
    """One client's connection to one call; `joined` comes first. Times are Unix milliseconds."""

    def __init__(self, session: str, connection: str, menu: Menu, resume: Position | None = None) -> None:
        self.session = session
        self._connection = connection
        self._menu = menu
        self._resume = resume
        self._talk = Talk(session, menu, words.Config(menu.persona, onair=resume is not None))
        self._sounds, self._requests = call_rates.sound_bucket(), call_rates.request_bucket()
        self._held: list[Entry] | None = None
        """What waits for a client that came back to say how it wants the call."""
        self._held_ms = 0
        self._moved_ms = 0
        """When something happened last."""
        self._mine = False

    def busy(self, now_ms: int) -> bool:
        """Whether the client is being answered, or still plays an answer."""
        return self._held is not None or self._talk.busy(now_ms)

    def joined(self, kept: Sequence[Entry], at_sample: int, now_ms: int) -> list[Effect]:
        """The call stands like this, by what its session holds; its microphone goes on at that sample."""
        self._talk.at_sample, self._moved_ms = at_sample, now_ms
        found = self._found(kept)
        told = {"resumed": found is not None} if self._resume else {}
        effects: list[Effect] = [Say("BotReady", {"session": self.session.removeprefix("call-"), **told})]
        for entry in kept:
            effects += self._join(entry.message) if isinstance(entry.message, CallJoined) else []
        if found and self._resume:
            self._talk.go_on(self._resume, found.no)
            self._held, self._held_ms = list(kept), now_ms + SETTLE_MS
            return effects
        return [*effects, *self._talk.learn(kept, now_ms)]

    def event(self, request: Request, now_ms: int) -> list[Effect]:
        """The client wants something."""
        self._moved_ms = now_ms
        if not self._requests.take(call_rates.MARK if request.event == "PlaybackMark" else 1, now_ms):
            return _too_much(f"more than {call_rates.REQUESTS} requests a minute")
        try:
            return self._wanted(request, now_ms)
        except Failure as failure:
            return [words.failed(failure)]

    def sound(self, pcm: bytes, now_ms: int) -> list[Effect]:
        """The client's microphone."""
        self._moved_ms = now_ms
        if not self._sounds.take(len(pcm) // 2, now_ms):
            return _too_much(f"sound faster than {call_rates.SPEED} × real time")
        return self._talk.hear(pcm, now_ms)

    def told(self, entry: Entry, now_ms: int) -> list[Effect]:
        """The session says something."""
        self._moved_ms = now_ms
        if isinstance(entry.message, CallJoined):
            return self._join(entry.message)
        if self._held is not None:
            self._held.append(entry)
            return []
        return self._talk.fold(entry, now_ms)

    def tick(self, now_ms: int) -> list[Effect]:
        """Time has passed."""
        late = self._settle(now_ms) if self._held is not None and now_ms >= self._held_ms else []
        return [*late, *self._talk.tick(now_ms), *self._idle(now_ms)]

    def due_ms(self) -> int:
        """When `tick` has something to do, unless something else comes before."""
        held = self._held_ms if self._held is not None else None
        return min(due for due in (held, self._talk.due_ms(), self._moved_ms + IDLE_MS) if due is not None)

    def refused(self, order: Order, failure: Failure, now_ms: int) -> list[Effect]:
        """An order could not be carried out."""
        return self._talk.refused(order, failure, now_ms)

    def _wanted(self, request: Request, now_ms: int) -> list[Effect]:
        """What the request asks for; raises Failure BAD_INPUT."""
        talk, payload = self._talk, request.payload
        if request.event == "BotUpdateConfig":
            talk.configure(words.configured(talk.config, self._menu, payload))
            return [*self._settle(now_ms), *talk.open(now_ms)]
        settled = self._settle(now_ms)
        match request.event:
            case "TextInput":
                return [*settled, *talk.typed(words.typed(payload), now_ms)]
            case "StopSpeaking":
                return [*settled, *(talk.stop("client", now_ms) if talk.busy(now_ms) else [])]
            case "PlaybackMark":
                return [*settled, *talk.mark(words.mark(payload, talk.turn), now_ms)]
            case _:
                unknown = Failure(Code.BAD_INPUT, f"there is no event {request.event[:64]!r}")
                return [*settled, words.failed(unknown)]

    def _settle(self, now_ms: int) -> list[Effect]:
        """Send a client that came back what it lacks."""
        held, self._held = self._held, None
        return self._talk.catch_up(held, now_ms) if held is not None else []

    def _idle(self, now_ms: int) -> list[Effect]:
        """A call in which nothing happens is ended; the client may call again."""
        if now_ms - self._moved_ms < IDLE_MS:
            return []
        playing, self._moved_ms = self.busy(now_ms), now_ms
        why = f"nothing was said for {IDLE_MS // 60_000} minutes: the call is ended; connect again to go on"
        return [] if playing else [words.error(Code.EXPIRED.value, why), Close(words.RATE, why)]

    def _join(self, message: CallJoined) -> list[Effect]:
        """Whoever joined last has the call."""
        mine = message.connection == self._connection
        taken = self._mine and not mine
        self._mine = self._mine or mine
        return [Close(words.TAKEN, "another connection took the call")] if taken else []

    def _found(self, kept: Sequence[Entry]) -> TurnRequested | None:
        """The turn at which a client that comes back is."""
        turn = self._resume.turn if self._resume else ""
        requests = (entry.message for entry in kept if isinstance(entry.message, TurnRequested))
        return next((request for request in requests if request.turn == turn), None)


def _too_much(what: str) -> list[Effect]:
    return [words.error(Code.TOO_LARGE.value, f"{what}: the call is ended"), Close(words.RATE, what)]
