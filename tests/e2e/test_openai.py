"""All three engines are OpenAI-compatible servers: a clip is heard, a chat is answered and spoken."""

import base64
import json
import subprocess
import sys
from collections.abc import Generator
from pathlib import Path

import pytest

from bench.upstream import content
from services.runtime import sound
from tests.e2e.test_up import ONAIR, ROOT, post, up

KEY = "sk-canary"
pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.timeout(180)]
YAML = """
personas: {{friend: {{language: en, voice: alloy}}}}
voices: {{alloy: {{engines: [{{openai: {{voice: alloy}}}}]}}}}
engines:
  llm: {{openai: {{model: m, base_url: {url}}}}}
  asr: {{openai: {{model: m, base_url: {url}}}}}
  tts: {{openai: {{model: m, base_url: {url}}}}}
"""


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Generator[Path]:
    """A configuration whose engines are a server that runs; its journal lies beside it."""
    monkeypatch.setenv("TTS_ENGINES", "openai")
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    command = [sys.executable, "-m", "bench.upstream", "--machinery", "--log", str(tmp_path / "times.jsonl")]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout
            url = process.stdout.readline().split()[1]
            path = tmp_path / "onair.yaml"
            path.write_text(YAML.format(url=url))
            yield path
        finally:
            process.terminate()


def run(config: Path, *more: str) -> str:
    """What `onair` prints with that configuration; it must succeed."""
    command = [str(ONAIR), *more, "--config", str(config)]
    done = subprocess.run(command, cwd=config.parent, capture_output=True, text=True, check=False, timeout=100)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_a_chat_is_answered_and_spoken_and_a_clip_heard(config: Path, tmp_path: Path) -> None:
    """The three servers' words and sound reach the client, each was asked for the same turn; the key is in no log."""
    data = tmp_path / "data"
    data.mkdir()
    with up(data, "--config", str(config)) as (_, url):
        clip = base64.urlsafe_b64encode((ROOT / "examples" / "weather-en.wav").read_bytes()).decode()
        heard = json.loads(post(f"{url}/api/asr", {"data": clip}))
        assert heard == content.transcript(content.TRANSCRIPT, 1, 0)
        asked = [{"role": "system", "content": "Put it in quotes."}, {"role": "user", "content": heard}]
        told = post(f"{url}/api/chat", {"msg": asked})
    pieces = [json.loads(line[6:]) for line in told.splitlines() if line]
    assert "".join(piece["message"] for piece in pieces[:-1]).replace(" ", "") == content.answer(heard).replace(" ", "")
    for piece in pieces[:-1]:
        spoken = sound.read_wav(base64.urlsafe_b64decode(piece["file"]))
        assert (spoken.rate, spoken.pcm) == (24_000, content.speech(piece["message"].strip()))
    times = [json.loads(line) for line in (tmp_path / "times.jsonl").read_text().splitlines()]
    assert {(each["kind"], each["mark"]) for each in times} == {
        (kind, "1") for kind in ("transcription", "chat", "speech")
    }
    assert not [log for log in (data / "logs").iterdir() if KEY in log.read_text()]


def test_each_is_tried_alone(config: Path, tmp_path: Path) -> None:
    """`onair try asr` and `onair try tts` ask the servers, `onair doctor` finds nothing wrong with them."""
    assert "This is turn 1." in run(config, "try", "asr")
    out = tmp_path / "said.wav"
    run(config, "try", "tts", "Hello there.", "--out", str(out))
    assert sound.read_wav(out.read_bytes()).pcm == content.speech("Hello there.")
    told = json.loads(run(config, "doctor", "--json"))
    states = {each["name"]: each["state"] for each in told["findings"]}
    assert {states[f"{service} openai"] for service in ("llm", "asr", "tts")} == {"ok"}
