"""What the live view shows, folded from a session's entries: comments and their fates, the turn on air, counters. Pure."""

from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from onair.show import Layout, Line, Spoken
from services.contract.failure import Failed
from services.contract.ingest import Decided, Kind, Lane, LiveEvent, TurnAired, TurnDropped, TurnRequested
from services.contract.message import Message

COMMENTS = 100
"""Comments that are kept; a terminal shows fewer."""
TROUBLES = 20
RECENT_MS = 30_000
"""How long a trouble is shown that does not come again."""
BEFORE = "waiting"


@dataclass(frozen=True)
class Comment:
    """One event and what has become of it."""

    event: LiveEvent
    fate: str = BEFORE
    """waiting, answering, on air, answered, dropped, withdrawn, merged."""
    reason: str = ""


@dataclass(frozen=True)
class Choice:
    """A turn, and why it is answered."""

    request: TurnRequested
    reason: str = ""
    event: LiveEvent | None = None
    """The first of those that it answers."""


@dataclass
class Trouble:
    """Something that went wrong, told once however often it happens."""

    sentence: str
    last_ms: int
    count: int = 1


@dataclass
class View:
    """Feed it a session's entries; a screen shows it at any time. Times are Unix milliseconds."""

    address: str
    began_ms: int
    layout: Layout | None = None
    comments: dict[str, Comment] = field(default_factory=dict[str, Comment])
    choices: dict[str, Choice] = field(default_factory=dict[str, Choice])
    aired: str = ""
    received: int = 0
    answered: int = 0
    dropped: Counter[str] = field(default_factory=Counter[str])
    paid: Counter[str] = field(default_factory=Counter[str])
    """received, spoken, withdrawn, failed."""
    troubles: deque[Trouble] = field(default_factory=lambda: deque[Trouble](maxlen=TROUBLES))
    health: dict[str, str] = field(default_factory=dict[str, str])
    """Part → '' if it is well, otherwise what it says is wrong."""

    def feed(self, ms: int, message: Message, blob: bytes = b"") -> list[Line]:
        """Take in one entry of the session; the lines of the show that follow from it."""
        self.layout = self.layout or Layout(ms)
        lines = [effect for effect in self.layout.feed(ms, message, blob) if isinstance(effect, dict)]
        self.layout.forget()
        match message:
            case LiveEvent():
                self._event(message)
            case Decided():
                self._decided(message)
            case TurnRequested(turn=turn):
                self.choices[turn] = Choice(message)
                while len(self.choices) > COMMENTS:
                    del self.choices[next(iter(self.choices))]
            case TurnAired(turn=turn):
                self.aired = turn
                self._fate(turn, "on air")
            case TurnDropped(turn=turn):
                self._fate(turn, BEFORE)
            case Failed(sentence=sentence):
                self.trouble(ms, sentence)
            case _:
                pass
        return lines

    def trouble(self, ms: int, sentence: str) -> None:
        """Something went wrong; the same sentence again only counts."""
        known = next((trouble for trouble in self.troubles if trouble.sentence == sentence), None)
        if known:
            known.last_ms, known.count = ms, known.count + 1
        else:
            self.troubles.append(Trouble(sentence, ms))

    def wrong(self, now_ms: int) -> list[str]:
        """What is wrong now, the gravest first: parts that are not well, then what happened lately."""
        ill = [f"{part}: {sentence}" for part, sentence in self.health.items() if sentence]
        late = sorted((t for t in self.troubles if now_ms - t.last_ms < RECENT_MS), key=lambda t: -t.last_ms)
        return ill + [t.sentence + (f" (×{t.count})" if t.count > 1 else "") for t in late]

    def now_aired(self) -> Choice | None:
        """The turn that has the floor, or had it last."""
        return self.choices.get(self.aired)

    def prepared(self) -> Choice | None:
        """The turn that is made ready while another is heard."""
        latest = next(reversed(self.choices.values()), None)
        on_air = self.now_aired()
        if latest is None or (on_air and latest.request.no <= on_air.request.no):
            return None
        return latest

    def said(self, now_ms: int) -> Sequence[Spoken]:
        """Sentences whose sound has begun by then on the show's clock, the oldest first."""
        if (layout := self.layout) is None:
            return ()
        at = (now_ms - layout.origin_ms) * layout.rate // 1_000
        return [
            spoken for spoken in layout.spoken if spoken.latency and spoken.begin <= at and spoken.end > spoken.begin
        ]

    def waiting_paid(self) -> int:
        """Paid events that are not settled yet."""
        return self.paid["received"] - self.paid["spoken"] - self.paid["withdrawn"] - self.paid["failed"]

    def _event(self, event: LiveEvent) -> None:
        if not _counts(event):
            return
        self.received += 1
        self.paid["received"] += event.lane is Lane.PAID
        self.comments.setdefault(event.id, Comment(event))
        while len(self.comments) > COMMENTS:
            del self.comments[next(iter(self.comments))]

    def _decided(self, decided: Decided) -> None:
        event, choice = decided.event, decided.choice
        if choice in {"answer", "idle"} and decided.turn in self.choices:
            self.choices[decided.turn] = replace(self.choices[decided.turn], reason=decided.reason, event=event)
            self._fate(decided.turn, "answering", decided.reason)
        if event is None or not _counts(event):
            return
        if choice == "settle":
            self.answered += 1
            self.paid["spoken"] += event.lane is Lane.PAID
            self._mark(event.id, "answered", "")
        elif choice == "merge":
            self._mark(event.id, "merged", decided.reason)
        elif choice in {"drop", "withdraw"}:
            self._lost(event, decided)

    def _lost(self, event: LiveEvent, decided: Decided) -> None:
        self.dropped[decided.reason] += 1
        if decided.reason == "duplicate":
            return
        if event.lane is Lane.PAID:
            self._unpaid(decided)
        self._mark(event.id, "withdrawn" if decided.choice == "withdraw" else "dropped", decided.reason)

    def _unpaid(self, decided: Decided) -> None:
        """As the ledger counts: a platform's summary of a combo is no purchase beside its gifts."""
        if decided.reason == "combo":
            self.paid["received"] -= 1
        else:
            self.paid["withdrawn" if decided.choice == "withdraw" or not decided.turn else "failed"] += 1

    def _fate(self, turn: str, fate: str, reason: str = "") -> None:
        if choice := self.choices.get(turn):
            for cause in choice.request.causes:
                self._mark(cause, fate, reason or choice.reason)

    def _mark(self, id_: str, fate: str, reason: str) -> None:
        if known := self.comments.get(id_):
            self.comments[id_] = replace(known, fate=fate, reason=reason)


def _counts(event: LiveEvent) -> bool:
    """The room's own news and a withdrawal are nothing that somebody waits for; an idle topic neither."""
    return event.lane is not Lane.CONTROL and event.kind not in {Kind.WITHDRAWAL, Kind.SCHEDULE}
