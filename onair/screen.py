"""Draws the live view with rich: what is on air, the comments, the figures and the health, at 80×24 and larger."""

from collections.abc import Iterable

from rich.console import Group, RenderableType
from rich.layout import Layout as Areas
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from onair.show import Spoken, tame
from onair.told import price, way, why
from onair.view import Choice, Comment, View
from services.contract.ingest import LiveEvent

WIDE = 116
"""Columns from which comments stand beside what is on air."""
FOOT = 5
FATES = {
    "waiting": "dim",
    "answering": "yellow",
    "on air": "bold green",
    "answered": "green",
    "dropped": "dim red",
    "withdrawn": "magenta",
    "merged": "cyan",
}
KINDS = {
    "super_chat": "super chat",
    "enter": "came in",
    "follow": "follows",
    "share": "shared",
    "like": "likes",
    "guard": "guard",
}
"""Words for a comment that has no text of its own."""


def draw(view: View, now_ms: int, width: int, height: int) -> Areas:
    """The whole view as it stands at that moment (Unix milliseconds)."""
    wide, room = width >= WIDE, height - 1 - FOOT
    talk, said = Areas(name="comments", ratio=4), Areas(name="air", ratio=5)
    lines = (room if wide else room * 2 // 5) - 2
    above = (room if wide else room - room * 2 // 5) - 2
    talk.update(Panel(_comments(view, lines), title="comments", title_align="left", border_style="blue"))
    said.update(Panel(_air(view, now_ms, above), title="on air", title_align="left", border_style="green"))
    body, whole = Areas(name="body", size=room), Areas()
    if wide:
        body.split_row(said, talk)
    else:
        said.size, talk.size = above + 2, lines + 2
        body.split_column(said, talk)
    head, foot = Areas(_head(view, now_ms), name="head", size=1), Areas(_foot(view, now_ms), name="foot", size=FOOT)
    whole.split_column(head, body, foot)
    return whole


def _line(*parts: tuple[str, str] | str) -> Text:
    """One line that ends in … where it is too long."""
    text = Text(no_wrap=True, overflow="ellipsis")
    for part in parts:
        words, style = (part, "") if isinstance(part, str) else part
        text.append(tame(words), style)
    return text


def _head(view: View, now_ms: int) -> RenderableType:
    minutes, seconds = divmod(max(0, now_ms - view.began_ms) // 1_000, 60)
    grid = Table.grid(expand=True)
    grid.add_column(no_wrap=True, overflow="ellipsis")
    grid.add_column(justify="right", no_wrap=True)
    grid.add_row(
        _line(
            ("● OnAir ", "bold red"),
            (f"{minutes:02}:{seconds:02}  ", ""),
            ("watch and listen: ", "dim"),
            (view.address, "bold cyan"),
        ),
        _line(("Ctrl-C ends it", "dim")),
    )
    return grid


def _cause(choice: Choice) -> Text:
    """What is answered: the event itself, or for a topic of the host's own what is asked."""
    if (event := choice.event) is None or not event.viewer.name:
        return _line(("the host › ", "bold yellow"), (choice.request.ask, "bold"))
    more = len(choice.request.causes) - 1
    money = (f"{price(event.amount_fen)} ", "bold yellow") if event.amount_fen else ""
    return _line(
        money, (f"{event.viewer.name} › ", "bold yellow"), (words(event), "bold"), f"  (+{more})" if more else ""
    )


def _air(view: View, now_ms: int, lines: int) -> RenderableType:
    """The turn, why it was chosen, what is next, and as many sentences as there is room for."""
    choice, following = view.now_aired(), view.prepared()
    if choice is None:
        return Group(_line(("nobody has been answered yet", "dim")))
    rows = [_cause(choice), _line(("why    ", "dim"), (why(choice.reason) or "–", "yellow"))]
    if following:
        who = following.request.viewer or "the host"
        rows.append(_line(("next   ", "dim"), who, (f" — {why(following.reason)}", "dim")))
    else:
        rows.append(_line(("next   ", "dim"), ("–", "dim")))
    said = view.said(now_ms)[-max(1, (lines - len(rows)) // 2) :]
    at = view.layout.rate * (now_ms - view.layout.origin_ms) // 1_000 if view.layout else 0
    return Group(*rows, *(line for spoken in said for line in _sentence(spoken, speaking=at < spoken.end)))


def _sentence(spoken: Spoken, *, speaking: bool) -> Iterable[Text]:
    mark, style = ("▶ ", "bold white") if speaking else ("  ", "white")
    cut = (f"  [{spoken.reason}]", "red") if spoken.reason else ""
    yield _line((mark, "bold green"), (spoken.text, style), cut)
    yield _line((f"    {way(spoken.latency)}", "dim"))


def _comments(view: View, lines: int) -> RenderableType:
    table = Table.grid(expand=True, padding=(0, 1))
    table.add_column(justify="right", style="bold yellow", no_wrap=True)
    table.add_column(ratio=1, no_wrap=True, overflow="ellipsis")
    table.add_column(justify="right", no_wrap=True)
    for comment in list(view.comments.values())[-max(1, lines) :]:
        table.add_row(price(comment.event.amount_fen), _words(comment), _fate(comment))
    return table if view.comments else _line(("nobody has written yet", "dim"))


def _words(comment: Comment) -> Text:
    event = comment.event
    said = words(event)
    name, style = event.viewer.name or "somebody", "bold" if event.amount_fen else "cyan"
    if said.startswith(name):  # the platform's own sentence: "somebody came in"
        return _line((name, style), said.removeprefix(name))
    return _line((f"{name}: ", style), said)


def words(event: LiveEvent) -> str:
    """What was written, given or done."""
    done = event.text or (f"{event.action or 'sent'} {event.gift} ×{event.count}" if event.gift else "")
    return done or KINDS.get(event.kind.value, event.kind.value)


def _fate(comment: Comment) -> Text:
    told = comment.reason if comment.fate == "dropped" else comment.fate
    return _line((told, FATES.get(comment.fate, "")))


def _foot(view: View, now_ms: int) -> RenderableType:
    dropped = ", ".join(f"{reason} {count}" for reason, count in view.dropped.most_common()) or "nothing"
    paid = view.paid
    wrong = view.wrong(now_ms)
    rows = [
        _line(
            ("all    ", "dim"),
            f"{view.received} came, {view.answered} answered, dropped: ",
            (dropped, "red" if view.dropped else "dim"),
        ),
        _line(
            ("paid   ", "dim"),
            f"{paid['received']} = {paid['spoken']} spoken + {paid['withdrawn']} withdrawn + ",
            (f"{paid['failed']} failed", "red" if paid["failed"] else ""),
            f" + {view.waiting_paid()} waiting",
        ),
        _health(view),
    ]
    if wrong:
        problem = Text(overflow="ellipsis")
        problem.append(f"! {tame(wrong[0])}", "bold red")
        return Group(*rows, problem)
    return Group(*rows, _line(("all is well", "dim green")) if view.health else _line(("looking …", "dim")))


def _health(view: View) -> Text:
    parts: list[tuple[str, str] | str] = [("health ", "dim")]
    for part, sentence in view.health.items():
        parts += [("✗ ", "bold red") if sentence else ("● ", "green"), (f"{part}  ", "red" if sentence else "")]
    return _line(*parts)
