"""The health check of a container: what it answers, and what it says."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from services.runtime.health import Health, listen
from services.runtime.probe import main

ROOT = Path(__file__).parents[2]


def note(folder: Path, port: int) -> None:
    (folder / "tts-1.json").write_text(json.dumps({"service": "tts", "pid": 1, "health_port": port}))


def test_ready_and_not(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A service with a problem fails the check, with the part and the sentence; without one it passes, silently."""
    health = Health("tts")
    server, port = listen(health, "127.0.0.1", 0)
    try:
        note(tmp_path, port)
        health.report({"bus": "the work broker does not answer", "engine": ""})
        assert main(tmp_path) == 1
        assert capsys.readouterr().out == "tts: bus: the work broker does not answer\n"
        health.report({})
        assert main(tmp_path) == 0
        assert capsys.readouterr().out == ""
        health.moved -= 60
        assert main(tmp_path) == 1
        assert capsys.readouterr().out == "tts is stuck\n"
    finally:
        server.shutdown()
        server.server_close()


def test_nobody_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """No note, and a note whose process is gone, fail the check and say which it was."""
    assert main(tmp_path) == 1
    assert "nothing runs here yet" in capsys.readouterr().out
    note(tmp_path, 9)
    assert main(tmp_path) == 1
    assert "tts does not answer: ConnectionRefusedError" in capsys.readouterr().out


def test_as_docker_runs_it(tmp_path: Path) -> None:
    """`python -m services.runtime.probe` ends with the verdict."""
    done = subprocess.run(
        [sys.executable, "-m", "services.runtime.probe", str(tmp_path)], cwd=ROOT, capture_output=True, check=False
    )
    assert (done.returncode, done.stderr) == (1, b"")
