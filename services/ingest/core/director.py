"""Who has the floor of a room: what is on air, what is prepared, and what becomes of what was paid for."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Literal, Self

from services.contract.ingest import Decided, Lane, LedgerRow, LiveEvent
from services.ingest.core.items import Air, Choice, Decide, Drop, Order, Request, Settle, Turn
from services.ingest.core.lanes import Lanes
from services.ingest.core.policy import Policy
from services.runtime.law import FINAL

STOPPED = {"operator": "stopped", "silence": "silenced"}
"""Who interrupted → the reason that is written down."""


class Director:
    """The floor of one room: at most one turn on air and one prepared.

    Each method tells what happened and returns the orders that follow, to be carried out one after the other. A turn
    is over when all its sentences are made and their sound has been heard by the clock; nobody waits for a listener.
    Each paid event that was received is settled exactly once. All times are Unix milliseconds.
    """

    def __init__(self, room: str, policy: Policy, now_ms: int) -> None:
        self.lanes = Lanes(policy, room)
        self._policy = policy
        self._asked: Choice | None = None
        self._air: Turn | None = None
        self._next: Turn | None = None
        self._epoch = 0
        self._stopped = "interrupted"
        self._passed = 0
        self._began_ms = self._quiet_ms = now_ms

    @classmethod
    def restore(
        cls,
        room: str,
        policy: Policy,
        now_ms: int,
        *,
        rows: Iterable[LedgerRow],
        waiting: Iterable[LiveEvent],
        floor: Iterable[Turn],
    ) -> tuple[Self, list[Order]]:
        """The director after a restart, from the ledger, the waiting events and the turns as `floor` gave them.

        What is on air goes on and a prepared paid turn is kept; other prepared turns are dropped and their comments
        wait again. A paid event in a row that is not final waits, whether or not it is among `waiting`. The sound of
        the turn on air is told again (`sounded`, `ended`), then `tick`.
        """
        director = cls(room, policy, now_ms)
        rows = {row.event.id: row for row in rows}.values()
        final = {row.event.id: row.event for row in rows if row.state in FINAL}
        wait = {row.event.id: row.event for row in rows} | {event.id: event for event in waiting}
        orders: list[Order] = []
        for turn in sorted(floor, key=lambda turn: turn.no):
            if not director._resume(turn, final):
                orders.append(Drop(turn, "restarted"))
                wait |= {event.id: event for event in turn.choice.events if turn.choice.reason != "idle"}
        held = {event.id: event for turn in director.floor for event in turn.choice.events}
        for event in (final | held).values():
            director.lanes.remember(event)
        for event in wait.values():
            if event.id not in final and event.id not in held:
                orders += director._tell(director.lanes.add(event, now_ms))
        return director, orders

    @property
    def floor(self) -> tuple[Turn, ...]:
        """What is on air, then what is prepared: to be kept for `restore` whenever it has changed."""
        return tuple(turn for turn in (self._air, self._next) if turn)

    @property
    def done(self) -> bool:
        """Whether nothing waits, nothing is asked for and nothing has the floor."""
        return not self.floor and self._asked is None and not len(self.lanes)

    def received(self, event: LiveEvent, now_ms: int) -> list[Order]:
        """Something happened in the room."""
        return [*self._tell(self.lanes.add(event, now_ms)), *self.tick(now_ms)]

    def requested(self, turn_id: str, no: int, epoch: int, choice: Choice, now_ms: int) -> list[Order]:
        """The turn that was asked for is accepted under this id, number and epoch."""
        self._asked = None
        self._next = Turn(turn_id, no, epoch, choice, now_ms)
        name = "idle" if choice.reason == "idle" else "answer"
        decided = Decided(choice=name, reason=choice.reason, turn=turn_id, event=choice.item.first)
        return [Decide(decided), *self.tick(now_ms)]

    def refused(self, choice: Choice, now_ms: int) -> list[Order]:
        """The turn that was asked for could not be had; it is asked for again at the next `tick`."""
        self._asked = None
        return self._return(choice, now_ms)

    def sounded(self, turn_id: str, audio_ms: int, now_ms: int) -> None:
        """So much more of the turn's sound was made; on air it is heard from now on, or after what was made before."""
        if turn := self._find(turn_id):
            until = max(turn.floor_until_ms, now_ms) + audio_ms if turn.aired_ms else 0
            self._keep(replace(turn, audio_ms=turn.audio_ms + audio_ms, floor_until_ms=until))

    def ended(self, turn_id: str, *, spoken: bool, now_ms: int, whole: bool = True) -> list[Order]:
        """All sentences of the turn are terminal; `spoken`: at least one of them has sound; `whole`: none was skipped."""
        if (turn := self._find(turn_id)) is None:
            return []
        if not spoken:
            return [*self._give_up(turn, "nothing_spoken", now_ms), *self.tick(now_ms)]
        self._keep(replace(turn, ended=True, whole=whole))
        return self.tick(now_ms)

    def failed(self, turn_id: str, reason: str, now_ms: int) -> list[Order]:
        """The turn will not end by itself; `reason` is a stable word."""
        if (turn := self._find(turn_id)) is None:
            return []
        return [*self._give_up(turn, reason, now_ms), *self.tick(now_ms)]

    def interrupted(self, epoch: int, now_ms: int, by: str = "") -> list[Order]:
        """All turns below `epoch` are over: what was heard in part is settled, what was not is answered again.

        Whoever stops a host does not want the rest of it to be said after all: a paid message that was heard in part
        is failed, with the reason that it was stopped by an operator or by the kill switch.
        """
        if epoch > self._epoch:
            self._epoch, self._stopped = epoch, STOPPED.get(by, "interrupted")
        return self.tick(now_ms)

    def tick(self, now_ms: int) -> list[Order]:
        """Time has passed. Called at least every 100 ms, so that the floor is not left empty for longer."""
        orders = self._tell(self.lanes.expire(now_ms))
        orders += self._clear_air(now_ms)
        orders += self._clear_next(now_ms)
        orders += self._air_next(now_ms)
        orders += self._ask_next(now_ms)
        return orders

    def _clear_air(self, now_ms: int) -> list[Order]:
        if (turn := self._air) is None:
            return []
        if turn.epoch < self._epoch:
            return self._give_up(turn, self._stopped, now_ms)
        if turn.ended and now_ms >= turn.floor_until_ms:
            self._leave(turn, now_ms)
            return self._settle(turn, "spoken", "" if turn.whole else "in_part")
        return self._give_up(turn, "gave_up", now_ms) if self._is_stuck(turn, now_ms) else []

    def _clear_next(self, now_ms: int) -> list[Order]:
        if (turn := self._next) is None:
            return []
        if reason := self._objection(turn, now_ms):
            self._next = None
            return [Drop(turn, reason), *self._return(turn.choice, now_ms)]
        return self._give_up(turn, "gave_up", now_ms) if self._is_stuck(turn, now_ms) else []

    def _objection(self, turn: Turn, now_ms: int) -> str:
        """Why a prepared turn is not aired; a comment whose time has come makes way for nobody."""
        item, lane = turn.choice.item, turn.choice.lane
        if turn.epoch < self._epoch:
            return self._stopped
        if self.lanes.is_withdrawn(item):
            return "withdrawn"
        if self.lanes.is_stale(item, now_ms):
            return "stale"
        its_time = lane is Lane.CHAT and self._passed >= self._policy.chat_every
        return "preempted" if lane is not Lane.PAID and not its_time and self.lanes.paid_waits(now_ms) else ""

    def _is_stuck(self, turn: Turn, now_ms: int) -> bool:
        """Whether nothing new came of it for too long; a prepared turn that has begun to speak waits for the floor.

        A restored director counts from its restore: what kept the one before from working kept the turn from going on.
        """
        idle_ms = now_ms - max(turn.requested_ms, turn.floor_until_ms, self._began_ms)
        prepared = turn.audio_ms and not turn.aired_ms
        return not turn.ended and not prepared and idle_ms >= self._policy.turn_limit_ms

    def _air_next(self, now_ms: int) -> list[Order]:
        if self._next is None or self._air is not None:
            return []
        until = now_ms + self._next.audio_ms if self._next.audio_ms else 0
        self._air, self._next = replace(self._next, aired_ms=now_ms, floor_until_ms=until), None
        choice = self._air.choice
        if choice.lane is Lane.CHAT:
            self._passed = 0
        elif choice.lane is Lane.PAID and self.lanes.chat_waits(now_ms):
            self._passed += 1
        return [Air(self._air), Decide(Decided(choice="air", reason=choice.reason, turn=self._air.id))]

    def _ask_next(self, now_ms: int) -> list[Order]:
        if self._next or self._asked:
            return []
        ahead_ms, quiet_ms = 0, now_ms - self._quiet_ms
        if self._air:
            known_ms = max(0, self._air.floor_until_ms - now_ms)
            ahead_ms, quiet_ms = known_ms if self._air.ended else max(known_ms, self._policy.ahead_ms), -1
        self._asked = self.lanes.choose(now_ms, self._passed, ahead_ms=ahead_ms, quiet_ms=quiet_ms)
        return [Request(self._asked)] if self._asked else []

    def _give_up(self, turn: Turn, reason: str, now_ms: int) -> list[Order]:
        """Take the floor from a turn. What was paid for is answered again once, unless a part of it was heard."""
        self._leave(turn, now_ms)
        heard = turn.aired_ms and turn.audio_ms
        if turn.choice.lane is Lane.PAID and not heard and not turn.choice.item.tries:
            again = replace(turn.choice, item=replace(turn.choice.item, tries=1))
            return [Drop(turn, reason), *self._return(again, now_ms)]
        return [Drop(turn, reason), *self._settle(turn, "failed", reason)]

    def _settle(self, turn: Turn, state: Literal["spoken", "failed"], reason: str = "") -> list[Order]:
        """The end of a turn: in the log each of its events is settled, as `spoken`, or dropped; a topic as `idle`."""
        paid = turn.choice.lane is Lane.PAID
        orders: list[Order] = [Settle(turn.choice.events, state, reason, turn.id)] if paid else []
        name = "settle" if state == "spoken" else "drop"
        word = reason or ("idle" if turn.choice.reason == "idle" else state)
        return [
            *orders,
            *(Decide(Decided(choice=name, reason=word, turn=turn.id, event=event)) for event in turn.choice.events),
        ]

    def _tell(self, told: list[Decided]) -> list[Order]:
        """Log these; a paid event that does not wait any more by them, and is no duplicate, is settled."""
        orders: list[Order] = []
        for one in told:
            orders.append(Decide(one))
            event = one.event
            if event and event.lane is Lane.PAID and one.choice in ("drop", "withdraw") and one.reason != "duplicate":
                orders.append(Settle((event,), "withdrawn", one.reason))
        return orders

    def _return(self, choice: Choice, now_ms: int) -> list[Order]:
        return [] if choice.reason == "idle" else self._tell(self.lanes.put_back(choice.item, now_ms))

    def _resume(self, turn: Turn, final: dict[str, LiveEvent]) -> bool:
        """Whether the turn keeps its place."""
        left = tuple(event for event in turn.choice.events if event.id not in final)
        if not left or not (turn.aired_ms or turn.choice.lane is Lane.PAID):
            return False
        choice = replace(turn.choice, item=replace(turn.choice.item, events=left))
        self._keep(replace(turn, choice=choice, audio_ms=0, floor_until_ms=turn.aired_ms, ended=False))
        return True

    def _find(self, turn_id: str) -> Turn | None:
        return next((turn for turn in self.floor if turn.id == turn_id), None)

    def _keep(self, turn: Turn) -> None:
        if turn.aired_ms:
            self._air = turn
        else:
            self._next = turn

    def _leave(self, turn: Turn, now_ms: int) -> None:
        if turn.aired_ms:
            self._air, self._quiet_ms = None, now_ms
        else:
            self._next = None
