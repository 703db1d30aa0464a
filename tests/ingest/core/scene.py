"""A director with a shell that gets every turn accepted, and its orders in short, made for tests."""

from collections.abc import Sequence

from services.contract.ingest import LiveEvent
from services.ingest.core.director import Director
from services.ingest.core.items import Air, Choice, Decide, Drop, Order, Request, Settle
from services.ingest.core.policy import Policy
from tests.ingest.core.made import ROOM, T0

S = 1_000


def told(orders: Sequence[Order]) -> list[tuple[str, ...]]:
    """The orders without the log, in short."""
    short: list[tuple[str, ...]] = []
    for order in orders:
        match order:
            case Request(choice):
                short.append(("request", *choice.item.ids, choice.reason))
            case Air(turn):
                short.append(("air", turn.id))
            case Drop(turn, reason):
                short.append(("drop", turn.id, reason))
            case Settle(events, state, reason):
                short.append(("settle", *(one.id for one in events), state, reason))
            case Decide():
                pass
    return short


def logged(orders: Sequence[Order]) -> list[tuple[str, str, str]]:
    return [(o.decided.choice, o.decided.reason, o.decided.turn) for o in orders if isinstance(o, Decide)]


class Scene:
    """A director, and a shell that gets every turn accepted at once."""

    def __init__(self, policy: Policy | None = None) -> None:
        self.director = Director(ROOM, policy or Policy(), T0)
        self.no = 0

    def carry(self, orders: list[Order], now: int) -> list[Order]:
        """Carry out the requests; all orders, and those that followed."""
        for order in orders:
            if isinstance(order, Request):
                self.no += 1
                return [
                    *orders,
                    *self.carry(self.director.requested(f"t{self.no}", self.no, 0, order.choice, now), now),
                ]
        return orders

    def hear(self, what: LiveEvent, now: int = T0) -> list[tuple[str, ...]]:
        """Something happens in the room."""
        return told(self.carry(self.director.received(what, now), now))

    def tick(self, now: int) -> list[tuple[str, ...]]:
        """Time passes."""
        return told(self.carry(self.director.tick(now), now))

    def end(self, turn: str, now: int, *, spoken: bool = True, audio: int = 0) -> list[tuple[str, ...]]:
        """The turn ends with so much sound."""
        self.director.sounded(turn, audio, now)
        return told(self.carry(self.director.ended(turn, spoken=spoken, now_ms=now), now))


def choice_of(orders: Sequence[Order]) -> Choice:
    return next(order.choice for order in orders if isinstance(order, Request))
