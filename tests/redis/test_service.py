"""Each service as a process of its own: ready, scraped, drained; told apart from its broker and its configuration."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import pytest
from redis import Redis

from tests.conftest import LIVE, WORK, ask, broker

ROOT = Path(__file__).parents[2]
SERVICES = ("asr", "llm", "tts", "gateway", "ingest", "avatar")
CONFIG = """\
personas: {host: {voice: plain}, friend: {voice: plain}}
voices: {plain: {engines: [{espeak: {voice: cmn}}]}}
"""


@contextmanager
def running(
    service: str, data: Path, urls: dict[str, str], config: str = CONFIG, **more: str
) -> Generator[subprocess.Popen[str]]:
    """The service on those brokers, ended at the end."""
    (data / "onair.yaml").write_text(config)
    given = {
        "PATH": os.environ["PATH"],
        "ONAIR_CONFIG": str(data / "onair.yaml"),
        "ONAIR_DATA": str(data),
        "WORK_REDIS_URL": urls["work"],
        "LIVE_REDIS_URLS": urls["live"],
        "GATEWAY_PORT": "0",
        f"{service.upper()}_HEALTH_PORT": "0",
        **more,
    }
    command = [sys.executable, "-m", f"services.{service}"]
    process = subprocess.Popen(
        command, cwd=ROOT, env=given, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def note(data: Path, process: subprocess.Popen[str]) -> dict[str, Any]:
    """What the service wrote about itself, as soon as it has."""
    pattern = f"*-{process.pid}.json"
    until(lambda: any((data / "run").glob(pattern)) or process.poll() is not None)
    return json.loads(next((data / "run").glob(pattern)).read_text())


def until(true: Callable[[], bool], seen: object = "") -> None:
    """Look again for twenty seconds."""
    end = time.monotonic() + 20
    while not true():
        assert time.monotonic() < end, seen
        time.sleep(0.05)


def get(port: int, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_gets_ready_and_drains(service: str, tmp_path: Path, broker_url: str, live_url: str) -> None:
    """/readyz turns 200, /healthz and /metrics answer, SIGTERM ends it with 0 and its note is gone; logs are JSON."""
    with running(service, tmp_path, {"work": broker_url, "live": live_url}) as process:
        port = note(tmp_path, process)["health_port"]
        until(lambda: get(port, "/readyz")[0] == 200, get(port, "/readyz"))
        assert get(port, "/healthz")[0] == 200
        assert "onair_problems 0.0" in get(port, "/metrics")[1]
        process.send_signal(signal.SIGTERM)
        said, _ = process.communicate(timeout=20)
        assert process.returncode == 0, said
        assert not list((tmp_path / "run").glob("*.json"))
    lines = [json.loads(line) for line in said.splitlines()]
    assert {line["service"] for line in lines} == {service}


def test_a_service_without_its_broker_is_not_ready_and_says_so(tmp_path: Path) -> None:
    """While the broker is frozen /readyz is 503 and names it; when it is back the service is ready by itself."""
    (tmp_path / "w").mkdir()
    (tmp_path / "l").mkdir()
    with (
        broker(tmp_path / "l", *LIVE) as live,
        broker(tmp_path / "w", *WORK) as work,
        running("llm", tmp_path, {"work": work, "live": live}) as process,
    ):
        port = note(tmp_path, process)["health_port"]
        until(lambda: get(port, "/readyz")[0] == 200)
        pid = pid_of(work)
        os.kill(pid, signal.SIGSTOP)
        try:
            until(lambda: get(port, "/readyz")[0] == 503)
            assert "bus" in json.loads(get(port, "/readyz")[1])["problems"]
        finally:
            os.kill(pid, signal.SIGCONT)
        until(lambda: get(port, "/readyz")[0] == 200)


def pid_of(url: str) -> int:
    client: Any = cast("Any", Redis).from_url(url)
    with client:
        return int(client.info("server")["process_id"])


def test_a_broken_configuration_is_one_sentence(tmp_path: Path) -> None:
    """Exit 2; file, line and key are named, and there is no traceback."""
    urls = {"work": "redis://127.0.0.1:1", "live": "redis://127.0.0.1:1"}
    with running("tts", tmp_path, urls, CONFIG + "engins: {}\n") as process:
        said, _ = process.communicate(timeout=20)
    assert process.returncode == 2
    assert said.strip().endswith("onair.yaml:3: engins: unknown key")
    assert "Traceback" not in said


def test_a_refused_password_is_one_sentence(tmp_path: Path) -> None:
    """Exit 2 at once; the broker and the variable are named, the password is not."""
    with broker(tmp_path, *WORK) as url:
        assert ask(int(url.rpartition(":")[2]), "CONFIG SET requirepass sesame") == "+OK"
        wrong = url.replace("redis://", "redis://:canary-9d1e@")
        with running("tts", tmp_path, {"work": wrong, "live": wrong}) as process:
            said, _ = process.communicate(timeout=20)
    assert process.returncode == 2, said
    assert "the work broker lets nobody in like this" in said
    assert "check the password in WORK_REDIS_URL" in said
    assert len(said.strip().splitlines()) <= 2
    assert "canary-9d1e" not in said
    assert "Traceback" not in said


def test_in_a_container_it_waits(tmp_path: Path) -> None:
    """With ONAIR_WAIT a wrong configuration is said once, and the process ends with 2 when it is told to."""
    urls = {"work": "redis://127.0.0.1:1", "live": "redis://127.0.0.1:1"}
    with running("tts", tmp_path, urls, ONAIR_WAIT="1", TTS_ENGINES="opera") as process:
        assert process.stdout
        assert process.stdout.readline() == "TTS_ENGINES names opera; known: espeak, openai, scripted\n"
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(1)
        process.send_signal(signal.SIGTERM)
        rest, _ = process.communicate(timeout=20)
    assert (process.returncode, rest) == (2, "")
