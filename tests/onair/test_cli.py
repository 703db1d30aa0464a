"""The command line as people meet it: sentences, exit codes, nothing left behind."""

import socket
import subprocess
import sys
from pathlib import Path

import pytest

from onair.processes import held
from tests.onair.helpers import CONFIG

ROOT = Path(__file__).parents[2]


def onair(folder: Path, *argv: str) -> subprocess.CompletedProcess[str]:
    """Run the command in that folder, with an environment of its own."""
    env = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT), "ONAIR_DATA": str(folder / "data")}
    command = (sys.executable, "-W", "error", "-m", "onair", *argv)
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False, timeout=100)


def refused(found: subprocess.CompletedProcess[str], folder: Path) -> str:
    """The one sentence of a refusal with exit code 2, after which nothing runs and nothing was started."""
    assert found.returncode == 2, found.stderr
    assert found.stdout == ""
    assert "Traceback" not in found.stderr
    assert not (folder / "data" / "logs").exists()
    assert not held(folder / "data")
    said = found.stderr.strip()
    assert "\n" not in said
    return said


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a good configuration."""
    (tmp_path / "onair.yaml").write_text(CONFIG, encoding="utf-8")
    return tmp_path


def test_help_names_the_commands_with_examples(folder: Path) -> None:
    """`--help` lists what there is, with examples and the exit codes."""
    found = onair(folder, "--help")
    assert found.returncode == 0
    assert all(word in found.stdout for word in ("up", "demo", "ledger", "try", "Examples", "Exit codes"))
    assert "Example" in onair(folder, "try", "tts", "--help").stdout


def test_a_taken_port(folder: Path) -> None:
    """`up` on a taken port: the sentence names port and remedy."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        said = refused(onair(folder, "up", "--port", port), folder)
    assert f"port {port}" in said
    assert "--port" in said


def test_a_broken_configuration(folder: Path) -> None:
    """An unknown key is told with file and line."""
    (folder / "onair.yaml").write_text(CONFIG + "romms: {}\n", encoding="utf-8")
    assert "onair.yaml:6: romms: unknown key" in refused(onair(folder, "up", "--port", "0"), folder)


def test_a_configuration_that_is_not_yaml(folder: Path) -> None:
    """A file that does not parse is told with its line, in one line though the parser's own message has more."""
    (folder / "broken.yaml").write_text("personas:\n  host: {voice: [\n", encoding="utf-8")
    assert "line 3" in refused(onair(folder, "up", "--config", "broken.yaml"), folder)


def test_a_missing_configuration(folder: Path) -> None:
    """A configuration that is not there: the sentence says how to name one."""
    said = refused(onair(folder, "up", "--config", "none.yaml"), folder)
    assert "there is no configuration at none.yaml" in said
    assert "--config" in said


def test_an_unknown_service(folder: Path) -> None:
    """`--scale` with a name that is no service lists those that are."""
    assert "there is no service 'voice'; known: asr" in refused(onair(folder, "up", "--scale", "voice=2"), folder)


def test_a_wrong_dot_env(folder: Path) -> None:
    """A wrong line of `.env` is told with its number."""
    (folder / ".env").write_text("what\n")
    assert ".env:1: this is no NAME=value" in refused(onair(folder, "up"), folder)


def test_a_recording_that_is_not_there(folder: Path) -> None:
    """A recording that is not there is told before anything is started."""
    argv = ("demo", "--once", "--data", "data", "--recording", str(folder / "none.gz"))
    assert "there is no recording at" in refused(onair(folder, *argv), folder)


def test_a_real_show_is_not_cleared(folder: Path) -> None:
    """The demo leaves a folder alone that holds a real show's work, and `up` leaves the demo's alone."""
    (folder / "data" / "work").mkdir(parents=True)
    assert "holds the work of a real show" in refused(onair(folder, "demo", "--once", "--data", "data"), folder)
    (folder / "data" / "demo.yaml").touch()
    assert "belongs to the demo" in refused(onair(folder, "up", "--port", "0"), folder)


def test_a_ledger_without_a_show(folder: Path) -> None:
    """A ledger that was never kept is said so."""
    assert "no show has kept anything in" in refused(onair(folder, "ledger", "demo"), folder)


def test_a_sound_that_is_not_there(folder: Path) -> None:
    """`try asr` on a missing file says which."""
    assert "cannot read" in refused(onair(folder, "try", "asr", str(folder / "none.wav")), folder)


def test_a_wrong_option(folder: Path) -> None:
    """Wrong use has exit code 2."""
    assert onair(folder, "up", "--port", "70000").returncode == 2
    assert onair(folder, "nothing").returncode == 2
