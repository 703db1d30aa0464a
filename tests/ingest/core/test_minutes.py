"""What is put on the record of a show: what was heard and when, each turn once."""

import itertools

from services.contract.gateway import Interrupted
from services.contract.ingest import Decided, Heard, Lane, TurnAired, TurnDropped, TurnSettled
from services.contract.llm import AnswerEnded
from services.contract.message import Message
from services.contract.tts import AIR_RATE, SpeechChunk, SpeechEnded, SpeechStarted
from services.ingest.core.items import Decide, Order, Settle
from services.ingest.core.minutes import TURNS, Minutes
from tests.ingest.core.made import T0, chat, gift, paid

SECOND = bytes(2 * AIR_RATE)


def made(turn: str, no: int, *texts: str, ms: int = T0) -> list[tuple[int, Message, bytes]]:
    """A turn whose sentences are a second each, aired and made at that time."""
    entries: list[tuple[int, Message, bytes]] = [(ms, TurnAired(turn=turn, no=no, epoch=0, clear=True), b"")]
    for index, text in enumerate(texts):
        entries += [
            (ms, SpeechStarted(turn=turn, no=no, epoch=0, index=index, attempt=1, text=text), b""),
            (ms, SpeechChunk(turn=turn, index=index, attempt=1, chunk=0, sample_offset=0), SECOND[:AIR_RATE]),
            (
                ms,
                SpeechChunk(turn=turn, index=index, attempt=1, chunk=1, sample_offset=AIR_RATE // 2),
                SECOND[AIR_RATE:],
            ),
            (ms, SpeechEnded(turn=turn, index=index, attempt=1, samples=AIR_RATE), b""),
        ]
    return [*entries, (ms, AnswerEnded(turn=turn, count=len(texts), text="".join(texts)), b"")]


def minutes(*entries: tuple[int, Message, bytes], origin: int = T0) -> Minutes:
    found = Minutes(origin)
    for entry in entries:
        found.feed(*entry)
    return found


def end(turn: str, choice: str = "settle", reason: str = "spoken", event: object = None) -> Order:
    return Decide(Decided.model_validate({"choice": choice, "reason": reason, "turn": turn, "event": event}))


def only(found: list[TurnSettled]) -> TurnSettled:
    assert len(found) == 1
    return found[0]


def test_sentences_lie_where_they_were_heard() -> None:
    """One after the other on the show's clock, though all were made at once."""
    record = only(minutes(*made("t", 1, "One.", "Two.")).ended([end("t", event=paid("a"))], T0 + 2_000))
    assert record.captions == (
        Heard(text="One.", from_ms=T0, to_ms=T0 + 1_000),
        Heard(text="Two.", from_ms=T0 + 1_000, to_ms=T0 + 2_000),
    )
    assert (record.state, record.reason, record.lane, record.amount_fen) == ("spoken", "", Lane.PAID, 3_000)
    assert record.event
    assert record.event.id == "a"
    assert record.at_ms == T0 + 2_000


def test_entries_from_before_the_clock_count_as_of_its_beginning() -> None:
    """A broker whose clock is behind gives no time below zero."""
    record = only(minutes(*made("t", 1, "One.", ms=T0 - 5_000)).ended([end("t")], T0))
    assert record.captions[0].from_ms == T0
    assert (record.event, record.lane) == (None, Lane.CHAT)


def test_a_turn_is_on_the_record_once() -> None:
    """However many events it answers and however often its end is told; what was paid for them is added up."""
    kept = minutes(*made("t", 1, "One."))
    orders: list[Order] = [
        Settle((gift("a"), gift("b")), "spoken", "", "t"),
        end("t", event=gift("a")),
        end("t", event=gift("b")),
    ]
    assert only(kept.ended(orders, T0)).amount_fen == 200
    assert kept.ended(orders[1:], T0) == []


def test_a_sentence_that_was_skipped_is_told() -> None:
    """Spoken all the same; idle talk that was spoken has no reason."""
    for told, reason in (("in_part", "in_part"), ("idle", ""), ("spoken", "")):
        record = only(minutes(*made("t", 1, "One.")).ended([end("t", reason=told)], T0 + 1_000))
        assert (record.state, record.reason) == ("spoken", reason)


def test_other_decisions_end_nothing() -> None:
    """A choice, an airing, a comment that was never a turn."""
    orders = [end("t", "answer"), end("t", "air"), end("", "drop", event=chat("c"))]
    assert minutes(*made("t", 1, "One.")).ended(orders, T0) == []


def test_a_turn_without_sound_failed_with_its_reason() -> None:
    """Nothing was heard of it, and that is on the record."""
    record = only(minutes().ended([end("t", "drop", "nothing_spoken", chat("c"))], T0))
    assert (record.state, record.reason, record.captions) == ("failed", "nothing_spoken", ())


def test_an_interrupt_cuts_what_was_not_heard() -> None:
    """The sentence in the air ends there, the next one was never heard."""
    entries = made("t", 1, "One.", "Two.", "Three.")
    kept = minutes(*entries, (T0 + 1_500, Interrupted(epoch=1, by="operator"), b""))
    record = only(kept.ended([end("t", "drop", "interrupted")], T0 + 1_500))
    assert [(said.text, said.to_ms - T0) for said in record.captions] == [("One.", 1_000), ("Two.", 1_500)]
    again = made("u", 2, "Four.", ms=T0 + 1_600)
    again[0] = (T0 + 1_600, TurnAired(turn="u", no=2, epoch=1, clear=True), b"")
    for entry in again:
        message = entry[1]
        kept.feed(
            entry[0],
            message.model_copy(update={"epoch": 1}) if "epoch" in type(message).model_fields else message,
            entry[2],
        )
    assert only(kept.ended([end("u")], T0 + 3_000)).captions[0].from_ms == T0 + 1_600


def test_a_dropped_turn_is_cut_and_one_that_is_not_on_air_changes_nothing() -> None:
    """The drop of a prepared turn leaves the one on air as it is."""
    kept = minutes(*made("t", 1, "One.", "Two."), (T0 + 500, TurnDropped(turn="next", reason="stale"), b""))
    assert len(only(kept.ended([end("t")], T0)).captions) == 2
    kept = minutes(*made("t", 1, "One.", "Two."), (T0 + 500, TurnDropped(turn="t", reason="gave_up"), b""))
    assert [said.text for said in only(kept.ended([end("t", "drop")], T0 + 600)).captions] == ["One."]


def test_the_end_is_known_before_the_session_tells_of_it() -> None:
    """The director settles what it interrupts at once: what lay ahead is not on the record, and takes no time."""
    kept = minutes(*made("t", 1, "One.", "Two.", "Three."))
    record = only(kept.ended([end("t", "drop", "interrupted")], T0 + 1_500))
    assert [(said.text, said.to_ms - T0) for said in record.captions] == [("One.", 1_000), ("Two.", 1_500)]
    kept.feed(T0 + 1_501, TurnDropped(turn="t", reason="interrupted"))
    for entry in made("u", 2, "Four.", ms=T0 + 1_600):
        kept.feed(*entry)
    assert only(kept.ended([end("u")], T0 + 3_000)).captions[0].from_ms == T0 + 1_600


def test_lost_sound_takes_its_time() -> None:
    """What the session no longer has was heard by nobody, and what follows is where everybody has it."""
    entries = made("t", 1, "One.", "Two.")
    del entries[2:4]
    record = only(minutes(*entries).ended([end("t")], T0))
    assert [(said.text, said.from_ms - T0) for said in record.captions] == [("One.", 0), ("Two.", 1_000)]


def test_old_turns_are_forgotten() -> None:
    """Those that never end do not pile up."""
    kept = minutes(*itertools.chain(*(made(f"t{no}", no, "One.") for no in range(1, TURNS + 3))))
    assert only(kept.ended([end("t1")], T0)).captions == ()
    assert len(only(kept.ended([end(f"t{TURNS + 2}")], T0)).captions) == 1
