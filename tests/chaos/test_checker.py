"""The checker sees what is lost, doubled, out of order, cut short or left behind."""

from collections.abc import Sequence
from typing import Any, Literal

import pytest

from services.contract.ingest import Kind, Lane, LedgerRow, LiveEvent, TurnAired, TurnDropped, TurnRequested
from services.contract.llm import AnswerEnded
from services.contract.message import Message
from services.contract.tts import SpeechChunk, SpeechEnded, SpeechStarted
from tests.chaos.checker import Ear, Evidence, Left, judge

State = Literal["received", "chosen", "aired", "spoken", "failed", "withdrawn"]
SAMPLES = 480
Told = list[tuple[Message, bytes]]


def row(id_: str, state: State = "spoken", turn: str = "") -> LedgerRow:
    event = LiveEvent(id=id_, room="r", source="api", kind=Kind.SUPER_CHAT, lane=Lane.PAID, at_ms=1)
    return LedgerRow(event=event, state=state, at_ms=2, turn=turn)


def asked(turn: str, no: int, *ids: str) -> TurnRequested:
    names: dict[str, Any] = {"persona": "host", "ask": "", "requested_ms": 0, "deadline_ms": 0}
    return TurnRequested(turn=turn, no=no, session="r", epoch=0, kind="room", causes=ids, **names)


def spoken(turn: str, no: int, *ids: str, sentences: int = 1) -> Told:
    """A whole turn."""
    told: Told = [(asked(turn, no, *ids), b""), (TurnAired(turn=turn, no=no, epoch=0), b"")]
    for index in range(sentences):
        told += sentence(turn, no, index)
    return [*told, (AnswerEnded(turn=turn, count=sentences, text=""), b"")]


def sentence(turn: str, no: int, index: int, *, offset: int = 0, attempt: int = 1) -> Told:
    where: dict[str, Any] = {"turn": turn, "index": index, "attempt": attempt}
    return [
        (SpeechStarted(no=no, epoch=0, text=f"{turn}{index}", from_sample=offset, **where), b""),
        (SpeechChunk(chunk=0, sample_offset=offset, **where), bytes(2 * SAMPLES)),
        (SpeechEnded(samples=offset + SAMPLES, **where), b""),
    ]


def ear(*told: Told) -> Ear:
    made = Ear()
    for entries in told:
        for message, blob in entries:
            made.feed(message, blob)
    return made


def found(heard: Ear, rows: Sequence[LedgerRow], *, sent: Sequence[str] = (), **more: Any) -> Evidence:
    whole: dict[str, Any] = {
        "acked": {"r": list(sent) or [one.event.id for one in rows]},
        "rows": {"r": {one.event.id: one for one in rows}},
        "lanes": {"r": frozenset[str]()},
        "ears": {"r": heard},
        "left": {"turns": Left(0, 0)},
        **more,
    }
    return Evidence(**whole)


def test_a_whole_run_has_no_problems() -> None:
    """Two messages, each spoken once, in order, to its end."""
    heard = ear(spoken("t1", 1, "a", sentences=2), spoken("t2", 2, "b"))
    verdict = judge(found(heard, [row("a"), row("b")], samples={"a": 2 * SAMPLES, "b": SAMPLES}))
    assert verdict.problems == ()
    assert str(verdict) == "2 paid: 2 spoken, 0 failed visibly, 0 withdrawn; 0 lost, 0 twice, 0 out of order"


@pytest.mark.parametrize("state", ["received", "chosen", "aired"])
def test_what_was_acknowledged_and_is_not_final_is_lost(state: State) -> None:
    """So is what has no row at all; the law says so too."""
    verdict = judge(found(ear(), [row("a", state)], sent=["a", "b"]))
    assert verdict.counts["lost"] == 2
    assert any("in no final state" in problem for problem in verdict.problems)
    assert any("the law of r: 1 received ≠" in problem for problem in verdict.problems)


def test_what_waits_in_the_lane_is_told() -> None:
    """At the end of a run nothing waits."""
    verdict = judge(found(ear(), [row("a", "received")], lanes={"r": frozenset({"a"})}))
    assert any("1 waiting" in problem for problem in verdict.problems)


def test_one_message_in_two_turns_is_heard_twice() -> None:
    """Even where the ledger knows of one."""
    verdict = judge(found(ear(spoken("t1", 1, "a"), spoken("t2", 2, "a")), [row("a")]))
    assert verdict.counts["doubled"] == 1


def test_a_turn_that_was_dropped_unheard_counts_for_nothing() -> None:
    """It is answered again, once."""
    dropped: Told = [(asked("t1", 1, "a"), b""), (TurnDropped(turn="t1", reason="gave_up"), b"")]
    assert judge(found(ear(dropped, spoken("t2", 2, "a")), [row("a")])).problems == ()


def test_answers_in_another_order_than_sent_are_told() -> None:
    """What is paid alike is answered first come, first served; where prices differ, that is no fault."""
    heard = ear(spoken("t1", 1, "b"), spoken("t2", 2, "a"))
    rows = [row("a"), row("b")]
    assert judge(found(heard, rows, sent=["a", "b"])).counts["displaced"] == 1
    assert judge(found(heard, rows, sent=["a", "b"])).problems != ()
    assert judge(found(heard, rows, sent=["a", "b"], ordered=False)).problems == ()


def test_a_message_that_was_asked_for_twice_may_come_later() -> None:
    """Its first turn failed before it was heard."""
    dropped: Told = [(asked("t1", 1, "a"), b""), (TurnDropped(turn="t1", reason="gave_up"), b"")]
    heard = ear(dropped, spoken("t2", 2, "b"), spoken("t3", 3, "a"))
    assert judge(found(heard, [row("a"), row("b")], sent=["a", "b"])).problems == ()


def test_a_lower_turn_after_a_higher_one_is_an_inversion() -> None:
    """So is a sentence after its successor: the ear counts both."""
    heard = ear(spoken("t1", 1, "a", sentences=2), spoken("t2", 2, "b"))
    assert heard.inversions() == 0
    heard.opened.reverse()
    heard.said[0], heard.said[1] = heard.said[1], heard.said[0]
    assert heard.inversions() == 2


def test_a_sentence_that_lacks_samples_is_short() -> None:
    """The listener knows how long it should have been."""
    verdict = judge(found(ear(spoken("t1", 1, "a")), [row("a")], samples={"a": SAMPLES + 1}))
    assert verdict.problems == ("1 not heard to their end",)


def test_other_sentences_than_those_of_the_answer_are_told() -> None:
    """Spaces do not count."""
    heard = ear(spoken("t1", 1, "a", sentences=2))
    assert judge(found(heard, [row("a")], texts={"a": frozenset({"t10 t11"})})).problems == ()
    assert judge(found(heard, [row("a")], texts={"a": frozenset({"t10"})})).counts["altered"] == 1


def test_spoken_and_heard_by_nobody_is_told() -> None:
    """The ledger alone can be wrong."""
    assert judge(found(ear(), [row("a")])).problems == ("1 spoken by the ledger, heard by nobody",)


def test_the_ledger_says_what_the_session_was_never_told() -> None:
    """A turn whose request is missing is found by its row."""
    heard = ear(spoken("t1", 1, "a")[1:])
    verdict = judge(found(heard, [row("a", turn="t1")]))
    assert verdict.problems == ()
    assert verdict.counts["untold"] == 1


def test_a_failure_is_a_problem_unless_it_may_be() -> None:
    """It is visible either way."""
    assert judge(found(ear(), [row("a", "failed")])).problems == ("1 failed: a ()",)
    assert judge(found(ear(), [row("a", "failed")], may_fail=True)).problems == ()


def test_work_that_is_left_is_told() -> None:
    """Entries that wait and entries that are pending."""
    assert judge(found(ear(), [], left={"turns": Left(1, 2)})).problems == ("3 entries left in work streams",)


def test_a_sound_that_goes_on_elsewhere_is_a_gap_told_as_lost() -> None:
    """What the session no longer has is counted; a listener hears the rest once."""
    told: Told = [(asked("t1", 1, "a"), b""), (TurnAired(turn="t1", no=1, epoch=0), b"")]
    heard = ear(told, sentence("t1", 1, 0, offset=100))
    assert [(said.samples, said.lost, said.gaps) for said in heard.said] == [(SAMPLES, 100, 0)]
