"""What a run must show, as plain functions: what was acknowledged against what the ledger says and what was heard."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from services.contract.ingest import LedgerRow, TurnRequested
from services.contract.message import Message
from services.runtime.law import FINAL, law
from services.runtime.timeline import Caption, Closed, Cut, Lost, Opened, SentenceOver, Sound, Timeline


@dataclass
class Said:
    """One sentence as a listener heard it."""

    turn: str
    index: int
    text: str
    samples: int = 0
    lost: int = 0
    """Samples that the session no longer had."""
    reason: str | None = None
    """Why it was over: '' if it was spoken to its end; None if it never was."""
    gaps: int = 0
    """Sounds that did not begin where the one before had ended."""


class Ear:
    """One listener of one room: folds the session as every reader does."""

    def __init__(self) -> None:
        self._timeline = Timeline()
        self._numbers: dict[str, int] = {}
        self.said: list[Said] = []
        self.opened: list[str] = []
        self.closed: list[str] = []
        self.cut: dict[str, str] = {}
        self.causes: dict[str, tuple[str, ...]] = {}
        """Turn → ids of the events that it answers."""
        self.untold: list[str] = []
        """Turns that the session was never told of."""

    def feed(self, message: Message, blob: bytes = b"") -> None:
        """The next entry of the session."""
        if isinstance(message, TurnRequested):
            self.causes[message.turn], self._numbers[message.turn] = message.causes, message.no
        for out in self._timeline.feed(message, blob):
            match out:
                case Opened(turn):
                    self.opened.append(turn)
                case Caption(turn, index, text):
                    self.said.append(Said(turn, index, text))
                case Sound(turn, index, offset, pcm):
                    said = self._of(turn, index)
                    said.gaps += offset != said.samples + said.lost
                    said.samples += len(pcm) // 2
                case Lost(turn, index, samples):
                    self._of(turn, index).lost += samples
                case SentenceOver(turn, index, reason):
                    self._of(turn, index).reason = reason
                case Closed(turn):
                    self.closed.append(turn)
                case Cut(turn, reason):
                    self.cut[turn] = reason

    def _of(self, turn: str, index: int) -> Said:
        """The sentence; one without a caption (it had no sound) is told as well."""
        found = next((s for s in reversed(self.said) if (s.turn, s.index) == (turn, index)), None)
        if found is None:
            found = Said(turn, index, "")
            self.said.append(found)
        return found

    def learn(self, rows: Mapping[str, LedgerRow]) -> None:
        """What the ledger knows of turns whose request was committed by one who died before he told the session."""
        for id_, row in rows.items():
            if row.turn and row.turn not in self.causes:
                self.untold.append(row.turn)
                self.causes[row.turn] = (id_,)

    def inversions(self) -> int:
        """Turns that were heard after one of a higher number, and sentences after one of a higher index."""
        numbers = [self._numbers[turn] for turn in self.opened if turn in self._numbers]
        places = [(self._numbers[said.turn], said.index) for said in self.said if said.turn in self._numbers]
        return sum(one > two for one, two in pairwise(numbers)) + sum(one > two for one, two in pairwise(places))

    def heard(self) -> dict[str, list[Said]]:
        """Event → the sentences with sound that were heard for it."""
        found: dict[str, list[Said]] = {}
        for said in self.said:
            for id_ in self.causes.get(said.turn, ()) if said.samples else ():
                found.setdefault(id_, []).append(said)
        return found


@dataclass(frozen=True)
class Left:
    """What one work stream still holds."""

    length: int
    pending: int


@dataclass(frozen=True)
class Evidence:
    """All that a run leaves."""

    acked: Mapping[str, Sequence[str]]
    """Room → ids of what was paid for and acknowledged to its sender, in the order in which it was sent."""
    rows: Mapping[str, Mapping[str, LedgerRow]]
    """Room → the ledger."""
    lanes: Mapping[str, frozenset[str]]
    """Room → ids that still lie in the paid lane."""
    ears: Mapping[str, Ear]
    left: Mapping[str, Left]
    """Work stream → what it holds."""
    samples: Mapping[str, int] = field(default_factory=dict[str, int])
    """Id → the length of its whole sound, where that is known."""
    texts: Mapping[str, frozenset[str]] = field(default_factory=dict[str, frozenset[str]])
    """Id → what its answer may be, where that is known; spaces do not count."""
    may_fail: bool = False
    """What was paid for may end as failed, visibly."""
    ordered: bool = True
    """What is paid alike is answered in the order in which it was sent."""


@dataclass(frozen=True)
class Judgement:
    """The counts of a run and what is wrong with it."""

    counts: dict[str, int]
    problems: tuple[str, ...]

    def __str__(self) -> str:
        """The figure: what every program prints."""
        c = self.counts
        ends = f"{c['spoken']} spoken, {c['failed']} failed visibly, {c['withdrawn']} withdrawn"
        return f"{c['acked']} paid: {ends}; {c['lost']} lost, {c['doubled']} twice, {c['inverted']} out of order"


def judge(found: Evidence) -> Judgement:
    """Lost, doubled, out of order, left behind; and the law: received = spoken + failed + withdrawn."""
    rows = {id_: row for room in found.rows.values() for id_, row in room.items()}
    acked = {id_ for ids in found.acked.values() for id_ in ids}
    for room, ear in found.ears.items():
        ear.learn(found.rows.get(room, {}))
    heard = {room: ear.heard() for room, ear in found.ears.items()}
    states = Counter(row.state for row in rows.values())
    counts = {
        "acked": len(acked),
        **{state: states[state] for state in FINAL},
        "lost": len(lost(acked, rows)),
        "doubled": sum(len(doubled(ear)) for ear in found.ears.values()),
        "inverted": sum(ear.inversions() for ear in found.ears.values()),
        "displaced": sum(displaced(found.acked.get(room, ()), ear) for room, ear in found.ears.items()),
        "short": len(short(found.samples, rows, heard)),
        "unheard": len(unheard(rows, heard)),
        "altered": len(altered(found.texts, rows, heard)),
        "gaps": sum(said.gaps for ear in found.ears.values() for said in ear.said),
        "untold": sum(len(ear.untold) for ear in found.ears.values()),
        "left": sum(left.length + left.pending for left in found.left.values()),
    }
    return Judgement(counts, tuple(problems(found, counts, rows)))


def problems(found: Evidence, counts: Mapping[str, int], rows: Mapping[str, LedgerRow]) -> Iterable[str]:
    """A sentence for each thing that is wrong."""
    words = {
        "lost": "acknowledged and in no final state",
        "doubled": "heard twice",
        "inverted": "heard out of order",
        "short": "not heard to their end",
        "unheard": "spoken by the ledger, heard by nobody",
        "altered": "heard with a sentence missing, repeated or changed",
        "gaps": "sounds that do not join",
        "left": "entries left in work streams",
    }
    for name, what in words.items():
        if counts[name]:
            yield f"{counts[name]} {what}"
    if counts["altered"]:
        heard = {
            id_: "|".join(s.text for s in saids) for ear in found.ears.values() for id_, saids in ear.heard().items()
        }
        id_ = altered(found.texts, rows, {room: ear.heard() for room, ear in found.ears.items()})[0]
        yield f"{id_} was heard as {heard[id_]!r}, its answers are {sorted(found.texts[id_])}"
    if counts["displaced"] and found.ordered:
        yield f"{counts['displaced']} answered out of the order in which they were sent"
    if not found.may_fail and (failed := [f"{i} ({r.reason})" for i, r in rows.items() if r.state == "failed"]):
        yield f"{len(failed)} failed: {', '.join(failed[:3])}"
    for room, ledger in found.rows.items():
        held = law(ledger, found.lanes.get(room, frozenset()))
        if not held.holds or held.waiting:
            yield f"the law of {room}: {held}"


def lost(acked: Iterable[str], rows: Mapping[str, LedgerRow]) -> list[str]:
    """Acknowledged to the sender, without a final state."""
    return [id_ for id_ in acked if id_ not in rows or rows[id_].state not in FINAL]


def doubled(ear: Ear) -> list[str]:
    """Events that were heard in more than one turn, sentences that were captioned more than once."""
    turns = {id_: {said.turn for said in saids} for id_, saids in ear.heard().items()}
    twice = Counter((said.turn, said.index) for said in ear.said)
    again = [f"{turn}/{index}" for (turn, index), times in twice.items() if times > 1]
    return [*(id_ for id_, names in turns.items() if len(names) > 1), *again]


def displaced(sent: Sequence[str], ear: Ear) -> int:
    """Events that were heard before one that was sent earlier; those that were asked for twice stand outside."""
    turns = Counter(id_ for causes in ear.causes.values() for id_ in causes)
    place = {id_: at for at, id_ in enumerate(sent)}
    heard = [place[id_] for id_ in ear.heard() if id_ in place and turns[id_] == 1]
    return sum(one > two for one, two in pairwise(heard))


def short(
    samples: Mapping[str, int], rows: Mapping[str, LedgerRow], heard: Mapping[str, Mapping[str, Sequence[Said]]]
) -> list[str]:
    """Spoken by the ledger, of which a listener did not hear every sample."""
    sums = {id_: sum(s.samples for s in saids) for room in heard.values() for id_, saids in room.items()}
    spoken = [id_ for id_, row in rows.items() if row.state == "spoken" and id_ in samples]
    return [id_ for id_ in spoken if id_ in sums and sums[id_] != samples[id_]]


def altered(
    texts: Mapping[str, frozenset[str]],
    rows: Mapping[str, LedgerRow],
    heard: Mapping[str, Mapping[str, Sequence[Said]]],
) -> list[str]:
    """Spoken by the ledger, of which a listener heard other sentences than those of its answer."""
    said = {id_: "".join(s.text for s in saids) for room in heard.values() for id_, saids in room.items()}
    spoken = [id_ for id_, row in rows.items() if row.state == "spoken" and id_ in texts and id_ in said]
    return [id_ for id_ in spoken if "".join(said[id_].split()) not in {"".join(t.split()) for t in texts[id_]}]


def unheard(rows: Mapping[str, LedgerRow], heard: Mapping[str, Mapping[str, Sequence[Said]]]) -> list[str]:
    """Spoken by the ledger, of which a listener of its room heard nothing."""
    known = {id_ for room in heard.values() for id_ in room}
    return [id_ for id_, row in rows.items() if row.state == "spoken" and row.event.room in heard and id_ not in known]
