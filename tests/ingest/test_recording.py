"""The room that is shipped is what the demonstration needs, and can be made again."""

import gzip
import json
import runpy
from collections import Counter
from itertools import pairwise
from pathlib import Path

from services.contract.ingest import Kind, Lane, LiveEvent
from services.ingest.adapters.replay import Line, load
from services.ingest.core import bilibili
from services.ingest.core.bilibili import is_summary
from services.ingest.core.events import Parsed, parse
from services.ingest.core.ports import Frame

ROOT = Path(__file__).parents[2]
PATH = ROOT / "recordings" / "demo.jsonl.gz"
NOW_MS = 1_800_000_000_000

LINES = load(PATH)


def read(line: Line) -> Parsed:
    return parse(Frame(NOW_MS + line.t_ms, line.platform, line.frame, recorded=True), "demo")


def events() -> list[LiveEvent]:
    return [event for line in LINES for event in read(line).events]


def commands() -> Counter[str]:
    """How often each command and type was sent, among the frames that are well formed."""
    good = [json.loads(line.frame) for line in LINES if not read(line).bad]
    return Counter(str(body.get("cmd", body.get("Type"))) for body in good)


def test_reproducible() -> None:
    """The script gives the shipped recording, character by character, in less than 40 KB."""
    made = runpy.run_path(str(ROOT / "scripts" / "make_recording.py"))["lines"]()
    assert "".join(f"{line}\n" for line in made) == gzip.decompress(PATH.read_bytes()).decode()
    assert PATH.stat().st_size < 40_000


def test_size() -> None:
    """There are at least 300 commands and 100 envelopes in 75 seconds, by time, and PREPARING is the last."""
    count = Counter(line.platform for line in LINES)
    assert count["bilibili"] >= 300
    assert count["douyin"] >= 100
    times = [line.t_ms for line in LINES]
    assert times == sorted(times)
    assert times[-1] == 75_000
    assert read(LINES[-1]).events[0].kind == Kind.ENDED


def test_every_kind() -> None:
    """Every command with a rule and all nine types are in it, some with a suffix, some unknown."""
    count = commands()
    assert set(bilibili.RULES) | set("123456789") <= set(count)
    assert any(name.startswith("DANMU_MSG:") for name in count)
    assert count["WATCHED_CHANGE"] > 0


def test_paid() -> None:
    """After duplicates, twins and combos 12 things are paid for and to be spoken, and one is withdrawn in time."""
    paid = {event.combo or event.id: event for event in events() if event.lane == Lane.PAID}
    (withdrawal,) = (event for event in paid.values() if event.kind == Kind.WITHDRAWAL)
    (withdrawn,) = withdrawal.withdraws
    assert 0 < withdrawal.at_ms - paid.pop(withdrawn).at_ms <= 1_500
    paid.pop(withdrawal.id)
    kinds = Counter((event.source, event.kind) for event in paid.values())
    assert kinds == {
        ("bilibili", Kind.SUPER_CHAT): 5,
        ("bilibili", Kind.GUARD): 2,
        ("bilibili", Kind.GIFT): 3,
        ("douyin", Kind.GIFT): 2,
    }
    prices = [event.amount_fen for event in paid.values() if event.kind == Kind.SUPER_CHAT]
    assert (min(prices), max(prices)) == (3_000, 50_000)


def test_same_second() -> None:
    """Two super chats come within one second, so that one waits while the other is answered."""
    first = {event.id: event.at_ms for event in reversed(events()) if event.kind == Kind.SUPER_CHAT}
    times = sorted(first.values())
    assert any(later - earlier < 1_000 for earlier, later in pairwise(times))


def test_combos() -> None:
    """Five gifts are a combo with its summary; Douyin's combos come in increments, one without an end."""
    combos: dict[str, list[LiveEvent]] = {}
    for event in events():
        if event.combo:
            combos.setdefault(event.combo, []).append(event)
    summed, *douyin = combos.values()
    assert [is_summary(event) for event in summed] == [False] * 5 + [True]
    assert sum(event.amount_fen for event in summed[:5]) == summed[5].amount_fen
    assert [[event.count for event in combo] for combo in douyin] == [[1, 1, 2, 1, 3, 2], [1, 1, 1]]


def test_flood() -> None:
    """At least 120 danmaku come within two seconds."""
    times = sorted(event.at_ms for event in events() if event.kind == Kind.DANMAKU)
    assert any(times[no + 119] - times[no] <= 2_000 for no in range(len(times) - 119))


def test_duplicates() -> None:
    """Frames are delivered again, one super chat five times."""
    again = Counter(line.frame for line in LINES)
    super_chats = [count for frame, count in again.items() if '"SUPER_CHAT_MESSAGE"' in frame]
    assert max(super_chats) == 5
    assert sum(count > 1 for frame, count in again.items() if '"DANMU_MSG' in frame) >= 5


def test_malformed() -> None:
    """At least 8 frames of both platforms cannot be read, each for a reason."""
    bad = [(line.platform, read(line).rejected) for line in LINES if read(line).bad]
    assert len(bad) >= 8
    assert {platform for platform, _ in bad} == {"bilibili", "douyin"}
    assert len({reason for _, reason in bad}) >= 5


def test_masked() -> None:
    """Some viewers are masked and identify nobody."""
    assert sum("***" in event.viewer.name and not event.viewer.id for event in events()) >= 5
