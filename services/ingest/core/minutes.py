"""What lasts of a show: of each turn that ended what was heard of it, and when."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from services.contract.ingest import Decided, Heard, Lane, TurnDropped, TurnSettled
from services.contract.message import Message
from services.contract.tts import AIR_RATE
from services.ingest.core.items import Decide, Order, Recent
from services.runtime.timeline import Caption, Floor, Lost, Out, Sound, Timeline

ENDS = ("settle", "drop")
PLAIN = ("spoken", "idle")
"""Reasons of a turn that was spoken to its end."""
TURNS = 16
"""Turns whose captions are remembered: one is on air, and one may be prepared."""


@dataclass
class _Said:
    text: str
    begin: int
    end: int


@dataclass
class _Turn:
    begun: Caption | None = None
    said: list[_Said] = field(default_factory=list[_Said])


class Minutes:
    """Feed it a room's session; it knows what was heard of a turn when that turn is settled.

    Its clock begins at `origin_ms`, Unix milliseconds; an entry of the session from before then counts as of then.
    """

    def __init__(self, origin_ms: int) -> None:
        self._timeline = Timeline()
        self._floor = Floor(AIR_RATE, origin_ms)
        self._turns: dict[str, _Turn] = {}
        self._latest = ""
        self._settled = Recent(TURNS)

    def feed(self, ms: int, message: Message, blob: bytes = b"") -> None:
        """One entry of the session, with the broker's time of it."""
        epoch, ms = self._timeline.epoch, max(ms, self._floor.origin_ms)
        outs = self._timeline.feed(message, blob)
        if self._timeline.epoch > epoch or (isinstance(message, TurnDropped) and message.turn == self._latest):
            self._cut(ms)
        for out in outs:
            self._hear(ms, out)

    def _hear(self, ms: int, out: Out) -> None:
        match out:
            case Caption(turn=turn):
                self._turn(turn).begun = out
            case Sound(turn=turn, pcm=pcm):
                self._lay(ms, turn, len(pcm) // 2)
            case Lost(turn=turn, samples=samples):
                self._lay(ms, turn, samples)
            case _:
                pass

    def _turn(self, turn: str) -> _Turn:
        if turn not in self._turns and len(self._turns) >= TURNS:
            del self._turns[next(iter(self._turns))]
        return self._turns.setdefault(turn, _Turn())

    def _lay(self, ms: int, name: str, samples: int) -> None:
        begin, turn, self._latest = self._floor.place(samples, ms), self._turn(name), name
        if turn.begun:
            turn.said.append(_Said(turn.begun.text, begin, begin))
            turn.begun = None
        for said in turn.said[-1:]:
            said.end = begin + samples

    def _cut(self, ms: int) -> None:
        """What lay ahead is not heard."""
        self._floor.cut(ms)
        now = self._floor.heard_until
        for turn in self._turns.values():
            turn.said = [_Said(said.text, said.begin, min(said.end, now)) for said in turn.said if said.begin < now]
            turn.begun = None

    def ended(self, orders: Sequence[Order], at_ms: int) -> list[TurnSettled]:
        """The records of the turns that end by these orders, each once. What lay ahead of one that is dropped is not heard."""
        ends: dict[str, list[Decided]] = {}
        for order in orders:
            if isinstance(order, Decide) and order.decided.turn and order.decided.choice in ENDS:
                ends.setdefault(order.decided.turn, []).append(order.decided)
        new = [told for turn, told in ends.items() if self._settled.add(turn)]
        if any(told[0].choice == "drop" and told[0].turn == self._latest for told in new):
            self._cut(at_ms)
        return [self._record(told, at_ms) for told in new]

    def _record(self, told: Sequence[Decided], at_ms: int) -> TurnSettled:
        """`told` are the decisions about each event that the turn answers."""
        end, said = told[0], self._turns.pop(told[0].turn, _Turn()).said
        spoken, event = end.choice == "settle", end.event
        return TurnSettled(
            turn=end.turn,
            lane=event.lane if event else Lane.CHAT,
            event=event,
            amount_fen=sum(each.event.amount_fen for each in told if each.event),
            state="spoken" if spoken else "failed",
            reason="" if spoken and end.reason in PLAIN else end.reason,
            at_ms=at_ms,
            captions=tuple(
                Heard(text=each.text, from_ms=self._ms(each.begin), to_ms=self._ms(each.end)) for each in said
            ),
        )

    def _ms(self, at: int) -> int:
        return self._floor.origin_ms + at * 1_000 // AIR_RATE
