"""The programs against strangers in their short form, and that each can fail."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.security.__main__ import programs

ROOT = Path(__file__).parents[2]
KNOWN = programs()
pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.timeout(150)]


def run(tmp_path: Path, *words: str) -> tuple[int, list[dict[str, Any]], str]:
    """Exit code, rows, and what was printed."""
    command = [sys.executable, "-m", "tests.security", *words, "--json", str(tmp_path / "rows.json")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=140, check=False)
    file = tmp_path / "rows.json"
    return done.returncode, json.loads(file.read_text()) if file.exists() else [], done.stdout + done.stderr


@pytest.mark.parametrize("name", KNOWN)
def test_the_promise_holds(name: str, tmp_path: Path) -> None:
    """And the attacks did land."""
    code, (row,), said = run(tmp_path, name, "--short")
    assert (code, row["holds"], row["landed"] > 0) == (0, True, True), said
    assert f"{name}: held: " in said


@pytest.mark.parametrize(("name", "rule"), [(name, program.sabotages[0]) for name, program in KNOWN.items()])
def test_a_broken_rule_is_found(name: str, rule: str, tmp_path: Path) -> None:
    """The program can fail: with the rule broken it says so."""
    code, (row,), said = run(tmp_path, name, "--short", "--sabotage", rule)
    assert (code, row["holds"], row["found"]) == (0, False, True), said


@pytest.mark.parametrize("words", [("S99",), ("S4", "--sabotage", "nonsense"), ("--nonsense",)])
def test_wrong_use_is_told(words: tuple[str, ...], tmp_path: Path) -> None:
    """Exit 2, and what there is."""
    code, rows, said = run(tmp_path, *words)
    assert (code, rows) == (2, [])
    assert "usage: " in said
