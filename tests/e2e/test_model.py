"""`onair demo --once` with a model: it is spoken; where it fails the show goes on and people are told."""

import asyncio
import gzip
import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.llm.server import Exchange, Script, serve

ROOT = Path(__file__).parents[2]
ONAIR = Path(sys.executable).with_name("onair")
PART_MS = 20_000
SPEED = "8"
pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.timeout(300)]
ANSWER = "模型回答说今天适合散步。"


@dataclass(frozen=True)
class Run:
    """What a run left and said."""

    code: int
    said: str
    rows: list[dict[str, Any]]
    summary: dict[str, Any]

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [row for row in self.rows if row["type"] == kind]

    def waits(self) -> list[int]:
        """For each failure of a turn: milliseconds since the turn was asked for."""
        asked = {row["turn"]: row["t_ms"] for row in reversed(self.of("turn_requested"))}
        return [row["t_ms"] - asked[row["turn"]] for row in self.of("failed")]


def small_room(folder: Path) -> Path:
    """The beginning of the shipped recording."""
    with gzip.open(ROOT / "recordings" / "demo.jsonl.gz", "rt", encoding="utf-8") as file:
        lines = [line for line in file if json.loads(line)["t_ms"] < PART_MS]
    path = folder / "room.jsonl"
    path.write_text("".join(lines), encoding="utf-8")
    return path


async def play(folder: Path, script: Script, key: str) -> Run:
    """The room once, answered by a server that follows the script."""
    out = folder / "show"
    async with serve(script) as server:
        env = {**os.environ, "OPENAI_BASE_URL": server.url, "OPENAI_API_KEY": key}
        process = await asyncio.create_subprocess_exec(
            str(ONAIR), "demo", "--once", "--speed", SPEED, "--out", str(out), "--data", str(folder / "data"),
            "--recording", str(small_room(folder)),
            cwd=ROOT, env=env, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        said = (await process.communicate())[0].decode()
    assert process.returncode is not None
    rows = [json.loads(line) for line in (out / "show.jsonl").read_text(encoding="utf-8").splitlines()]
    assert (out / "summary.json").exists(), said[-3_000:]
    return Run(process.returncode, said, rows, json.loads((out / "summary.json").read_text()))


def models(exchange: Exchange) -> bool:
    return "/models" in exchange.head.splitlines()[0]


async def answering(exchange: Exchange) -> None:
    if models(exchange):
        await exchange.status(200, {"object": "list", "data": []})
        return
    await exchange.begin()
    for token in (ANSWER[:5], ANSWER[5:]):
        await exchange.delta(token)
    await exchange.delta(None, "stop")
    await exchange.event("[DONE]")
    await exchange.end()


async def refusing(exchange: Exchange) -> None:
    await exchange.status(401, {"error": {"message": "Incorrect API key provided"}})


async def silent(exchange: Exchange) -> None:
    await exchange.closed.wait()


async def test_the_models_answers_are_spoken(tmp_path: Path) -> None:
    """What the server answers is in the captions with its sound, and the latency is broken down."""
    run = await play(tmp_path, answering, "a-key")
    assert run.code == 0, run.said[-3_000:]
    spoken = "".join(row["text"] for row in run.of("sentence") if row["to_ms"] > row["from_ms"])
    assert "模型回答说今天适合散步" in spoken
    assert run.of("failed") == []
    assert set(run.summary["latency_ms"]) == {"lane", "llm", "tts", "floor"}
    assert all(set(figures) == {"p50", "p95"} for figures in run.summary["latency_ms"].values())
    for row in run.of("sentence"):
        assert row["latency_ms"] is None or min(row["latency_ms"].values()) >= 0


async def test_a_wrong_key_is_a_clear_word(tmp_path: Path) -> None:
    """The sentence names the remedy, never the key; what the templates say is spoken all the same and all paid is kept."""
    run = await play(tmp_path, refusing, "a-wrong-key")
    assert run.code == 0, run.said[-3_000:]
    assert "refuses the key (401); set OPENAI_API_KEY" in run.said
    assert "a-wrong-key" not in run.said
    assert max(run.waits()) <= 5_000
    assert run.summary["paid"]["spoken"] > 0
    assert "醒目留言" in "".join(row["text"] for row in run.of("sentence"))


async def test_a_silent_server_is_a_clear_word(tmp_path: Path) -> None:
    """Within 5 s of the question people are told; what the templates say is spoken meanwhile and all paid is kept."""
    run = await play(tmp_path, silent, "a-key")
    assert run.code == 0, run.said[-3_000:]
    assert "did not answer within 4 s" in run.said
    assert min(run.waits()) >= 3_500
    assert max(run.waits()) <= 5_000
    assert run.summary["paid"]["spoken"] > 0
