"""A report: its sums, its law, its words; and a page that trusts no text."""

from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.contract.ingest import Counted, Heard, Kind, Lane, LedgerRow, LiveEvent, TurnSettled, Viewer
from services.gateway.core.report import Material, Report, gather
from services.gateway.core.report_page import page, text, yuan
from services.gateway.core.report_words import REASONS, WORDS, reason

T0 = 1_700_000_000_000
"""2023-11-14 22:13:20 UTC."""
VOID = {"meta", "br"}
ALLOWED = {"html", "head", "meta", "title", "style", "body", "main", "h1", "h2", "p", "div", "span", "b", "bdi", "ul",
    "li", "time", "code", "table", "thead", "tbody", "tr", "th", "td"}  # fmt: skip


def event(id_: str = "a", at_ms: int = T0, name: str = "Ann", **fields: Any) -> LiveEvent:
    given: dict[str, Any] = {"kind": Kind.SUPER_CHAT, "amount_fen": 3_000, "text": "hello", **fields}
    return LiveEvent(
        id=id_, room="demo", source="api", lane=Lane.PAID, viewer=Viewer(name=name), at_ms=at_ms, **given
    )  # fmt: skip


def row(state: str, id_: str = "a", at_ms: int = T0, **fields: Any) -> LedgerRow:
    given = {"event": event(id_, at_ms), "state": state, "at_ms": at_ms + 9_000, **fields}
    return LedgerRow.model_validate(given)


def turn(id_: str = "t", at_ms: int = T0, *texts: str, **fields: Any) -> TurnSettled:
    said = tuple(Heard(text=each, from_ms=at_ms + no, to_ms=at_ms + no + 1) for no, each in enumerate(texts))
    given = {"event": event(), "state": "spoken", "at_ms": at_ms, "captions": said, **fields}
    return TurnSettled.model_validate({"turn": id_, **given})


def report(*records: TurnSettled | Counted, rows: Any = (), lane: Any = (), since: int = 0) -> Report:
    return gather(Material("demo", since, T0 + 60_000, rows, lane, records))


def test_the_sums() -> None:
    """What was counted is added up, the commonest reason first; the span is from the first thing to the last."""
    told = report(
        turn("t", T0 + 5_000, "Hi.", "Bye."),
        Counted(at_ms=T0 + 1_000, received=3, answered=1, dropped={"stale": 1}),
        Counted(at_ms=T0 + 20_000, received=9, answered=1, dropped={"stale": 1, "pushed_out": 5}),
        rows=[row("spoken", at_ms=T0 + 2_000)],
    )
    assert (told.received, told.answered, told.sentences) == (12, 2, 2)
    assert list(told.dropped.items()) == [("pushed_out", 5), ("stale", 2)]
    assert (told.from_ms, told.to_ms) == (T0 + 1_000, T0 + 20_000)


def test_nothing_is_kept() -> None:
    """A report of nothing spans this moment, and its law holds."""
    told = report()
    assert (told.from_ms, told.to_ms) == (T0 + 60_000, T0 + 60_000)
    assert told.law.holds
    assert "Nothing was paid for" in page(told, "en")
    assert "没有留下" in page(told, "zh")


def test_what_was_paid() -> None:
    """By state; what is not settled waits."""
    rows = [row("spoken", "a"), row("failed", "b"), row("withdrawn", "c"), row("aired", "d"), row("received", "e")]
    told = report(rows=rows, lane=[event("d"), event("e")])
    assert told.fen == {"received": 15_000, "spoken": 3_000, "withdrawn": 3_000, "failed": 3_000, "waiting": 6_000}
    assert str(told.law) == "5 received = 1 spoken + 1 withdrawn + 1 failed + 2 waiting"
    assert "holds" in page(told, "en")


def test_what_was_lost_is_told() -> None:
    """A row that is neither settled nor in the lane breaks the law, in so many words."""
    told = report(rows=[row("aired")])
    assert not told.law.holds
    assert 'class="law broken"' in page(told, "zh")
    assert "≠" in page(told, "en")


def test_only_what_came_since() -> None:
    """Older events are in neither the rows nor the law."""
    rows, lane = [row("spoken", "a", T0 - 1), row("aired", "b", T0)], [event("b"), event("c", T0 - 1)]
    told = report(rows=rows, lane=lane, since=T0)
    assert [each.event.id for each in told.rows] == ["b"]
    assert (told.law.received, told.law.waiting) == (1, 1)


def test_a_turn_that_was_told_twice() -> None:
    """The record that heard more stands, of equal ones the later; turns come in the order of what was heard."""
    told = report(
        turn("b", T0 + 9, "Two."),
        turn("a", T0, "One.", "More."),
        turn("a", T0, "One."),
        turn("b", T0 + 9, "Two.", state="failed", reason="interrupted"),
    )
    assert [each.turn for each in told.turns] == ["a", "b"]
    assert (told.sentences, told.turns[1].state) == (3, "failed")


def test_the_page_in_english() -> None:
    """Who is answered, what was said at what time in that zone, how a turn ended, and for how long a gift was heard."""
    told = report(
        turn("a", T0, "Thank you, Ann!", amount_fen=3_000),
        turn("b", T0 + 1_000, event=None),
        turn("c", T0 + 2_000, "Rose…", event=event(kind=Kind.GIFT, text="", gift="rose", count=3, name=""), state="failed",
             reason="interrupted"),
        turn("d", T0 + 3_000, event=event(kind=Kind.SCHEDULE), state="failed", reason="quite_new"),
        Counted(at_ms=T0, received=1, answered=0, dropped={"stale": 1}),
        rows=[row("spoken", samples=36_000), row("withdrawn", "b", reason="withdrawn"), row("received", "c")],
    )  # fmt: skip
    shown = page(told, "en", 480)
    for part in (
        "2023-11-15 06:13:20 – 06:13:29 (UTC+08:00)", "<b><bdi>Ann</bdi></b> · super chat", '<span class="paid">¥30.00</span>',
        "<time>06:13:20</time><span><bdi>Thank you, Ann!</bdi></span>", "(idle talk)", "(nameless)", "<bdi>rose × 3</bdi>",
        "cut short: <bdi>interrupted</bdi>", "not heard: <bdi>quite_new</bdi>", "1.5 s", "taken back by the platform",
        "waited too long</bdi> <b>1</b>", '<td class="waiting">waiting',
    ):  # fmt: skip
        assert part in shown
    part = page(report(turn("a", T0, "One.", reason="in_part")), "zh")
    assert '<span class="spoken"><bdi>有一句没能说出</bdi></span>' in part
    assert "UTC-03:30" in page(told, "xx", -210)


def test_the_days_of_a_long_show() -> None:
    """A report of several days says the day of each time."""
    told = report(turn("a", T0, "One."), turn("b", T0 + 86_400_000, "Two."))
    assert "2023-11-14 22:13:20 – 2023-11-15 22:13:20" in page(told, "en")
    assert "<time>11-15 22:13:20</time>" in page(told, "en")


def test_a_time_that_is_none() -> None:
    """A platform may say anything."""
    assert "<time>?</time>" in page(report(rows=[row("spoken", at_ms=10**18)]), "en")


class _Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.seen: set[str] = set()
        self.attributes: set[str] = set()
        self.said: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.add(tag)
        self.attributes.update(name for name, _ in attrs)
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.said.append(data)


HOSTILE = st.sampled_from(
    [
        "<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "</bdi></td></table><iframe src=//x>", "&lt;b&gt;",
        "' onmouseover='alert(1)", "\u202ednuof eb ton lliw\u202c", "</style><svg onload=alert(1)>", "<!--", "]]>", "\x00\x1b[2J",
        "javascript:alert(1)", "{{7*7}}", "<bdi>", "&#x3C;script&#x3E;",
    ]
) | st.text(max_size=40)  # fmt: skip


@given(HOSTILE, HOSTILE, HOSTILE, HOSTILE, st.sampled_from(["zh", "en"]))
def test_no_text_is_markup(name: str, words: str, said: str, why: str, language: str) -> None:
    """Whatever a viewer calls himself or writes, the page has its own elements and attributes and no other."""
    rows = [LedgerRow(event=event(name=name, text=words), state="failed", reason=why, at_ms=T0)]
    told = report(
        turn("t", T0, said, event=event(name=name, text=words), state="failed", reason=why),
        Counted(at_ms=T0, received=1, answered=0, dropped={why: 1}),
        rows=rows,
    )
    parser = _Tags()
    parser.feed(page(told, language))
    parser.close()
    assert parser.seen <= ALLOWED
    assert parser.attributes <= {"lang", "charset", "name", "content", "class", "scope", "http-equiv"}
    assert parser.open == []
    assert not set("".join(parser.said)) & set("\u202e\u202c\u200b\x00\x1b")


def test_texts() -> None:
    """An empty text is nothing; controls and marks of direction are spaces."""
    assert text("") == ""
    assert text("a\u202eb\x07<") == "<bdi>a b &lt;</bdi>"


def test_money() -> None:
    """Yuan with two digits and commas."""
    assert [yuan(fen) for fen in (0, 5, 123_456_789)] == ["¥0.00", "¥0.05", "¥1,234,567.89"]


def test_every_word_is_there_in_both_languages() -> None:
    """Chinese and English have the same words, each kind of event has one, and an unknown reason is shown as it is."""
    assert set(WORDS["zh"]) == set(WORDS["en"])
    assert all(all(words) for words in REASONS.values())
    assert set(Kind) - {Kind.WITHDRAWAL, Kind.STARTED, Kind.ENDED} <= set(WORDS["en"])
    assert (reason("stale", "zh"), reason("stale", "en"), reason("odd", "zh")) == (
        "太久没轮到",
        "waited too long",
        "odd",
    )


@pytest.mark.parametrize("language", ["zh", "en"])
def test_the_page_needs_nothing(language: str) -> None:
    """No script, no link, no image, nothing that is loaded; and its policy says so."""
    shown = page(report(turn("t", T0, "One."), rows=[row("spoken")]), language)
    assert f'<html lang="{language}">' in shown
    assert "default-src 'none'" in shown
    assert not any(part in shown for part in ("<script", "src=", "href=", "url(", "@import", "http://", "https://"))
