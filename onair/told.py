"""A show's lines in words for people: what the recorder and the live view both say. Pure."""

from collections.abc import Iterable

from onair.latency import STEPS, Latency
from onair.show import Layout, Line, Spoken, tame
from services.contract.ingest import Decided, LiveEvent
from services.contract.message import Message

WHY = {
    "operator": "an operator's line",
    "paid_first": "paid goes first",
    "highest_price": "the highest price first",
    "oldest_paid": "the oldest of the paid",
    "chat_turn": "a comment's turn among the paid",
    "oldest_chat": "the oldest comment",
    "welcome": "nothing else waits",
    "idle": "nobody writes",
}
"""The director's stable words for why something is answered."""


def why(reason: str) -> str:
    """That word with its meaning."""
    return f"{WHY[reason]} ({reason})" if reason in WHY else reason


def price(fen: int) -> str:
    """1/100 CNY as people write it; '' for nothing."""
    yuan, rest = divmod(fen, 100)
    return f"¥{yuan}.{rest:02}" if rest else f"¥{yuan}" if yuan else ""


def seconds(ms: int) -> str:
    """Milliseconds in seconds with two digits."""
    return f"{ms / 1_000:.2f}"


def way(latency: Latency | None) -> str:
    """A sentence's age and where it came from."""
    if latency is None:
        return ""
    parts = ((name, getattr(latency, name)) for name in STEPS)
    return f"{seconds(latency.age)} s = " + " + ".join(f"{name} {seconds(ms)}" for name, ms in parts)


def told(line: Line, layout: Layout | None) -> str:
    """What people see of a line while it happens; '' for nothing."""
    requests = layout.requests if layout else {}
    match line:
        case {"type": "turn_aired", "turn": str(turn)} if request := requests.get(turn):
            asked = request.ask or "(nothing is asked)"
            text = f"{request.viewer or request.lane.value} › {asked}"
        case {"type": "caption", "text": str(words)}:
            text = f"    “{words}”"
        case {"type": "failed", "sentence": str(sentence)}:
            text = f"    ! {sentence}"
        case {"type": "turn_dropped", "turn": str(turn), "reason": str(reason)}:
            text = f"    – {turn} dropped: {reason}"
        case _:
            text = ""
    return tame(text)


def plain(message: Message, lines: Iterable[Line], layout: Layout | None) -> list[str]:
    """An entry in lines for a terminal that cannot be drawn on. Sentences are told when they are heard, not here."""
    found: list[str] = []
    match message:
        case LiveEvent() as event:
            what = event.text or event.gift or event.kind.value
            found.append(
                tame(" ".join(filter(None, (price(event.amount_fen), f"{event.viewer.name or 'somebody'}: {what}"))))
            )
        case Decided(choice="answer" | "idle", reason=reason):
            found.append(f"    answers next: {why(reason)}")
        case Decided(choice="drop", reason=reason, event=event) if event:
            found.append(tame(f"    – {event.viewer.name or 'somebody'} dropped: {reason}"))
        case _:
            pass
    shown = (told(line, layout) for line in lines if line["type"] in {"turn_aired", "turn_dropped"})
    return [*found, *filter(None, shown)]


def spoken_line(spoken: Spoken) -> str:
    """A sentence that is heard now, with its age."""
    return tame(f"    “{spoken.text}”  {way(spoken.latency)}".rstrip())
