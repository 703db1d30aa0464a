"""What the live view knows after each message."""

from typing import Any

from onair.latency import MEMORY, Latency
from onair.show import Spoken
from onair.told import plain, price, spoken_line, way, why
from onair.view import COMMENTS, RECENT_MS, View
from services.contract.failure import Code, Failed
from services.contract.gateway import Interrupted
from services.contract.ingest import Decided, Kind, Lane, LiveEvent, TurnAired, TurnDropped, Viewer
from tests.onair.test_latency import ready
from tests.onair.test_show import ORIGIN, Entry, aired, ended, requested, sentence


def event(id_: str, lane: Lane = Lane.CHAT, kind: Kind = Kind.DANMAKU, **more: Any) -> LiveEvent:
    return LiveEvent(
        id=id_, room="demo", source="bilibili", kind=kind, lane=lane, viewer=Viewer(name="Ann"), at_ms=ORIGIN, **more
    )


def feed(view: View, at_ms: int, *entries: Entry) -> None:
    for message, blob in entries:
        view.feed(ORIGIN + at_ms, message, blob)


def decided(choice: Any, reason: str, about: LiveEvent | None = None, turn: str = "") -> Entry:
    return Decided(choice=choice, reason=reason, event=about, turn=turn), b""


def fresh() -> View:
    return View("http://127.0.0.1:8000/", ORIGIN)


def test_a_comment_and_its_fates() -> None:
    """It waits, is chosen with a reason, is on air, is answered."""
    view, about, fates = fresh(), event("cause-of-a"), list[tuple[str, str]]()
    for entry in (
        (about, b""),
        requested("a", 1),
        decided("answer", "oldest_chat", about, "a"),
        aired("a", 1),
        decided("settle", "spoken", about, "a"),
    ):
        feed(view, 0, entry)
        fates.append((view.comments["cause-of-a"].fate, view.comments["cause-of-a"].reason))
    assert fates == [
        ("waiting", ""),
        ("waiting", ""),
        ("answering", "oldest_chat"),
        ("on air", "oldest_chat"),
        ("answered", ""),
    ]
    assert (view.received, view.answered) == (1, 1)


def test_what_is_dropped_is_counted_by_reason() -> None:
    """Duplicates count, the comment itself keeps its fate; a turn that is dropped leaves its comment waiting."""
    view, about = fresh(), event("cause-of-a")
    feed(view, 0, (about, b""), requested("a", 1), decided("answer", "oldest_chat", about, "a"))
    feed(view, 1, (about, b""), decided("drop", "duplicate", about))
    assert view.comments["cause-of-a"].fate == "answering"
    feed(view, 2, (TurnDropped(turn="a", reason="preempted"), b""))
    assert view.comments["cause-of-a"].fate == "waiting"
    feed(view, 3, decided("drop", "stale", about))
    assert (view.comments["cause-of-a"].fate, view.comments["cause-of-a"].reason) == ("dropped", "stale")
    assert view.dropped == {"duplicate": 1, "stale": 1}
    assert view.received == 2


def test_the_paid_are_accounted_for() -> None:
    """Received = spoken + withdrawn + failed + waiting; a merged gift waits with the one that it joined."""
    view = fresh()
    paid = [event(f"p{number}", Lane.PAID, Kind.GIFT) for number in range(5)]
    feed(view, 0, *((one, b"") for one in paid))
    feed(view, 1, decided("settle", "spoken", paid[0], "a"), decided("withdraw", "withdrawn", paid[1]))
    feed(view, 2, decided("drop", "gave_up", paid[2], "b"), decided("merge", "combo", paid[3]))
    assert view.paid == {"received": 5, "spoken": 1, "withdrawn": 1, "failed": 1}
    assert view.waiting_paid() == 2
    assert [view.comments[one.id].fate for one in paid] == ["answered", "withdrawn", "dropped", "merged", "waiting"]


def test_the_sum_of_a_combo_is_no_purchase() -> None:
    """As in the ledger: the platform's summary is dropped beside its gifts, and counts for nothing paid."""
    view, summary = fresh(), event("bilibili:combo:1", Lane.PAID, Kind.GIFT)
    feed(view, 0, (summary, b""), decided("drop", "combo", summary))
    assert sum(view.paid.values()) == view.waiting_paid() == 0
    assert view.comments["bilibili:combo:1"].fate == "dropped"


def test_what_nobody_waits_for_is_no_comment() -> None:
    """The room's own news, a withdrawal and an idle topic are neither shown nor counted."""
    view, topic = fresh(), event("t", kind=Kind.SCHEDULE)
    taken = event("w", Lane.PAID, Kind.WITHDRAWAL)
    feed(view, 0, (event("s", Lane.CONTROL, Kind.STARTED), b""), (taken, b""), decided("withdraw", "withdrawal", taken))
    feed(view, 0, requested("a", 1), decided("idle", "idle", topic, "a"), decided("settle", "idle", topic, "a"))
    assert (view.received, view.answered, view.comments, view.paid["received"]) == (0, 0, {}, 0)
    assert view.choices["a"].reason == "idle"


def test_the_floor_and_what_comes_next() -> None:
    """The turn on air, and the one that is prepared meanwhile."""
    view = fresh()
    assert (view.now_aired(), view.prepared()) == (None, None)
    feed(view, 0, requested("a", 1))
    waiting = view.prepared()
    assert waiting
    assert waiting.request.turn == "a"
    feed(view, 0, aired("a", 1))
    on_air = view.now_aired()
    assert on_air
    assert (on_air.request.turn, view.prepared()) == ("a", None)
    feed(view, 1, requested("b", 2))
    following = view.prepared()
    assert following
    assert following.request.turn == "b"


def test_a_sentence_is_shown_when_it_is_heard() -> None:
    """Not when it is made: the second one begins when the first one has been heard, and its age says so."""
    view = fresh()
    assert view.said(ORIGIN) == ()
    feed(view, 0, requested("a", 1), (ready("a", 0), b""), (ready("a", 1), b""), aired("a", 1))
    feed(view, 100, *sentence("a", 1, 0, 500), *sentence("a", 1, 1, 300), ended("a", 2))
    assert view.said(ORIGIN + 99) == []
    assert [spoken.index for spoken in view.said(ORIGIN + 100)] == [0]
    both = view.said(ORIGIN + 600)
    assert [(spoken.index, spoken.latency and spoken.latency.age) for spoken in both] == [(0, 100), (1, 600)]


def test_what_was_cut_before_it_was_heard_is_not_shown() -> None:
    """An interrupt takes back what was laid and not heard."""
    view = fresh()
    feed(view, 0, requested("a", 1), aired("a", 1), *sentence("a", 1, 0, 500), *sentence("a", 1, 1, 300))
    feed(view, 200, (Interrupted(epoch=1, by="operator"), b""))
    assert [(spoken.index, spoken.reason) for spoken in view.said(ORIGIN + 5_000)] == [(0, "interrupted")]


def test_troubles_are_told_once_and_pass() -> None:
    """The same sentence only counts; after a while without it nothing is wrong. A part that is not well comes first."""
    view = fresh()
    for at_ms in (0, 10):
        feed(view, at_ms, (Failed(code=Code.ENGINE_SILENT, sentence="no answer"), b""))
    view.trouble(ORIGIN + 20, "tts-1 ended")
    assert view.wrong(ORIGIN + 20) == ["tts-1 ended", "no answer (×2)"]
    view.health = {"asr": "", "llm": "no key"}
    assert view.wrong(ORIGIN + 20 + RECENT_MS) == ["llm: no key"]


def test_memory_is_bounded() -> None:
    """A show without end keeps so many comments, turns and sentences."""
    view = fresh()
    for number in range(COMMENTS + 5):
        name = f"t{number}"
        feed(view, number, (event(f"cause-of-{name}"), b""), requested(name, number + 1), aired(name, number + 1))
        feed(view, number, *sentence(name, number + 1, 0, 1), ended(name, 1))
    assert (len(view.comments), len(view.choices)) == (COMMENTS, COMMENTS)
    assert view.layout
    assert max(len(view.layout.requests), len(view.layout.spoken), len(view.layout.turns)) <= MEMORY
    assert not view.layout.cues
    feed(view, 500, (TurnAired(turn="unknown", no=999, epoch=0), b""), decided("answer", "x", None, "unknown"))
    assert view.now_aired() is None


def test_in_words() -> None:
    """Prices, reasons and ages as people read them."""
    assert [price(fen) for fen in (0, 3_000, 10, 12_345)] == ["", "¥30", "¥0.10", "¥123.45"]
    assert why("paid_first") == "paid goes first (paid_first)"
    assert why("new_word") == "new_word"
    assert way(None) == ""
    assert way(Latency(10, 200, 30, 1_000)) == "1.24 s = lane 0.01 + llm 0.20 + tts 0.03 + floor 1.00"


def test_plain_lines() -> None:
    """Where nothing can be drawn, each thing is a line: comment, choice, drop, turn, sentence with its age."""
    view = fresh()
    about = event("cause-of-a", Lane.PAID, Kind.SUPER_CHAT, text="hi\x1b", amount_fen=3_000)
    entries = (
        (about, b""),
        (event("e", kind=Kind.LIKE).model_copy(update={"viewer": Viewer()}), b""),
        requested("a", 1),
        decided("answer", "paid_first", about, "a"),
        decided("drop", "stale", event("c")),
        aired("a", 1),
        decided("air", "paid_first"),
        (Failed(code=Code.ENGINE_SILENT, sentence="told by the view"), b""),
    )
    told = [text for entry in entries for text in plain(entry[0], view.feed(ORIGIN, *entry), view.layout)]
    assert told == [
        "¥30 Ann: hi ",
        "somebody: like",
        "    answers next: paid goes first (paid_first)",
        "    – Ann dropped: stale",
        "chat › why?",
    ]
    assert spoken_line(Spoken("a", 0, "hello", "", 0, 1)) == "    “hello”"
