"""All of it on this machine: `up` gets ready, stops in time however it is told to, and leaves nothing behind."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from onair.processes import held
from onair.services import PROCESSES
from tests.onair.helpers import CONFIG, alive

ROOT = Path(__file__).parents[2]
STOP_S = 5.0
pytestmark = [pytest.mark.e2e, pytest.mark.slow]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a configuration that has no room."""
    (tmp_path / "onair.yaml").write_text(CONFIG, encoding="utf-8")
    return tmp_path


def start(folder: Path, *argv: str) -> subprocess.Popen[str]:
    env = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT)}
    command = (sys.executable, "-m", "onair", *argv)
    return subprocess.Popen(command, cwd=folder, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.fixture
def running(folder: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """`onair up`, ready, with its address; killed at the end if the test has not stopped it."""
    with start(folder, "up", "--port", "0", "--scale", "tts=2") as process:
        assert process.stdout
        line = process.stdout.readline()
        if not line.startswith("ready http://127.0.0.1:"):
            process.kill()
            pytest.fail(f"not ready: {line} {process.communicate()[1]}")
        yield process, line.split()[1]
        process.kill()


def pids(folder: Path) -> list[int]:
    """Every process in the folder: the command, its watchdog, eight services, workers of jobs and of speech, two brokers."""
    found = [
        int(path.parent.name) for path in Path("/proc").glob("[0-9]*/cwd") if _target(path).startswith(str(folder))
    ]
    notes = [json.loads(note.read_text()) for note in (folder / "data" / "run").glob("*-*.json")]
    assert sorted({note["service"] for note in notes}) == sorted(PROCESSES)
    assert {note["pid"] for note in notes} < set(found)
    assert len(found) == 14
    return found


def _target(path: Path) -> str:
    try:
        return str(path.readlink())
    except OSError:
        return ""


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 0)])
def test_it_gets_ready_and_stops(
    folder: Path, running: tuple[subprocess.Popen[str], str], number: signal.Signals, code: int
) -> None:
    """The gateway answers at the printed address; Ctrl-C (130) and SIGTERM (0) stop everything within 5 s."""
    process, address = running
    with urllib.request.urlopen(f"{address}/readyz", timeout=10) as answer:
        assert answer.status == 200
    started = pids(folder)
    began = time.monotonic()
    process.send_signal(number)
    assert process.wait(20) == code
    assert time.monotonic() - began < STOP_S
    assert not any(alive(pid) for pid in started)
    assert not held(folder / "data")


def test_nothing_is_left_when_it_is_killed(folder: Path, running: tuple[subprocess.Popen[str], str]) -> None:
    """After kill -9 of the command its services and brokers end, and the folder is free again."""
    process, _ = running
    started = pids(folder)
    process.kill()
    process.wait()
    until = time.monotonic() + 20
    while held(folder / "data"):
        assert time.monotonic() < until
        time.sleep(0.05)
    assert not any(alive(pid) for pid in started)


def test_a_killed_service_comes_back(folder: Path, running: tuple[subprocess.Popen[str], str]) -> None:
    """A service that is killed runs again, and it is told."""
    process, _ = running
    notes = folder / "data" / "run"
    victim = next(notes.glob("llm-*.json"))
    os.kill(int(json.loads(victim.read_text())["pid"]), signal.SIGKILL)
    until = time.monotonic() + 20
    while len(list(notes.glob("llm-*.json"))) < 2:
        assert time.monotonic() < until
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    assert "llm-1 ended (SIGKILL), starting it again" in process.communicate(timeout=20)[1]


@pytest.mark.parametrize(
    ("argv", "out", "err"),
    [
        (("try", "llm", "Hello!"), "", "ended: done"),
        (("try", "asr", str(ROOT / "examples" / "weather-en.wav")), "weather", "heard by"),
        (("try", "tts", "Good evening.", "--out", "x.wav"), "x.wav: ", "tts-1 ready"),
        (("try", "avatar", str(ROOT / "examples" / "weather-en.wav")), "█", "and ends at 0.00"),
        (("try", "ingest", "--seconds", "2"), "answer: ", "events"),
    ],
)
def test_one_service_alone(folder: Path, argv: tuple[str, ...], out: str, err: str) -> None:
    """Each service does its work alone, asked over the bus, and is gone afterwards."""
    process = start(folder, *argv)
    said, told = process.communicate(timeout=100)
    assert process.returncode == 0, told
    assert out in said
    assert err in told
