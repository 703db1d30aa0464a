"""The promises that rest on the broker itself, on `redis:7-bookworm` instead of the one that comes with the command line."""

from pathlib import Path

import pytest

from tests.chaos.test_short import run


@pytest.mark.usefixtures("images")
@pytest.mark.parametrize("name", ["R1", "R5", "R9", "R10"])
def test_the_promise_holds_on_redis(name: str, tmp_path: Path) -> None:
    """The faults landed, and nothing was lost or said twice."""
    code, (row,), said = run(tmp_path, name, "--short", "--broker", "docker")
    print(said)
    assert (code, row["holds"]) == (0, True), said
    assert row["broker"] == "docker"
    assert row["landed"] >= 3
