"""The fault programs in their short form: the same faults, fewer of them."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.chaos.program import programs

ROOT = Path(__file__).parents[2]
LANDED = {"R1": 10, "R2": 9, "R5": 3}
pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.timeout(150)]


def run(tmp_path: Path, *words: str) -> tuple[int, list[dict[str, Any]], str]:
    """Exit code, rows, and what was printed."""
    command = [sys.executable, "-m", "tests.chaos", *words, "--json", str(tmp_path / "rows.json")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=140, check=False)
    file = tmp_path / "rows.json"
    return done.returncode, json.loads(file.read_text()) if file.exists() else [], done.stdout + done.stderr


@pytest.mark.parametrize("name", LANDED)
def test_the_promise_holds(name: str, tmp_path: Path) -> None:
    """Nothing is lost, nothing is said twice, and the faults did land inside a job."""
    code, (row,), said = run(tmp_path, name, "--short")
    assert (code, row["holds"]) == (0, True), said
    assert row["landed"] >= LANDED[name]
    assert row["numbers"]["lost"] == row["numbers"]["doubled"] == 0
    assert f"{name}: held: " in said
    assert "seed 1" in said


@pytest.mark.parametrize(("name", "rule"), [("R4", "no_fence"), ("R5", "everysec")])
def test_a_broken_rule_is_found(name: str, rule: str, tmp_path: Path) -> None:
    """The program can fail: with the rule broken it says so."""
    code, (row,), said = run(tmp_path, name, "--short", "--sabotage", rule)
    assert (code, row["holds"], row["found"]) == (0, False, True), said
    assert f"{name} with {rule}: BROKEN: " in said


def test_every_program_is_listed() -> None:
    """By name, promise, fault, and the broken rules that it finds; each finds one at least."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.chaos", "--list"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    lines = done.stdout.splitlines()
    assert [line.split("\t")[0] for line in lines] == list(programs())
    assert all(program.sabotages for program in programs().values())


@pytest.mark.parametrize("words", [("R99",), ("R1", "--sabotage", "nonsense"), ("--nonsense",)])
def test_wrong_use_is_told(words: tuple[str, ...], tmp_path: Path) -> None:
    """Exit 2, and what there is."""
    code, rows, said = run(tmp_path, *words)
    assert (code, rows) == (2, [])
    assert "usage: " in said
