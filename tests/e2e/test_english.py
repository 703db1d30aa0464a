"""The English partner as its original client meets it: `onair up`, a page's steps, espeak's speech and a model that answers."""

import asyncio
import json
import re
import sqlite3
import subprocess
import sys
import urllib.request
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import pytest
from websockets.asyncio.client import connect

from services.gateway.core.english import SILENCE
from services.runtime import sound
from tests.e2e.test_up import ROOT, up
from tests.llm.server import Exchange, serve

PATIENCE_S = 60
PAGE = "http://localhost:8080"
ROW = re.compile(
    r'\{"id":\d+,"session_id":\d+,"user_id":(?P<user>\d+),"data":"(?P<data>[^"]*)","create_time":"(?P<at>[^"]+)",'
    r'"update_time":"(?P=at)","audio_key":"(?P<audio>[0-9a-f-]{36}\.wav)"\}\n'
)
SECONDS = re.compile(
    r'\{"id":\d+,"session_id":\d+,"user_id":\d+,"data":"[^"]*","create_time":\d{10},"update_time":\d{10},"audio_key":"[^"]*"\}'
)
CLIP = (ROOT / "examples" / "weather-en.wav").read_bytes()
HEARD = "what is the weather today"
MODEL = """
engines:
  llm: {{openai: {{model: m, base_url: {url}}}}}
"""
pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.timeout(240)]


def fetch(url: str) -> tuple[str, bytes]:
    """What a page's fetch gets: who may read it, and the body."""
    with urllib.request.urlopen(urllib.request.Request(url, headers={"Origin": PAGE}), timeout=PATIENCE_S) as answer:
        return str(answer.headers.get("access-control-allow-origin")), answer.read()


async def lesson(url: str, session: int, utterances: int, clip: bytes = CLIP) -> list[str]:
    """The page's steps: open, send a whole recording, take two frames for rows; so many times."""
    address = f"{url.replace('http', 'ws')}/chat?user_id=7&session_id={session}"
    told: list[str] = []
    async with connect(address, proxy=None, origin=PAGE, max_size=None) as socket, asyncio.timeout(2 * PATIENCE_S):  # pyright: ignore[reportArgumentType]  a plain text will do
        for _ in range(utterances):
            await socket.send(clip)
            told += [str(await socket.recv()) for _ in range(2)]
    return told


@contextmanager
def house(folder: Path, config: str = "") -> Generator[str]:
    """All services with the shipped configuration; its engines may be others."""
    path = folder / "onair.yaml"
    shipped = (ROOT / "onair.yaml").read_text(encoding="utf-8")
    path.write_text(re.sub(r"\nengines:\n  llm: .*\n", config, shipped) if config else shipped, encoding="utf-8")
    (folder / "data").mkdir(exist_ok=True)
    with up(folder / "data", "--config", str(path)) as (_, url):
        yield url


def test_the_original_pages_steps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its frames are rows to the byte, its lists and recordings are there, also after everything was started again."""
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with house(tmp_path) as url:
        told = [ROW.fullmatch(text) for text in asyncio.run(lesson(url, 0, 1))]
        mine, teacher = (dict(found.groupdict()) if found else {} for found in told)
        assert (mine["user"], mine["data"], teacher["user"]) == ("7", HEARD, "0")
        assert teacher["data"]
        spoken = sound.read_wav(fetch(f"{url}/audio/{teacher['audio']}")[1])
        assert (spoken.rate, sound.is_silent(spoken.pcm)) == (24_000, False)
        assert fetch(f"{url}/audio/{mine['audio']}") == (PAGE, CLIP)
        assert fetch(f"{url}/ping")[1] == b'{"message":"pong"}'
    with house(tmp_path) as url:
        sessions = json.loads(fetch(f"{url}/session?user_id=7")[1])["sessions"]
        assert len(sessions) == 1
        body = fetch(f"{url}/message?user_id=7&session_id={sessions[0]}")[1].decode()
        assert re.fullmatch(rf'\{{"messages":\[{SECONDS.pattern},{SECONDS.pattern}\]\}}', body)
        again = asyncio.run(lesson(url, sessions[0], 1))
        assert [json.loads(text)["session_id"] for text in again] == sessions * 2
    kept = sqlite3.connect(tmp_path / "data" / "english.sqlite3")
    assert kept.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert kept.execute("SELECT count(*) FROM english_messages").fetchone() == (4,)
    kept.close()


@asynccontextmanager
async def house_beside(folder: Path, config: str) -> AsyncGenerator[str]:
    """The same, while the loop goes on."""
    held = house(folder, config)
    url = await asyncio.to_thread(held.__enter__)
    try:
        yield url
    finally:
        await asyncio.to_thread(held.__exit__, None, None, None)


async def test_the_model_hears_the_whole_lesson(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The teacher's prompt in English, then what was said, oldest first; a model that hangs is a row and the lesson goes on."""
    monkeypatch.setenv("OPENAI_API_KEY", "a-key")
    prompts: dict[int, list[tuple[str, str]]] = {}

    async def model(exchange: Exchange) -> None:
        if "/models" in exchange.head.splitlines()[0]:
            await exchange.status(200, {"object": "list", "data": []})
            return
        prompt = [(each["role"], each["content"]) for each in exchange.body["messages"]]
        number = [role for role, _ in prompt].count("user")
        prompts[number] = prompt
        if number == 2:
            await exchange.closed.wait()
            return
        await exchange.begin()
        await exchange.delta(f"Answer number {number}.")
        await exchange.delta(None, "stop")
        await exchange.event("[DONE]")
        await exchange.end()

    async with serve(model) as server, house_beside(tmp_path, MODEL.format(url=server.url)) as url:
        rows = [json.loads(text) for text in await lesson(url, 0, 3)]
    assert [row["data"] for row in rows[::2]] == [HEARD] * 3
    assert (rows[1]["data"], rows[5]["data"]) == ("Answer number 1.", "Answer number 3.")
    assert (rows[3]["user_id"], rows[3]["audio_key"]) == (0, SILENCE)
    assert re.match("This did not work: .*did not answer", rows[3]["data"])
    assert prompts[1][0][0] == "system"
    assert "You teach spoken English" in prompts[1][0][1]
    assert prompts[1][1:] == [("user", HEARD)]
    assert prompts[3][1:] == [("user", HEARD), ("assistant", "Answer number 1."), ("user", HEARD), ("user", HEARD)]


def test_a_database_that_cannot_be_used_is_one_clear_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Exit 2 with the remedy; the password is nowhere."""
    monkeypatch.setenv("ENGLISH_DATABASE_URL", "postgresql://onair:canary-word@127.0.0.1:1/onair")
    command = (sys.executable, "-m", "onair", "up", "--port", "0", "--data", str(tmp_path))
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 2
    assert "ENGLISH_DATABASE_URL needs a driver that is not installed" in done.stderr
    assert "canary-word" not in done.stderr + "".join(log.read_text() for log in (tmp_path / "logs").iterdir())
