"""`onair demo --once`: a recorded room is answered aloud by six processes."""

import array
import json
import re
import subprocess
import sys
import wave
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from services.contract.ingest import LedgerRow
from services.contract.tts import AIR_RATE

ROOT = Path(__file__).parents[2]
ONAIR = Path(sys.executable).with_name("onair")
pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.timeout(420)]


@dataclass(frozen=True)
class Show:
    """What a run left."""

    folder: Path
    said: str
    summary: dict[str, Any]
    rows: list[dict[str, Any]]

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [row for row in self.rows if row["type"] == kind]

    def samples(self, begin: int, end: int) -> "array.array[int]":
        with wave.open(str(self.folder / "show.wav")) as file:
            assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (AIR_RATE, 1, 2)
            file.setpos(begin)
            return array.array("h", file.readframes(end - begin))


@pytest.fixture(scope="module")
def show(tmp_path_factory: pytest.TempPathFactory) -> Show:
    """One run from an empty data folder; it must exit 0."""
    folder, data = tmp_path_factory.mktemp("show"), tmp_path_factory.mktemp("data")
    command = [str(ONAIR), "demo", "--once", "--out", str(folder), "--data", str(data), "--port", "0"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=400, check=False)
    assert done.returncode == 0, f"{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    rows = [json.loads(line) for line in (folder / "show.jsonl").read_text(encoding="utf-8").splitlines()]
    return Show(folder, done.stdout, json.loads((folder / "summary.json").read_text()), rows)


def test_everything_paid_is_spoken_or_was_withdrawn(show: Show) -> None:
    """Paid received = spoken + withdrawn by the platform, and the room has a dozen purchases."""
    paid = show.summary["paid"]
    assert paid["received"] == paid["spoken"] + paid["withdrawn"]
    assert paid["failed"] == 0
    assert paid["withdrawn"] == 1
    assert paid["spoken"] >= 12


def test_what_came_in_is_answered_or_dropped_with_a_reason(show: Show) -> None:
    """Received = answered + dropped, exactly; the flood is pushed out, the duplicates are told."""
    dropped = show.summary["dropped"]
    assert show.summary["received"] == show.summary["answered"] + sum(dropped.values())
    assert {"duplicate", "pushed_out", "withdrawn"} <= set(dropped)
    assert show.summary["lost_samples"] == 0


def test_each_paid_id_is_heard_and_seen(show: Show) -> None:
    """Its turn's interval in show.wav is not silent, its captions stand in show.srt at that time."""
    captions = cues((show.folder / "show.srt").read_text(encoding="utf-8"))
    closed = {cause: turn for turn in show.of("turn_closed") for cause in turn["causes"]}
    spoken = [row for row in show.of("ledger") if row["state"] == "spoken"]
    assert len(spoken) == show.summary["paid"]["spoken"]
    for row in spoken:
        turn = closed[row["event"]]
        begin, end = turn["from_sample"], turn["to_sample"]
        sound = show.samples(begin, end)
        assert len(sound) == end - begin > AIR_RATE / 2
        assert sum(abs(sample) > 500 for sample in sound) > len(sound) // 20
        texts = [text for at, text in captions if turn["from_ms"] - 1 <= at < turn["to_ms"]]
        assert texts
        assert texts == [row["text"] for row in show.of("caption") if row["turn"] == turn["turn"]]


def test_turns_are_heard_one_after_the_other(show: Show) -> None:
    """No two turns overlap, and the wave ends with the last one."""
    spans = sorted((turn["from_sample"], turn["to_sample"]) for turn in show.of("turn_closed"))
    assert all(before[1] <= after[0] for before, after in pairwise(spans))
    with wave.open(str(show.folder / "show.wav")) as file:
        assert 0 <= file.getnframes() - spans[-1][1] < AIR_RATE


def test_each_decision_has_a_reason(show: Show) -> None:
    """Paid went first while a comment waited, and somebody can read why."""
    decisions = show.of("decision")
    assert all(row["reason"] for row in decisions)
    assert {"answer", "air", "drop", "settle"} <= {row["choice"] for row in decisions}


def test_no_comment_older_than_fifteen_seconds_is_answered(show: Show) -> None:
    """A stale comment is dropped, never aired."""
    at = {row["event"]: row["t_ms"] for row in reversed(show.of("event"))}
    aired = {row["turn"]: row["t_ms"] for row in show.of("turn_aired")}
    for turn in show.of("turn_requested"):
        if turn["lane"] == "chat" and turn["turn"] in aired:
            assert aired[turn["turn"]] - at[turn["causes"][0]] <= 15_200


def test_the_scripted_persona_says_that_it_is(show: Show) -> None:
    """Without a key nobody is deceived: its first answer says that it answers by a script."""
    assert any("脚本" in row["text"] for row in show.of("caption"))


def test_the_first_word_is_measured(show: Show) -> None:
    """The summary has the latency that a viewer feels, from the event to the first sound of its answer."""
    figures = show.summary["first_word_ms"]
    assert 0 < figures["p50"] <= figures["p95"]


def test_the_ledger_can_be_read_after_the_end(show: Show) -> None:
    """`onair ledger` opens the kept broker and finds the conservation law."""
    assert show.of("ledger")
    assert all(row["state"] in {"spoken", "withdrawn"} for row in show.of("ledger"))
    assert set(LedgerRow.model_fields) >= {"state", "turn", "samples"}


def cues(srt: str) -> list[tuple[int, str]]:
    """(begin in ms, text) of each cue."""
    found = re.findall(r"(\d+):(\d\d):(\d\d),(\d{3}) --> [^\n]+\n([^\n]+)", srt)
    return [((int(h) * 60 + int(m)) * 60_000 + int(s) * 1_000 + int(ms), text) for h, m, s, ms, text in found]
