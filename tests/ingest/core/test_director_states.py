"""The director through random shows: crashes, silence, jumps of time; a shell keeps what Redis would keep."""

from collections import Counter
from collections.abc import Sequence

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from services.contract.ingest import Decided, Lane, LedgerRow, LiveEvent, Viewer
from services.ingest.core.director import Director
from services.ingest.core.items import Air, Choice, Decide, Drop, Order, Request, Settle, Turn
from services.ingest.core.policy import Policy
from services.runtime.law import FINAL
from tests.ingest.core.made import ROOM, T0, chat, enter, gift, paid, withdrawal

POLICY = Policy(chat_lane=4, welcome_lane=2, chat_every=2, idle_after_ms=5_000, idle_asks=("weather", "songs"))
VIEWERS = (Viewer(id="1", name="Ann"), Viewer(id="2", name="Ben"), Viewer(name="折***"))


class Show(RuleBasedStateMachine):
    """One room; whatever happens, nothing paid is lost or settled twice, and nothing is heard twice."""

    def __init__(self) -> None:
        super().__init__()
        self.now = T0
        self.number = 0
        self.epoch = 0
        self.until = 0
        self.director = Director(ROOM, POLICY, T0)
        self.rows: dict[str, LedgerRow] = {}
        self.paid: dict[str, LiveEvent] = {}
        self.chat: dict[str, LiveEvent] = {}
        self.floor: dict[str, Turn] = {}
        self.asked: Choice | None = None
        self.heard: Counter[str] = Counter()
        self.passed = 0
        self.ids: list[str] = []

    def carry(self, orders: Sequence[Order]) -> None:
        """What the shell does with orders, on a store that survives."""
        for order in orders:
            match order:
                case Request(choice):
                    self.ask(choice)
                case Air(turn):
                    self.air(turn)
                case Drop(turn):
                    self.drop(turn)
                case Settle(events, state, reason, turn):
                    self.settle(events, state, reason, turn)
                case Decide(decided):
                    self.log(decided)
        for turn in self.director.floor:
            self.floor[turn.id] = turn

    def drop(self, turn: Turn) -> None:
        """What is dropped is silent."""
        self.floor.pop(turn.id, None)
        if turn.aired_ms:
            self.until = 0

    def ask(self, choice: Choice) -> None:
        """A choice is fair: a comment is passed over by at most `chat_every` paid answers."""
        assert self.asked is None
        assert choice.item.tries <= 1
        assert (
            choice.lane is not Lane.PAID
            or self.passed < POLICY.chat_every
            or not self.director.lanes.chat_waits(self.now)
        )
        self.asked = choice

    def air(self, turn: Turn) -> None:
        """What is aired was prepared, is fresh, and nobody has heard an answer to it."""
        assert turn.id in self.floor
        assert not [one for one in self.floor.values() if one.aired_ms]
        assert not self.director.lanes.is_stale(turn.choice.item, self.now)
        assert not self.director.lanes.is_withdrawn(turn.choice.item)
        assert self.now >= self.until
        self.until = self.now + turn.audio_ms
        if turn.choice.lane is Lane.CHAT:
            self.passed = 0
        elif turn.choice.lane is Lane.PAID and self.director.lanes.chat_waits(self.now):
            self.passed += 1
        self.floor[turn.id] = turn
        if turn.audio_ms or turn.choice.lane is not Lane.PAID:
            self.hear(turn)

    def hear(self, turn: Turn) -> None:
        """Somebody has heard the answer to these events."""
        for event in turn.choice.events:
            self.heard[event.id] += 1
            assert self.heard[event.id] == 1

    def settle(self, events: tuple[LiveEvent, ...], state: str, reason: str, turn: str) -> None:
        """A paid event is settled once, and as spoken only if it was heard."""
        self.floor.pop(turn, None)
        for event in events:
            assert self.paid.pop(event.id) is not None
            assert self.rows[event.id].state not in FINAL
            assert state != "spoken" or self.heard[event.id] == 1
            assert state != "withdrawn" or reason in {"withdrawn", "withdrawal", "combo"}
            update = {"state": state, "reason": reason, "turn": turn}
            self.rows[event.id] = self.rows[event.id].model_copy(update=update)

    def log(self, decided: Decided) -> None:
        """What is dropped or answered does not wait in the store any more."""
        if decided.choice == "settle":
            self.floor.pop(decided.turn, None)
        if decided.event and decided.choice in {"drop", "withdraw"} and decided.reason != "duplicate":
            self.chat.pop(decided.event.id, None)

    def receive(self, event: LiveEvent) -> None:
        """The store takes an event in once, then the director hears of it."""
        if event.lane is Lane.PAID and event.id not in self.rows:
            self.rows[event.id] = LedgerRow(event=event, state="received", at_ms=self.now)
            self.paid[event.id] = event
        elif event.lane is not Lane.PAID and event.id not in self.ids:
            self.chat[event.id] = event
        elif event.lane is not Lane.PAID:
            return
        self.ids.append(event.id)
        self.carry(self.director.received(event, self.now))

    def fresh(self) -> str:
        self.number += 1
        return f"e{self.number}"

    @rule(age=st.integers(0, 20_000), kind=st.sampled_from([chat, enter, paid]), yuan=st.integers(1, 500))
    def someone_writes(self, age: int, kind: object, yuan: int) -> None:
        """A comment, a viewer who comes in, a super chat."""
        at_ms = self.now - age
        if kind is paid:
            self.receive(paid(self.fresh(), at_ms, yuan=yuan))
        else:
            self.receive((chat if kind is chat else enter)(self.fresh(), at_ms))

    @rule(
        combo=st.sampled_from(["c1", "c2"]),
        viewer=st.sampled_from(VIEWERS),
        lane=st.sampled_from([Lane.PAID, Lane.CHAT]),
        summary=st.booleans(),
    )
    def someone_gives(self, combo: str, viewer: Viewer, lane: Lane, *, summary: bool) -> None:
        """A gift of a combo, or its summary."""
        id_ = f"bilibili:combo:{combo}:{self.fresh()}" if summary else self.fresh()
        self.receive(gift(id_, self.now, combo=combo, lane=lane, viewer=viewer))

    @rule(what=st.sampled_from(["withdraw", "repeat", "interrupt", "restart", "down"]), data=st.data())
    def trouble(self, what: str, data: st.DataObject) -> None:
        """Something is taken back, perhaps before it comes; comes twice; the operator, or a crash, cuts in."""
        if what == "withdraw":
            ids = [*self.paid, *self.chat, f"e{self.number + 2}"]
            self.receive(withdrawal(self.fresh(), data.draw(st.sampled_from(ids)), at_ms=self.now))
        elif what == "repeat" and self.rows:
            self.receive(self.rows[data.draw(st.sampled_from(sorted(self.rows)))].event)
        elif what == "interrupt":
            self.epoch += 1
            self.carry(self.director.interrupted(self.epoch, self.now))
        else:
            self.restart(60_000 if what == "down" else 0)
        self.restock()

    @precondition(lambda self: self.asked)
    @rule(accepted=st.integers(0, 4), late=st.booleans())
    def request_is_answered(self, accepted: int, *, late: bool) -> None:
        """The turn is accepted, mostly; sometimes under an epoch of before an interrupt."""
        choice, self.asked = self.asked, None
        assert choice
        if not accepted:
            self.carry(self.director.refused(choice, self.now))
            return
        self.number += 1
        epoch = max(0, self.epoch - late)
        turn = Turn(f"t{self.number}", self.number, epoch, choice, self.now)
        self.floor[turn.id] = turn
        for event in choice.events:
            self.chat.pop(event.id, None)
        self.carry(self.director.requested(turn.id, turn.no, epoch, choice, self.now))
        self.restock()

    def restock(self) -> None:
        """Comments that wait again are in the store again."""
        for lane in (Lane.CHAT, Lane.WELCOME):
            for item in self.director.lanes.waiting(lane):
                self.chat |= {event.id: event for event in item.events}

    @precondition(lambda self: self.floor)
    @rule(data=st.data(), audio_ms=st.sampled_from([0, 500, 6_000]), then=st.sampled_from(["", "", "ends", "fails"]))
    def turn_goes_on(self, data: st.DataObject, audio_ms: int, then: str) -> None:
        """Some sound of a turn is made; then it may end, with what it has said, or break."""
        turn = self.floor[data.draw(st.sampled_from(sorted(self.floor)))]
        self.sound(turn, audio_ms)
        if then == "ends":
            self.carry(self.director.ended(turn.id, spoken=turn.audio_ms + audio_ms > 0, now_ms=self.now))
        elif then == "fails":
            self.carry(self.director.failed(turn.id, "engine_broken", self.now))
        self.restock()

    def sound(self, turn: Turn, audio_ms: int) -> None:
        """What is made of a turn on air is heard at once, or after what was made before."""
        self.director.sounded(turn.id, audio_ms, self.now)
        if turn.aired_ms and audio_ms:
            self.until = max(self.until, self.now) + audio_ms
            if not turn.audio_ms and turn.choice.lane is Lane.PAID:
                self.hear(turn)
        self.carry([])

    @rule(ms=st.sampled_from([1, 100, 1_000, 3_000, 8_000, 16_000, 31_000, 70_000]))
    def time_passes(self, ms: int) -> None:
        """A moment, or a minute in which the process was stopped."""
        self.now += ms
        self.carry(self.director.tick(self.now))
        self.restock()

    def restart(self, down_ms: int) -> None:
        """The process is killed; another one takes over from the store and hears of the sound again."""
        told = [(turn.id, turn.audio_ms, turn.aired_ms, turn.ended) for turn in self.floor.values()]
        self.now += down_ms
        self.asked, self.passed = None, 0
        floor = [Turn.from_json(turn.to_json()) for turn in self.floor.values()]
        waiting = [*self.paid.values(), *self.chat.values()]
        self.director, orders = Director.restore(
            ROOM, POLICY, self.now, rows=self.rows.values(), waiting=waiting, floor=floor
        )
        self.carry(orders)
        self.until = max((aired_ms + audio_ms for _, audio_ms, aired_ms, _ in told if aired_ms), default=0)
        for id_, audio_ms, aired_ms, _ in told:  # all of it before any end, as the shell reads the session
            self.director.sounded(id_, audio_ms, aired_ms)
        for id_, _, _, ended in told:
            if ended:
                self.carry(self.director.ended(id_, spoken=True, now_ms=self.now))
        self.carry(self.director.interrupted(self.epoch, self.now))

    @invariant()
    def the_floor_holds_two(self) -> None:
        """At most one turn is on air and at most one prepared; the store knows the same ones."""
        aired = [turn for turn in self.director.floor if turn.aired_ms]
        assert len(aired) <= 1
        assert len(self.director.floor) - len(aired) <= 1
        assert {turn.id for turn in self.director.floor} == set(self.floor)

    @invariant()
    def lanes_are_bounded(self) -> None:
        """Comments and welcomes do not pile up."""
        assert len(self.director.lanes.waiting(Lane.CHAT)) <= POLICY.chat_lane
        assert len(self.director.lanes.waiting(Lane.WELCOME)) <= POLICY.welcome_lane

    @invariant()
    def nothing_paid_is_lost(self) -> None:
        """A paid event without a final row waits, is being asked for, or has the floor: exactly one of them."""
        where = Counter(id_ for item in self.director.lanes.waiting(Lane.PAID) for id_ in item.ids)
        where.update(
            id_ for turn in self.director.floor if turn.choice.lane is Lane.PAID for id_ in turn.choice.item.ids
        )
        where.update(self.asked.item.ids if self.asked and self.asked.lane is Lane.PAID else ())
        assert where == Counter(dict.fromkeys(self.paid, 1))

    def teardown(self) -> None:
        """Let everything be answered: then each paid event has ended, and nothing is left."""
        for _ in range(10 * len(self.ids) + 100):
            if self.asked:
                self.request_is_answered(accepted=1, late=False)
            for turn in list(self.floor.values()):
                self.sound(turn, 100)
                self.carry(self.director.ended(turn.id, spoken=True, now_ms=self.now))
            self.time_passes(1_000)
            if not self.paid and not len(self.director.lanes):
                break
        assert not self.paid
        assert all(row.state in FINAL for row in self.rows.values())


Show.TestCase.settings = settings(max_examples=150, stateful_step_count=60, deadline=None)
TestShow = Show.TestCase
