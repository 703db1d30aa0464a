"""What was written into a room and what became of each of it, with the reason: the cards of the page's queue."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from services.contract.ingest import Decided, Kind, Lane, LiveEvent, TurnAired, TurnDropped, TurnRequested
from services.contract.message import Message

State = Literal["waiting", "chosen", "on_air", "answered", "dropped", "withdrawn", "merged"]
OVER: frozenset[State] = frozenset({"answered", "dropped", "withdrawn", "merged"})
ENDS: dict[str, State] = {"drop": "dropped", "withdraw": "withdrawn", "settle": "answered", "merge": "merged"}
KEPT_OVER = 40
"""Cards that are over and still shown."""
KEPT = 400


@dataclass(frozen=True)
class Card:
    """One thing that a viewer did."""

    id: str
    kind: str
    lane: str
    source: str
    viewer: str
    text: str
    amount_fen: int
    gift: str
    count: int
    at_ms: int
    """Unix milliseconds, by the platform."""
    state: State = "waiting"
    reason: str = ""
    """The director's stable word for its last decision."""
    turn: str = ""
    """The turn that answers it."""

    def told(self) -> dict[str, Any]:
        """What the page is told: the whole card."""
        return {"type": "card", **asdict(self)}


class Queue:
    """Feed it a room's session; it says which cards are new or have changed."""

    def __init__(self) -> None:
        self._cards: dict[str, Card] = {}

    @property
    def cards(self) -> list[Card]:
        """All that are known, the oldest first."""
        return list(self._cards.values())

    def feed(self, message: Message) -> list[Card]:
        """The cards that are new or have changed because of this entry."""
        match message:
            case LiveEvent():
                changed = [] if message.id in self._cards else self._new(message)
            case TurnRequested(turn=turn, causes=causes):
                known = [card for id_ in causes if (card := self._cards.get(id_))]
                changed = [replace(card, state="chosen", turn=turn) for card in known]
            case TurnAired(turn=turn):
                changed = [replace(card, state="on_air") for card in self._of(turn)]
            case TurnDropped(turn=turn, reason=reason):
                changed = [replace(card, state="waiting", reason=reason, turn="") for card in self._of(turn)]
            case Decided():
                changed = self._decided(message)
            case _:
                changed = []
        return self._keep(changed)

    @staticmethod
    def _new(event: LiveEvent) -> list[Card]:
        """The card of an event; what is only about the room or takes something back has none."""
        if event.lane is Lane.CONTROL or event.kind is Kind.WITHDRAWAL:
            return []
        return [
            Card(
                id=event.id,
                kind=event.kind,
                lane=event.lane,
                source=event.source,
                viewer=event.viewer.name,
                text=event.text,
                amount_fen=event.amount_fen,
                gift=event.gift,
                count=event.count,
                at_ms=event.at_ms,
            )
        ]

    def _of(self, turn: str) -> list[Card]:
        return [card for card in self._cards.values() if card.turn == turn and card.state not in OVER]

    def _decided(self, decided: Decided) -> list[Card]:
        """A decision may be told before the event that it is about. A duplicate changes nothing."""
        if decided.event is None or decided.reason == "duplicate" or decided.choice in {"air", "idle"}:
            return []
        known = self._cards.get(decided.event.id)
        cards = [known] if known else self._new(decided.event)
        state = ENDS.get(decided.choice, "chosen")
        return [replace(card, state=state, reason=decided.reason, turn=decided.turn or card.turn) for card in cards]

    def _keep(self, changed: Iterable[Card]) -> list[Card]:
        """Remember them; the oldest that are over are forgotten first."""
        told = list(changed)
        self._cards.update((card.id, card) for card in told)
        over = [card.id for card in self._cards.values() if card.state in OVER]
        surplus = max(len(over) - KEPT_OVER, 0)
        for id_ in [*over[:surplus], *list(self._cards)[: max(0, len(self._cards) - surplus - KEPT)]]:
            self._cards.pop(id_, None)
        return told
