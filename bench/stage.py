"""What a benchmark runs on: `onair up` whose three engines are `bench.upstream`, both as processes of their own."""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
TICKS = os.sysconf("SC_CLK_TCK")
STOP_S = 30
YAML = """
personas: {{friend: {{language: en, voice: alloy}}}}
voices: {{alloy: {{engines: [{{openai: {{voice: alloy}}}}]}}}}
engines:
  llm: {{openai: {{model: m, base_url: {url}}}}}
  asr: {{openai: {{model: m, base_url: {url}}}}}
  tts: {{openai: {{model: m, base_url: {url}}}}}
"""


@dataclass(frozen=True)
class Stage:
    """Where it is played."""

    url: str
    """Of the gateway."""
    folder: Path

    def upstream(self) -> list[dict[str, Any]]:
        """What the server that stands for all engines was asked so far, with its times in ns of the shared clock."""
        text = (self.folder / "upstream.jsonl").read_text(encoding="utf-8")
        return [json.loads(line) for line in text.splitlines()]

    def processes(self) -> dict[str, int]:
        """Every service of ours by its name and process id."""
        notes = (json.loads(note.read_text(encoding="utf-8")) for note in (self.folder / "data" / "run").glob("*.json"))
        return {f"{note['service']}-{note['pid']}": int(note["pid"]) for note in notes if "service" in note}

    def cpu_s(self) -> dict[str, float]:
        """Seconds of processor that each has used so far."""
        used = dict[str, float]()
        for name, pid in self.processes().items():
            fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
            used[name] = (int(fields[11]) + int(fields[12])) / TICKS
        return used


@contextmanager
def started(argv: Sequence[str], env: dict[str, str], err: Path) -> Generator[str]:
    """A program that says `ready URL` first; the URL. It is told to end at the end."""
    with (
        err.open("w") as errors,
        subprocess.Popen(
            argv, cwd=ROOT, env={**os.environ, **env}, stdout=subprocess.PIPE, stderr=errors, text=True
        ) as process,
    ):
        try:
            assert process.stdout  # noqa: S101  it is a pipe
            word, _, url = process.stdout.readline().strip().partition(" ")
            if word != "ready":
                raise RuntimeError(f"{argv[2]} did not start: {err.read_text()[-2_000:]}")
            yield url
        finally:
            process.terminate()
            process.wait(STOP_S)


@contextmanager
def stage(*upstream: str, more: Sequence[str] = (), workers: int = 32, yaml: str = "") -> Generator[Stage]:
    """The whole, with these options of `python -m bench.upstream` and of `onair up`."""
    with tempfile.TemporaryDirectory(prefix="bench-") as temporary:
        folder = Path(temporary)
        server = [sys.executable, "-m", "bench.upstream", "--log", str(folder / "upstream.jsonl"), *upstream]
        with started(server, {}, folder / "upstream.err") as url:
            config = folder / "onair.yaml"
            config.write_text(YAML.format(url=url) + yaml, encoding="utf-8")
            onair = [sys.executable, "-m", "onair", "up", "--port", "0", "--config", str(config)]
            many = {f"{service}_WORKERS": str(workers) for service in ("LLM", "TTS", "ASR")}
            env = {"TTS_ENGINES": "openai", "OPENAI_API_KEY": "sk-bench", **many}
            with started([*onair, "--data", str(folder / "data"), *more], env, folder / "onair.err") as gateway:
                time.sleep(1.0)  # what services do once after their start is not measured
                yield Stage(gateway, folder)
