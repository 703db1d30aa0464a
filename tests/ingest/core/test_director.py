"""The director: the floor of a room, scene by scene."""

import pytest

from services.contract.ingest import Kind, Lane
from services.ingest.core.director import Director
from services.ingest.core.items import Settle
from services.ingest.core.policy import Policy
from tests.ingest.core.made import ROOM, T0, chat, enter, event, gift, paid, withdrawal
from tests.ingest.core.scene import S, Scene, choice_of, logged, told


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


@pytest.mark.parametrize(
    ("by", "reason"), [("operator", "stopped"), ("silence", "silenced"), ("speech", "interrupted")]
)
def test_who_stopped_it_is_written_down(by: str, reason: str) -> None:
    """A paid message that was heard in part is not said again; the one that was prepared waits for its turn."""
    scene = Scene()
    scene.hear(paid("p"))
    scene.hear(paid("q"))
    scene.director.sounded("t1", 9 * S, T0)
    orders = scene.director.interrupted(1, T0 + S, by)
    assert told(orders) == [
        ("drop", "t1", reason),
        ("settle", "p", "failed", reason),
        ("drop", "t2", reason),
        ("request", "q", "paid_first"),
    ]
    assert told(scene.director.interrupted(1, T0 + S, "another")) == [], "an older word changes nothing"


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


def test_a_paid_event_that_was_spoken_in_part_says_so() -> None:
    """One sentence of its answer was skipped: the row is spoken, with the reason."""
    scene = Scene()
    scene.hear(event("sc", Kind.SUPER_CHAT, Lane.PAID, text="hello", amount_fen=3_000))
    scene.director.sounded("t1", 1_000, T0)
    scene.director.ended("t1", spoken=True, whole=False, now_ms=T0)
    (settle,) = [order for order in scene.director.tick(T0 + 1_000) if isinstance(order, Settle)]
    assert (settle.state, settle.reason) == ("spoken", "in_part")


def test_operators_line() -> None:
    """An operator's line is paid class: it is answered and settled like a super chat."""
    line = event("say", Kind.SAY, Lane.PAID, text="We are back.")
    assert Scene().hear(line) == [("request", "say", "operator"), ("air", "t1")]
