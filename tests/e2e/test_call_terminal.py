"""`onair talk --mic`: a whole call from a terminal, with a stand-in for its sound devices."""

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from services.runtime.sound import write_wav
from tests.asr.speech import speech
from tests.e2e.test_up import ONAIR, ROOT, up
from tests.waiting import until

FAKE = ROOT / "tests" / "onair" / "fake_sound"
CONFIG = """
personas: {friend: {language: en, voice: slow}}
voices: {slow: {engines: [{espeak: {voice: en-us}}]}}
gateway: {persona: friend}
"""
PATIENCE_S = 90
pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.timeout(240)]


def environment(folder: Path, **more: str) -> dict[str, str]:
    path = os.pathsep.join((str(FAKE), str(ROOT)))
    known = {name: value for name, value in os.environ.items() if not name.startswith(("OPENAI_", "ONAIR_"))}
    return {**known, "PYTHONPATH": path, "CALLER": str(folder), **more}


def test_a_call_from_the_terminal(tmp_path: Path) -> None:
    """What is said is shown, the answer is heard with its captions; speech into it ends it and is answered; Ctrl-C ends."""
    for number, text in enumerate(("one two three four five", "one two three four five one two three four five")):
        (tmp_path / f"{number}.wav").write_bytes(write_wav(asyncio.run(speech(text)), 16_000))
    config = tmp_path / "onair.yaml"
    config.write_text(CONFIG, encoding="utf-8")
    with up(tmp_path, "--config", str(config)) as (_, url), (tmp_path / "out").open("wb") as out:
        argv = (sys.executable, "-m", "onair", "talk", "--mic", "--lang", "en", "--server", url)
        process = subprocess.Popen(argv, cwd=ROOT, env=environment(tmp_path), stdout=out, stderr=out)
        try:
            until(lambda: said(tmp_path).count("answered after") == 2, PATIENCE_S, lambda: said(tmp_path))
            lines = said(tmp_path).splitlines()
        finally:
            process.send_signal(signal.SIGINT)
            assert process.wait(20) == 130
    you = [line for line in lines if line.startswith("you: ")]
    assert all("four" in line for line in you)
    first, cut, second = (
        next(at for at, line in enumerate(lines) if mark in line) for mark in (you[0], "(interr", you[1])
    )
    assert first + 1 < cut < second, "an answer's captions stand between what was said and its end"
    assert (tmp_path / "heard.raw").stat().st_size > 48_000


def said(folder: Path) -> str:
    return (folder / "out").read_text(encoding="utf-8")


def test_without_devices(tmp_path: Path) -> None:
    """One sentence that names the remedy; exit code 2."""
    (tmp_path / "none").touch()
    argv = (str(ONAIR), "talk", "--mic", "--server", "http://127.0.0.1:1")
    done = subprocess.run(
        argv, cwd=tmp_path, env=environment(tmp_path), capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "no microphone" in done.stderr
    assert "without --mic" in done.stderr
