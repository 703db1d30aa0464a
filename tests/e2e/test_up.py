"""`onair up`: the whole house on one machine, and its doors."""

import base64
import json
import os
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from services.runtime import sound

ROOT = Path(__file__).parents[2]
ONAIR = Path(sys.executable).with_name("onair")
pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.timeout(180)]


@contextmanager
def up(data: Path, *more: str) -> Generator[tuple[subprocess.Popen[str], str]]:
    """`onair up` on a free port until it prints its address; ended by SIGINT."""
    command = [str(ONAIR), "up", "--port", "0", "--data", str(data), *more]
    with (data / "err").open("w") as err:
        process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=err, text=True)
        try:
            assert process.stdout
            lines = iter(process.stdout.readline, "")
            ready = next((line for line in lines if line.startswith("ready ")), "")
            assert ready, (data / "err").read_text()
            yield process, ready.split()[1]
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(20)
            assert process.stdout
            process.stdout.close()


def post(url: str, body: object) -> str:
    request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        return answer.read().decode()


def notes(data: Path) -> list[dict[str, Any]]:
    """What each service wrote about itself."""
    found = [json.loads(note.read_text()) for note in (data / "run").glob("*.json")]
    return [note for note in found if "service" in note]


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_chat_is_answered_and_a_clip_is_heard(tmp_path: Path) -> None:
    """The original client's two calls work on a fresh `onair up`; SIGINT ends it with 130 and leaves no process."""
    with up(tmp_path) as (process, url):
        told = post(f"{url}/api/chat", {"msg": [{"role": "user", "content": "你好呀"}]})
        pieces = [json.loads(line[6:]) for line in told.splitlines() if line]
        assert [piece["done"] for piece in pieces] == [*[False] * (len(pieces) - 1), True]
        first = sound.read_wav(base64.urlsafe_b64decode(pieces[0]["file"]))
        assert (first.rate, first.channels) == (24_000, 1)
        assert not sound.is_silent(first.pcm)
        clip = base64.urlsafe_b64encode((ROOT / "examples" / "weather-en.wav").read_bytes()).decode()
        assert json.loads(post(f"{url}/api/asr", {"data": clip})) == "what is the weather today"
        running = [note["pid"] for note in notes(tmp_path)]
        assert len(running) == 7
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 130
        assert not [pid for pid in running if alive(pid)]


def test_a_killed_worker_comes_back_and_the_chat_goes_on(tmp_path: Path) -> None:
    """After kill -9 on every tts and llm worker they are started again, and the next chat is answered."""
    with up(tmp_path, "--scale", "tts=2") as (_, url):
        for note in notes(tmp_path):
            if note["service"] in {"tts", "llm"}:
                os.kill(note["pid"], signal.SIGKILL)
        told = post(f"{url}/api/chat", {"msg": [{"role": "user", "content": "hello, who are you?"}]})
        pieces = [json.loads(line[6:]) for line in told.splitlines() if line]
        assert pieces[-1]["done"]
        assert len(pieces) > 1


def test_a_taken_port_is_one_clear_sentence(tmp_path: Path) -> None:
    """Exit 2, the port is named, nothing is left running."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        command = [str(ONAIR), "up", "--port", str(port), "--data", str(tmp_path)]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert str(port) in done.stderr
    assert "Traceback" not in done.stderr
    assert not notes(tmp_path)
