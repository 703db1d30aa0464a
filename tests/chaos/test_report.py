"""The page of the promises: written whole, or with the rows of some programs in the place of their old ones."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog

from tests.chaos import __main__ as chaos
from tests.chaos.program import Outcome, Program
from tests.chaos.report import BROKEN, WHOLE, page, read
from tests.security import __main__ as security

ROOT = Path(__file__).parents[2]
PROMISES, SECURITY = ROOT / "docs" / "promises.md", ROOT / "docs" / "security.md"


@pytest.fixture
def own_log() -> Iterator[None]:
    """What a program says of its log ends with the test."""
    before = structlog.get_config()
    yield
    structlog.configure(**before)


def row(program: str, sabotage: str = "", broker: str = "valkey", figure: str = "1 | 2\n3") -> dict[str, Any]:
    """As a program gives it."""
    said = {"program": program, "promise": "it holds", "fault": "kill", "sabotage": sabotage, "figure": figure}
    rest = {"landed": 3, "seed": 1, "seconds": 4.4, "broker": broker, "holds": not sabotage, "why": "lost"}
    return {**said, **rest, "found": bool(sabotage)}


def names(text: str) -> list[tuple[str, str]]:
    """Program and broker of each row."""
    return [(each[0], each[7]) for each in read(text, WHOLE)]


def test_a_row_is_read_as_it_was_written() -> None:
    """In one line, without the sign that ends a cell; nothing else of it is changed."""
    (found,) = read(page([row("R1")]), WHOLE)
    assert found == ("R1", "it holds", "kill", "1 ∣ 2 3", "3", "1", "4", "valkey", "held")
    assert read(page([row("R1", "no_fence")]), BROKEN) == [("R1", "`no_fence`", "lost", "3", "4", "found")]


def test_rows_are_replaced_by_program_and_broker() -> None:
    """A new row takes the place of its own; the rows of other programs, brokers and rules stay, by their numbers."""
    before = page([row("R2"), row("R10"), row("R2", broker="docker"), row("R2", "no_fence"), row("R10", "no_heal")])
    after = page([row("R2", figure="new"), row("R4"), row("R2", "no_reclaim")], before)
    assert names(after) == [("R2", "valkey"), ("R2", "docker"), ("R4", "valkey"), ("R10", "valkey")]
    assert [each[3] for each in read(after, WHOLE)] == ["new", "1 ∣ 2 3", "1 ∣ 2 3", "1 ∣ 2 3"]
    rules = [each[:2] for each in read(after, BROKEN)]
    assert rules == [("R2", "`no_fence`"), ("R2", "`no_reclaim`"), ("R10", "`no_heal`")]


def test_nothing_is_kept_of_a_page_that_is_written_whole() -> None:
    """Without a page before there are these rows alone, and without a broken rule no chapter on them."""
    assert names(page([row("R4")])) == [("R4", "valkey")]
    assert "With a rule broken" not in page([row("R4")])


def test_no_row_of_our_own_page_is_lost_by_merging() -> None:
    """The page of the repository is read whole: every line of its tables is a row, and written again it is the same."""
    text = PROMISES.read_text(encoding="utf-8")
    again = page([], text)
    for head in (WHOLE, BROKEN):
        assert read(again, head) == read(text, head)
    lines = [each for each in text.splitlines() if each.startswith("| R")]
    assert [each for each in again.splitlines() if each.startswith("| R")] == lines


async def _hold(_: object) -> Outcome:
    return Outcome("all well", 3, 3)


async def _fail(_: object) -> Outcome:
    return Outcome("found", 3, 3, ("it broke",))


@pytest.mark.usefixtures("own_log")
@pytest.mark.parametrize(("made", "name", "shipped"), [(chaos, "R77", PROMISES), (security, "S77", SECURITY)])
def test_the_command_puts_a_named_program_on_the_page(
    made: Any, name: str, shipped: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`NAME --report PAGE` adds its rows and keeps the others; `--report` alone leaves only what was run now."""
    program = Program(name, "it holds", "kill", lambda setup: _fail(0) if setup.sabotage else _hold(0), ("no_rule",))
    monkeypatch.setattr(made, "programs", lambda: {name: program})
    path = tmp_path / "page.md"
    text = shipped.read_text(encoding="utf-8")
    path.write_text(text, encoding="utf-8")
    rows = [each for each in text.splitlines() if each.startswith(("| R", "| S"))]
    assert made.main([name, "--report", str(path)]) == 0
    once = path.read_text(encoding="utf-8").splitlines()
    assert {*rows} <= {*once}
    assert len([each for each in once if each.startswith(f"| {name} ")]) == 2
    assert made.main(["--report", str(path)]) == 0
    assert len([each for each in path.read_text(encoding="utf-8").splitlines() if each.startswith(("| R", "| S"))]) == 2


def test_rows_of_files_make_a_page(tmp_path: Path) -> None:
    """`python -m tests.chaos.report`: of several files the later ones win."""
    files = [tmp_path / "one.json", tmp_path / "two.json"]
    files[0].write_text(json.dumps([row("R1"), row("R2")]), encoding="utf-8")
    files[1].write_text(json.dumps([row("R1", figure="new")]), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "tests.chaos.report", *map(str, files)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert [each[3] for each in read(done.stdout, WHOLE)] == ["new", "1 ∣ 2 3"]
