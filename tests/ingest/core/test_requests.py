"""Orders, ledger rows, progress and tally."""

from services.contract.ingest import Decided, Kind, Lane, LiveEvent, Viewer
from services.contract.llm import AnswerEnded
from services.contract.tts import AIR_RATE, SentenceSkipped, SpeechChunk, SpeechEnded, SpeechStarted
from services.ingest.core.items import Choice, Item, Turn
from services.ingest.core.policy import Policy
from services.ingest.core.progress import Finished, Progress, Sounded
from services.ingest.core.requests import Cast, has_row, ledger_rows, turn_requested
from services.ingest.core.tally import Tally


def event(name: str = "a", lane: Lane = Lane.PAID, kind: Kind = Kind.SUPER_CHAT) -> LiveEvent:
    return LiveEvent(
        id=name, room="r", source="s", kind=kind, lane=lane, viewer=Viewer(id="1", name="小明"), text="你好", at_ms=7
    )


def chunk(offset: int, index: int = 0) -> SpeechChunk:
    return SpeechChunk(turn="t", index=index, attempt=1, chunk=0, sample_offset=offset)


def test_a_turn_carries_what_llm_needs() -> None:
    """Templates are filled, the clock starts at the event."""
    turn = Turn("t", 3, 1, Choice(Item((event(),), 7, 7), "paid_first", 60), 8)
    cast = Cast("r", "host", "v", "zh", "all", {"super_chat": {"ask": "{text}", "say": "谢谢{user} {gpt}"}}, Policy())
    request = turn_requested(cast, turn)
    assert (request.ask, request.say) == ("你好", "谢谢小明 {gpt}")
    assert (request.no, request.epoch, request.requested_ms, request.deadline_ms) == (3, 1, 7, 60)
    assert request.causes == ("a",)


def test_the_ledger_speaks_of_purchases_only() -> None:
    """Comments, withdrawals and the summary of a combo that was counted gift by gift have no row."""
    mixed = [event("p"), event("c", Lane.CHAT), event("w", kind=Kind.WITHDRAWAL)]
    assert [row.event.id for row in ledger_rows(mixed, "spoken", 1, turn="t", samples=9)] == ["p"]
    assert ledger_rows([event("p")], "spoken", 1, samples=9)[0].samples == 9
    assert ledger_rows([event("p")], "failed", 1, samples=9)[0].samples == 0
    assert ledger_rows([event("s")], "withdrawn", 1, reason="combo") == []
    assert has_row(event())
    assert not has_row(event(kind=Kind.WITHDRAWAL))
    assert not has_row(event("bilibili:combo:1", kind=Kind.GIFT))


def test_sound_counts_once_however_often_it_is_told() -> None:
    """Only samples beyond the position reached are new; milliseconds add up without a remainder lost."""
    progress = Progress()
    progress.keep(["t"])
    assert progress.feed(chunk(0), 2 * 2_400) == [Sounded("t", 100)]
    assert progress.feed(chunk(0), 2 * 2_400) == []
    assert progress.feed(chunk(2_400), 2 * 10) == []
    assert progress.feed(chunk(2_410), 2 * (AIR_RATE - 2_410)) == [Sounded("t", 900)]
    assert progress.samples("t") == AIR_RATE
    assert progress.samples("other") == 0


def test_a_turn_is_finished_when_every_sentence_is_terminal() -> None:
    """Whichever comes last, the count or a sentence's end, ends it, and once only."""
    progress = Progress()
    progress.keep(["t"])
    progress.feed(chunk(0), 2 * 2_400)
    assert progress.feed(SpeechEnded(turn="t", index=0, attempt=1, samples=2_400)) == []
    assert progress.feed(AnswerEnded(turn="t", count=2, text="")) == []
    assert progress.feed(AnswerEnded(turn="t", count=9, text="")) == []
    done = [Finished("t", spoken=True, samples=2_400, whole=False)]
    assert progress.feed(SentenceSkipped(turn="t", index=1, reason="late")) == done
    assert progress.feed(SentenceSkipped(turn="t", index=1, reason="late")) == []


def test_a_lower_attempt_ends_nothing() -> None:
    """A worker that lost its sentence and wakes up can neither end nor lengthen what its successor speaks."""
    progress = Progress()
    progress.keep(["t"])
    progress.feed(AnswerEnded(turn="t", count=1, text=""))
    progress.feed(chunk(0), 2 * 2_400)
    progress.feed(SpeechStarted(turn="t", no=1, epoch=0, index=0, attempt=2, text="hi"))
    assert progress.feed(SpeechEnded(turn="t", index=0, attempt=1, samples=2_400)) == []
    assert progress.feed(chunk(2_400), 2 * 2_400) == []
    assert progress.feed(SpeechEnded(turn="t", index=0, attempt=2, samples=2_400)) == [
        Finished("t", spoken=True, samples=2_400)
    ]


def test_an_answer_without_a_sentence_is_finished_at_once() -> None:
    """It has no sound; turns that are not followed say nothing."""
    progress = Progress()
    progress.keep(["t"])
    assert progress.feed(AnswerEnded(turn="x", count=0, text="")) == []
    assert progress.feed(event()) == []
    assert progress.feed(AnswerEnded(turn="t", count=0, text="")) == [Finished("t", spoken=False, samples=0)]


def test_received_is_answered_and_dropped() -> None:
    """Each event is counted once on both sides; withdrawals and the room's own news are no events to answer."""
    tally = Tally()
    for one in (event("a"), event("b"), event("c", Lane.CONTROL, Kind.STARTED), event("w", kind=Kind.WITHDRAWAL)):
        tally.event(one)
    tally.duplicate()
    tally.decided(Decided(choice="settle", reason="spoken", event=event("a")))
    tally.decided(Decided(choice="settle", reason="idle"))
    tally.decided(Decided(choice="drop", reason="duplicate", event=event("c", Lane.CONTROL, Kind.STARTED)))
    tally.decided(Decided(choice="drop", reason="stale", event=event("b")))
    tally.decided(Decided(choice="withdraw", reason="withdrawal", event=event("w", kind=Kind.WITHDRAWAL)))
    tally.decided(Decided(choice="air", reason="paid_first"))
    end = tally.end()
    assert (end.received, end.answered, end.dropped) == (3, 1, {"stale": 1, "duplicate": 1})
