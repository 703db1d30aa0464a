"""More fault programs in their short form, and that each sees a rule that is broken."""

from pathlib import Path

import pytest

from tests.chaos.test_short import run

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.timeout(150)]


@pytest.mark.parametrize("name", ["R9", "R14", "R17", "R20", "R21", "R22", "R23", "R25"])
def test_the_promise_holds(name: str, tmp_path: Path) -> None:
    """The faults landed and the promise held."""
    code, (row,), said = run(tmp_path, name, "--short")
    assert (code, row["holds"]) == (0, True), said
    assert row["landed"] >= 3


@pytest.mark.parametrize(
    ("name", "rule"),
    [
        ("R14", "no_seen"),
        ("R17", "no_order"),
        ("R20", "own_reads"),
        ("R21", "no_watch"),
        ("R22", "own_reads"),
        ("R23", "no_place"),
    ],
)
def test_a_broken_rule_is_found(name: str, rule: str, tmp_path: Path) -> None:
    """The program can fail: with the rule broken it says so."""
    code, (row,), said = run(tmp_path, name, "--short", "--sabotage", rule)
    assert (code, row["holds"], row["found"]) == (0, False, True), said
