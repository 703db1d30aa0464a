"""The director: the floor of a room, scene by scene."""

from collections.abc import Sequence

import pytest

from services.contract.ingest import Kind, Lane, LedgerRow, LiveEvent
from services.ingest.core.director import Director
from services.ingest.core.items import Air, Choice, Decide, Drop, Order, Request, Settle, Turn
from services.ingest.core.policy import Policy
from tests.ingest.core.made import ROOM, T0, chat, enter, event, gift, paid, withdrawal

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


def test_one_answer() -> None:
    """A super chat is answered, heard to its end, and settled once."""
    scene = Scene()
    assert scene.hear(paid("p")) == [("request", "p", "paid_first"), ("air", "t1")]
    assert scene.end("t1", T0 + S, audio=4 * S) == []
    assert scene.tick(T0 + 5 * S - 1) == []
    assert not scene.director.done
    assert scene.tick(T0 + 5 * S) == [("settle", "p", "spoken", "")]
    assert scene.director.done


def test_next_is_prepared() -> None:
    """While one turn is heard the next is made, and aired when the floor is free, though no listener reports (B1)."""
    scene = Scene()
    scene.hear(chat("a"))
    assert scene.hear(chat("b")) == [("request", "b", "oldest_chat")]
    assert scene.hear(chat("c")) == []
    assert [turn.id for turn in scene.director.floor] == ["t1", "t2"]
    assert scene.end("t2", T0 + S, audio=2 * S) == []
    assert scene.end("t1", T0 + S, audio=2 * S) == []
    assert scene.tick(T0 + 3 * S) == [("air", "t2"), ("request", "c", "oldest_chat")]
    assert scene.tick(T0 + 5 * S) == [("air", "t3")]


def test_sound_with_gaps() -> None:
    """Sound that is made more slowly than it is heard holds the floor until the last of it was heard."""
    scene = Scene()
    scene.hear(paid("p"))
    scene.director.sounded("t1", S, T0)
    scene.director.sounded("t1", S, T0 + 5 * S)
    scene.director.sounded("unknown", 60 * S, T0)
    scene.end("t1", T0 + 5 * S)
    assert scene.tick(T0 + 6 * S - 1) == []
    assert scene.tick(T0 + 6 * S) == [("settle", "p", "spoken", "")]


def test_super_chat_preempts_a_prepared_comment() -> None:
    """A comment that is prepared and not aired makes way for a super chat of the same second (B6)."""
    scene = Scene()
    scene.hear(paid("p"))
    scene.hear(chat("a"))
    assert scene.hear(paid("q")) == [("drop", "t2", "preempted"), ("request", "q", "paid_first")]
    scene.end("t1", T0 + S)
    scene.tick(T0 + S)
    assert scene.end("t3", T0 + S) == [("settle", "q", "spoken", ""), ("air", "t4")]
    assert scene.director.floor[0].choice.item.ids == ("a",)


def test_super_chat_while_a_comment_is_asked_for() -> None:
    """A super chat that comes while a comment's turn is being asked for goes first, even on an empty floor."""
    director = Director(ROOM, Policy(), T0)
    choice = choice_of(director.received(chat("a"), T0))
    assert told(director.received(paid("p"), T0)) == []
    orders = director.requested("t1", 1, 0, choice, T0)
    assert told(orders) == [("drop", "t1", "preempted"), ("request", "p", "paid_first")]
    assert logged(orders) == [("answer", "oldest_chat", "t1")]


def test_flood_of_paid() -> None:
    """In a flood of paid events a comment that waits is passed over five times (B7); none takes its turn away."""
    scene = Scene()
    lanes = ""
    for i in range(40):
        scene.hear(paid(f"p{i:02}"))
    for i in range(1, 15):
        now = T0 + i * S
        scene.hear(chat(f"a{i}", now), now)
        scene.hear(paid(f"q{i}", now), now)
        lanes += scene.director.floor[0].choice.lane[0]
        scene.end(f"t{i}", now)
    assert lanes == "p" + "pppppc" * 2 + "p"


def test_comment_grows_stale_while_prepared() -> None:
    """A comment that became too old behind a long answer is not aired; a younger one is prepared."""
    scene = Scene()
    scene.hear(paid("p"))
    scene.hear(chat("a"))
    scene.hear(chat("b", T0 + 9 * S), T0 + 9 * S)
    assert scene.tick(T0 + 15 * S) == []
    assert scene.tick(T0 + 15 * S + 1) == [("drop", "t2", "stale"), ("request", "b", "oldest_chat")]


def test_end_that_is_known() -> None:
    """Once the end of the present answer is known, a comment that lives until then is prepared."""
    scene = Scene()
    scene.hear(paid("p"))
    assert scene.hear(chat("a", T0 - 10 * S)) == []
    assert scene.end("t1", T0, audio=5 * S) == [("request", "a", "oldest_chat")]


def test_withdrawn_while_prepared() -> None:
    """A super chat that is deleted before it is aired is not heard, and settled as withdrawn (B16)."""
    scene = Scene()
    scene.hear(paid("p"))
    scene.hear(paid("q"))
    assert scene.hear(withdrawal("w", "q")) == [
        ("settle", "w", "withdrawn", "withdrawal"),
        ("drop", "t2", "withdrawn"),
        ("settle", "q", "withdrawn", "withdrawn"),
    ]


def test_withdrawn_on_air() -> None:
    """What is on air is spoken to its end; if it failed it would not be tried again."""
    scene = Scene()
    scene.hear(paid("p"))
    assert scene.hear(withdrawal("w", "p", lane=Lane.CONTROL)) == []
    assert scene.end("t1", T0, spoken=False) == [
        ("drop", "t1", "nothing_spoken"),
        ("settle", "p", "withdrawn", "withdrawn"),
    ]


def test_combo_summary_is_settled() -> None:
    """A paid summary whose gifts are known is settled, so that the ledger's account closes; a duplicate is not."""
    scene = Scene()
    scene.hear(gift("g"))
    assert scene.hear(gift("bilibili:combo:c")) == [("settle", "bilibili:combo:c", "withdrawn", "combo")]
    assert scene.hear(gift("g")) == []


def test_nothing_spoken_is_tried_once_more() -> None:
    """A paid turn that says nothing is asked for again, then fails visibly; the floor goes on."""
    scene = Scene()
    scene.hear(paid("p"))
    assert scene.end("t1", T0, spoken=False) == [
        ("drop", "t1", "nothing_spoken"),
        ("request", "p", "paid_first"),
        ("air", "t2"),
    ]
    orders = scene.director.ended("t2", spoken=False, now_ms=T0)
    assert told(orders) == [("drop", "t2", "nothing_spoken"), ("settle", "p", "failed", "nothing_spoken")]
    assert logged(orders) == [("drop", "nothing_spoken", "t2")]
    assert scene.director.done


def test_dead_air() -> None:
    """A turn that makes no sound for thirty seconds is given up without anyone's help (B22)."""
    scene = Scene()
    scene.hear(chat("a"))
    assert scene.tick(T0 + 30 * S - 1) == []
    orders = scene.director.tick(T0 + 30 * S)
    assert told(orders) == [("drop", "t1", "gave_up")]
    assert logged(orders) == [("drop", "gave_up", "t1")]


def test_stuck_in_mid_speech() -> None:
    """A paid turn that was heard in part and never ends is failed, not said twice."""
    scene = Scene()
    scene.hear(paid("p"))
    scene.director.sounded("t1", 5 * S, T0)
    assert scene.tick(T0 + 35 * S - 1) == []
    assert scene.tick(T0 + 35 * S) == [("drop", "t1", "gave_up"), ("settle", "p", "failed", "gave_up")]


def test_stuck_while_prepared() -> None:
    """A prepared turn without a sound is given up; one that has begun to speak waits for the floor."""
    scene = Scene()
    scene.hear(paid("p"))
    scene.hear(paid("q"))
    scene.end("t1", T0, audio=100 * S)
    assert scene.tick(T0 + 30 * S) == [("drop", "t2", "gave_up"), ("request", "q", "paid_first")]
    scene.director.sounded("t3", 2 * S, T0 + 31 * S)
    assert scene.tick(T0 + 90 * S) == []
    assert scene.tick(T0 + 100 * S) == [("settle", "p", "spoken", ""), ("air", "t3")]
    scene.end("t3", T0 + 100 * S)
    assert scene.tick(T0 + 102 * S - 1) == []
    assert scene.tick(T0 + 102 * S) == [("settle", "q", "spoken", "")]


def test_failed_turn() -> None:
    """A turn that llm gives up is dropped under its reason, and its comment with it."""
    scene = Scene()
    scene.hear(chat("a"))
    orders = scene.director.failed("t1", "engine_silent", T0)
    assert told(orders) == [("drop", "t1", "engine_silent")]
    assert logged(orders) == [("drop", "engine_silent", "t1")]


def test_unknown_turns() -> None:
    """News of a turn that has left the floor changes nothing."""
    scene = Scene()
    assert scene.director.failed("old", "x", T0) == []
    assert scene.director.ended("old", spoken=True, now_ms=T0) == []


def test_interrupt() -> None:
    """An interrupt ends what is on air; what nobody has heard yet is answered under the new epoch."""
    scene = Scene()
    scene.hear(paid("p"))
    scene.hear(paid("q"))
    scene.director.sounded("t1", 9 * S, T0)
    orders = scene.director.interrupted(1, T0 + S)
    assert told(orders) == [
        ("drop", "t1", "interrupted"),
        ("settle", "p", "failed", "interrupted"),
        ("drop", "t2", "interrupted"),
        ("request", "q", "paid_first"),
    ]
    assert choice_of(orders).item.tries == 0
    assert told(scene.director.requested("t3", 3, 1, choice_of(orders), T0 + S)) == [("air", "t3")]
    assert told(scene.director.interrupted(1, T0 + S)) == []


def test_refused_request() -> None:
    """A turn that cannot be had now is asked for again at the next tick, and nothing is lost."""
    director = Director(ROOM, Policy(), T0)
    choice = choice_of(director.received(paid("p"), T0))
    assert not director.done
    assert director.refused(choice, T0) == []
    assert told(director.tick(T0)) == [("request", "p", "paid_first")]


def test_idle_topic() -> None:
    """After a silence a topic is taken up, once at a time; a topic that is not accepted is let go."""
    scene = Scene(Policy(idle_after_ms=20 * S, idle_asks=("weather",)))
    assert scene.tick(T0 + 20 * S - 1) == []
    orders = scene.director.tick(T0 + 20 * S)
    assert choice_of(orders).reason == "idle"
    assert scene.director.refused(choice_of(orders), T0 + 20 * S) == []
    orders = scene.carry(scene.director.tick(T0 + 20 * S), T0 + 20 * S)
    assert logged(orders) == [("idle", "idle", "t1"), ("air", "idle", "t1")]
    assert scene.end("t1", T0 + 21 * S, audio=4 * S) == []
    assert logged(scene.director.tick(T0 + 25 * S)) == [("settle", "idle", "t1")]
    assert scene.tick(T0 + 44 * S) == []
    assert scene.tick(T0 + 45 * S)[-1] == ("air", "t2")


def test_welcome() -> None:
    """Somebody who comes into a quiet room is welcomed."""
    orders = Scene().director.received(enter("e"), T0)
    assert told(orders) == [("request", "e", "welcome")]


def test_answered_comment_is_logged() -> None:
    """Each comment that was answered, or dropped, is in the log once."""
    scene = Scene()
    scene.hear(chat("a"))
    assert logged(scene.director.ended("t1", spoken=True, now_ms=T0)) == [("settle", "spoken", "t1")]


def row(what: LiveEvent, state: str) -> LedgerRow:
    return LedgerRow.model_validate({"event": what, "state": state, "at_ms": T0})


def turn(id_: str, what: LiveEvent, aired_ms: int = 0, reason: str = "paid_first") -> Turn:
    director = Director(ROOM, Policy(), T0)
    choice = choice_of(director.received(what, T0))
    return Turn(id_, int(id_[1:]), 0, Choice(choice.item, reason, choice.deadline_ms), T0, aired_ms)


def test_turn_in_the_store() -> None:
    """A turn comes back from the store as it was."""
    one = turn("t1", paid("p"), T0)
    assert Turn.from_json(one.to_json()) == one
    with pytest.raises(ValueError, match="id"):
        Turn.from_json("{}")


def test_restart_goes_on() -> None:
    """After a restart the turn on air goes on and the prepared paid one is kept: nothing is asked for twice."""
    rows = [row(paid("p"), "aired"), row(paid("q"), "chosen"), row(paid("r"), "received"), row(paid("s"), "spoken")]
    director, orders = Director.restore(
        ROOM,
        Policy(),
        T0 + S,
        rows=rows,
        waiting=[one.event for one in rows],
        floor=[turn("t2", paid("q")), turn("t1", paid("p"), T0)],
    )
    assert told(orders) == []
    assert [one.id for one in director.floor] == ["t1", "t2"]
    director.sounded("t1", 3 * S, T0)
    assert told(director.ended("t1", spoken=True, now_ms=T0 + S)) == []
    assert told(director.tick(T0 + 3 * S)) == [
        ("settle", "p", "spoken", ""),
        ("air", "t2"),
        ("request", "r", "paid_first"),
    ]
    assert told(director.received(paid("s"), T0 + 3 * S)) == []


def test_restart_drops_prepared_comments() -> None:
    """A prepared comment is dropped at a restart and waits again unless it is stale; an idle topic is forgotten."""
    director, orders = Director.restore(
        ROOM,
        Policy(),
        T0 + S,
        rows=[],
        waiting=[chat("b")],
        floor=[turn("t1", chat("a"), reason="oldest_chat"), turn("t2", enter("e"), reason="idle")],
    )
    assert told(orders) == [("drop", "t1", "restarted"), ("drop", "t2", "restarted")]
    assert {item.first.id for item in director.lanes.waiting(Lane.CHAT)} == {"a", "b"}
    assert director.lanes.waiting(Lane.WELCOME) == ()


def test_restart_after_a_settled_turn() -> None:
    """A turn whose events were settled before the crash does not come back."""
    director, orders = Director.restore(
        ROOM, Policy(), T0, rows=[row(paid("p"), "spoken")], waiting=[], floor=[turn("t1", paid("p"), T0)]
    )
    assert told(orders) == [("drop", "t1", "restarted")]
    assert director.done


def test_restart_with_two_turns_on_air() -> None:
    """If the store names two turns on air the later one has the floor; the other's event waits, none is lost."""
    director, _ = Director.restore(
        ROOM,
        Policy(),
        T0,
        rows=[row(paid("p"), "aired"), row(paid("q"), "aired")],
        waiting=[],
        floor=[turn("t1", paid("p"), T0), turn("t2", paid("q"), T0)],
    )
    assert [one.id for one in director.floor] == ["t2"]
    assert [item.first.id for item in director.lanes.waiting(Lane.PAID)] == ["p"]


def test_restart_after_ten_minutes() -> None:
    """After ten minutes down no comment of before is answered, and every paid event is."""
    now = T0 + 600 * S
    director, orders = Director.restore(
        ROOM, Policy(), now, rows=[row(paid("p"), "received")], waiting=[chat("a"), paid("q")], floor=[]
    )
    assert logged(orders) == [("drop", "stale", "")]
    assert len(director.lanes.waiting(Lane.PAID)) == 2
    assert told(director.tick(now))[0][0] == "request"


def test_restart_keeps_withdrawals() -> None:
    """A withdrawal that waits, or was settled, still acts on what comes after the restart."""
    director, orders = Director.restore(
        ROOM,
        Policy(),
        T0,
        rows=[row(withdrawal("w", "p"), "withdrawn"), row(paid("q"), "chosen")],
        waiting=[withdrawal("v", "q")],
        floor=[turn("t1", paid("q"))],
    )
    assert told(orders) == [("settle", "v", "withdrawn", "withdrawal")]
    assert told(director.received(paid("p"), T0)) == [
        ("settle", "p", "withdrawn", "withdrawn"),
        ("drop", "t1", "withdrawn"),
        ("settle", "q", "withdrawn", "withdrawn"),
    ]


def test_operators_line() -> None:
    """An operator's line is paid class: it is answered and settled like a super chat."""
    line = event("say", Kind.SAY, Lane.PAID, text="We are back.")
    assert Scene().hear(line) == [("request", "say", "operator"), ("air", "t1")]
