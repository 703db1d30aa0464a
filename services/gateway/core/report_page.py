"""A report as one HTML page: needs nothing from anywhere, runs no script, can be printed, and trusts no text."""

import html
import re
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from services.contract.ingest import Kind, LedgerRow, LiveEvent, TurnSettled
from services.contract.tts import AIR_RATE
from services.gateway.core.report import WAITING, Report
from services.gateway.core.report_words import WORDS, reason
from services.runtime.law import FINAL

POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
"""Even if a text got through, it could load and run nothing."""
_UNSEEN = re.compile("[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]")
"""Controls and marks of direction, by which a name could disguise what stands beside it."""
STYLE = """
:root{--ink:#1d2330;--soft:#667085;--line:#e4e7ec;--tint:#f7f8fa;--good:#0f7b4b;--bad:#b42318;--wait:#9a6700}
*{box-sizing:border-box}
body{margin:0;background:#fff;color:var(--ink);font:15px/1.55 system-ui,-apple-system,"Segoe UI","PingFang SC",
"Noto Sans SC","Microsoft YaHei","WenQuanYi Micro Hei",sans-serif}
main{max-width:62rem;margin:0 auto;padding:2.2rem 1.4rem 4rem}
h1{font-size:1.7rem;margin:0;letter-spacing:-.01em}
h2{font-size:1.1rem;margin:2.4rem 0 .7rem}
.when,.note{color:var(--soft);margin:.2rem 0 0}
.note{font-size:.85rem}
.sums{display:grid;grid-template-columns:repeat(auto-fit,minmax(8.4rem,1fr));gap:.7rem;margin:1.5rem 0 1rem}
.sums div{border:1px solid var(--line);border-radius:.6rem;padding:.7rem .9rem}
.sums b{display:block;font-size:1.3rem;line-height:1.35;white-space:nowrap;font-variant-numeric:tabular-nums}
.sums span{color:var(--soft);font-size:.85rem}
.law{border-left:.25rem solid var(--good);background:var(--tint);padding:.6rem .9rem;border-radius:0 .4rem .4rem 0}
.law.broken{border-color:var(--bad);color:var(--bad);font-weight:600}
.law code{font:inherit;font-variant-numeric:tabular-nums}
.why{list-style:none;padding:0;margin:.6rem 0 0;display:flex;flex-wrap:wrap;gap:.4rem}
.why li{background:var(--tint);border-radius:1rem;padding:.1rem .7rem;font-size:.9rem}
.turn{border-top:1px solid var(--line);padding:.75rem 0;break-inside:avoid}
.asked{color:var(--soft);overflow-wrap:anywhere}
.asked b{color:var(--ink)}
.turn p{margin:.25rem 0 0;display:flex;gap:.8rem}.turn p span{overflow-wrap:anywhere}
time{color:var(--soft);font-variant-numeric:tabular-nums;white-space:nowrap}
.paid{color:var(--wait);font-weight:600;white-space:nowrap}
table{border-collapse:collapse;width:100%;font-size:.92rem}
th{text-align:left;color:var(--soft);font-weight:500;font-size:.85rem}
th:nth-child(2){min-width:7.5rem}
th,td{padding:.45rem .5rem;border-bottom:1px solid var(--line);vertical-align:top;overflow-wrap:anywhere}
.n{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}
.spoken{color:var(--good)}.failed{color:var(--bad);font-weight:600}.waiting{color:var(--wait)}
.wide{overflow-x:auto}
@media(max-width:36rem){main{padding:1.4rem 1rem}.wide table{min-width:38rem}}
@media print{main{max-width:none;padding:0}body{font-size:10.5pt}thead{display:table-header-group}
tr,.sums div{break-inside:avoid}@page{margin:16mm}}
"""


def page(told: Report, language: str, offset_min: int = 0) -> str:
    """The page in `zh` or `en`; times are shown `offset_min` minutes east of UTC."""
    return _Page(told, language if language in WORDS else "en", offset_min).whole()


def text(given: str) -> str:
    """Any text as a page may hold it: nothing in it is markup, nothing steers what stands beside it."""
    return f"<bdi>{html.escape(_UNSEEN.sub(' ', given))}</bdi>" if given else ""


def yuan(fen: int) -> str:
    """1/100 CNY as people write it."""
    return f"¥{fen // 100:,}.{fen % 100:02}"


class _Page:
    def __init__(self, told: Report, language: str, offset_min: int) -> None:
        self._told = told
        self._language = language
        self._words = WORDS[language]
        self._offset = timedelta(minutes=offset_min)
        one_day = self._at(told.from_ms, "%Y%m%d") == self._at(told.to_ms, "%Y%m%d")
        self._clock = "%H:%M:%S" if one_day else "%m-%d %H:%M:%S"

    def whole(self) -> str:
        title = f"{self._words['title']} · {html.escape(self._told.room)}"
        return (
            f'<!doctype html>\n<html lang="{self._language}"><head><meta charset="utf-8"><title>{title}</title>\n'
            f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">\n'
            '<meta name="viewport" content="width=device-width,initial-scale=1"><meta name="robots" content="noindex">\n'
            f"<style>{STYLE}</style></head>\n<body><main>\n<h1>{title}</h1>\n"
            f"{self._head()}{self._sums()}{self._law()}{self._why()}{self._said()}{self._ledger()}</main></body></html>\n"
        )

    def _at(self, ms: int, form: str = "") -> str:
        """Unix milliseconds as a clock shows them; a platform's time may be any number."""
        try:
            return (datetime.fromtimestamp(ms / 1_000, UTC) + self._offset).strftime(form or self._clock)
        except (ValueError, OverflowError, OSError):
            return "?"

    def _head(self) -> str:
        told, day = self._told, "%Y-%m-%d %H:%M:%S"
        first, last = self._at(told.from_ms, day), self._at(told.to_ms, day)
        last = last[11:] if last[:10] == first[:10] else last
        hours, minutes = divmod(abs(int(self._offset.total_seconds())) // 60, 60)
        zone = f"UTC{'-' if self._offset < timedelta() else '+'}{hours:02}:{minutes:02}"
        made = f"{self._words['made']} {self._at(told.made_ms, day)}"
        return f'<p class="when">{self._words["span"]}: {first} – {last} ({zone}) · {made}</p>\n'

    def _sums(self) -> str:
        told, words = self._told, self._words
        sums = (
            ("received", f"{told.received:,}"),
            ("answered", f"{told.answered:,}"),
            ("dropped", f"{sum(told.dropped.values()):,}"),
            ("turns", f"{len(told.turns):,}"),
            ("captions", f"{told.sentences:,}"),
            ("paid", yuan(told.fen["received"])),
        )
        cells = "".join(f"<div><b>{value}</b><span>{words[name]}</span></div>" for name, value in sums)
        return f'<div class="sums">{cells}</div>\n'

    def _law(self) -> str:
        law, words, fen = self._told.law, self._words, self._told.fen
        counts = ((state, getattr(law, state)) for state in (*FINAL, WAITING))
        parts = " + ".join(f"{words[state]} {count} ({yuan(fen[state])})" for state, count in counts)
        relation = "=" if law.holds else "≠"
        whole = f"{words['received']} {law.received} ({yuan(fen['received'])}) {relation} {parts}"
        verdict = words["holds" if law.holds else "broken"]
        broken = "" if law.holds else " broken"
        return f'<p class="law{broken}">{words["law"]} {verdict}: <code>{whole}</code></p>\n'

    def _why(self) -> str:
        items = "".join(
            f"<li>{text(reason(word, self._language))} <b>{count:,}</b></li>"
            for word, count in self._told.dropped.items()
        )
        shown = f'<ul class="why">{items}</ul>' if items else ""
        return f'{shown}<p class="note">{self._words["kept"]}</p>\n'

    def _said(self) -> str:
        words = self._words
        turns = "".join(map(self._turn, self._told.turns)) or f'<p class="note">{words["nothing_said"]}</p>'
        return f"<h2>{words['said']}</h2>\n{turns}\n"

    def _turn(self, turn: TurnSettled) -> str:
        ends = f' · <span class="{turn.state}">{self._ending(turn)}</span>' if turn.reason else ""
        asked = f'<div class="asked">{self._asked(turn.event, turn.amount_fen)}{ends}</div>'
        lines = (
            f"<p><time>{self._at(said.from_ms)}</time><span>{text(said.text)}</span></p>" for said in turn.captions
        )
        return f'<div class="turn">{asked}{"".join(lines)}</div>\n'

    def _ending(self, turn: TurnSettled) -> str:
        why = text(reason(turn.reason, self._language))
        return why if turn.state == "spoken" else f"{self._words['cut' if turn.captions else 'unheard']}: {why}"

    def _asked(self, event: LiveEvent | None, fen: int) -> str:
        """Who is answered, and what he did; an idle topic is nobody's."""
        if event is None or event.kind is Kind.SCHEDULE:
            return self._words["nobody"]
        paid = f' <span class="paid">{yuan(fen)}</span>' if fen else ""
        return f"<b>{self._name(event)}</b> · {self._kind(event)}{paid} {self._what(event)}"

    def _kind(self, event: LiveEvent) -> str:
        return self._words.get(event.kind, event.kind)

    def _name(self, event: LiveEvent) -> str:
        return text(event.viewer.name) or self._words["somebody"]

    @staticmethod
    def _what(event: LiveEvent) -> str:
        gift = f"{event.gift} × {event.count}" if event.gift else ""
        return text(event.text or gift)

    def _ledger(self) -> str:
        words = self._words
        if not self._told.rows:
            return f'<h2>{words["ledger"]}</h2><p class="note">{words["nothing_paid"]}</p>\n'
        names = ("time", "viewer", "what", "amount", "state", "reason", "sound")
        right = {"amount", "sound"}
        heads = "".join(f'<th{self._side(name in right)} scope="col">{words[name]}</th>' for name in names)
        rows = "".join(self._row(self._cells(row)) for row in self._told.rows)
        table = f"<table><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table>"
        return f'<h2>{words["ledger"]}</h2>\n<div class="wide">{table}</div>\n'

    @staticmethod
    def _side(right: bool) -> str:  # noqa: FBT001  left or right
        return ' class="n"' if right else ""

    def _cells(self, row: LedgerRow) -> tuple[str, ...]:
        event, state = row.event, row.state if row.state in FINAL else WAITING
        word = self._words[WAITING if row.state == "received" else row.state]
        sound = f"{row.samples / AIR_RATE:.1f} s" if row.samples else ""
        return (
            f"<td><time>{self._at(event.at_ms)}</time></td>",
            f"<td>{self._name(event)}</td>",
            f"<td>{self._kind(event)} {self._what(event)}</td>",
            f'<td class="n">{yuan(event.amount_fen)}</td>',
            f'<td class="{state}">{word} <time>{self._at(row.at_ms)}</time></td>',
            f"<td>{text(reason(row.reason, self._language))}</td>",
            f'<td class="n">{sound}</td>',
        )

    @staticmethod
    def _row(cells: Iterable[str]) -> str:
        return f"<tr>{''.join(cells)}</tr>\n"
