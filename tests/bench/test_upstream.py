"""The fake server: its times, its texts, its sound, its faults, its journal."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.upstream import content, schedule
from bench.upstream.__main__ import parse
from bench.upstream.awake import keep_awake
from bench.upstream.journal import Journal, Times, line
from bench.upstream.schedule import MACHINERY, Delays
from bench.upstream.server import AWAKE, Receive, Scope, Send, Upstream, serving
from services.runtime import sound
from services.tts.core.validate import Judge

ROOT = Path(__file__).parents[2]
CLIP = (ROOT / "examples" / "weather-en.wav").read_bytes()
SAY = {"model": "m", "input": "Hello, turn 7.", "response_format": "wav"}


def test_the_usual_delays() -> None:
    """First token after 200 ms, then 50 a second; text after 150; first byte after 120, then ten times real time."""
    delays = Delays()
    assert schedule.tokens(10, 3, delays) == pytest.approx([10.2, 10.22, 10.24])
    assert schedule.transcription(10, delays) == pytest.approx(10.15)
    pieces = schedule.speech(10, 10_000, 4_800, 48_000, delays)
    assert [(start, end) for _, start, end in pieces] == [(0, 4_800), (4_800, 9_600), (9_600, 10_000)]
    assert [due for due, _, _ in pieces] == pytest.approx([10.12, 10.13, 10.14])


def test_machinery_takes_no_time() -> None:
    """Everything is due at once."""
    assert schedule.tokens(5, 3, MACHINERY) == [5, 5, 5]
    assert schedule.transcription(5, MACHINERY) == 5
    assert {due for due, _, _ in schedule.speech(5, 10_000, 100, 48_000, MACHINERY)} == {5}


@given(st.integers(0, 20_000), st.integers(1, 5_000), st.floats(0, 50), st.floats(0, 1_000))
def test_pieces_are_all_of_it_in_order(size: int, piece: int, pace: float, first_ms: float) -> None:
    """They join without a gap, and none is due before its predecessor or before the first byte."""
    pieces = schedule.speech(1, size, piece, 48_000, Delays(speech_first_ms=first_ms, speech_pace=pace))
    assert [start for _, start, _ in pieces] == list(range(0, size, piece))
    assert [end for _, _, end in pieces] == [min(at + piece, size) for at in range(0, size, piece)]
    dues = [due for due, _, _ in pieces]
    assert dues == sorted(dues)
    assert not dues or dues[0] == 1 + first_ms / 1_000


@given(
    st.binary(), st.text(st.characters(codec="ascii", exclude_categories=("C",), exclude_characters='"\\'), min_size=1)
)
def test_a_form_is_read(body: bytes, name: str) -> None:
    """Files of any bytes and fields come out as they went in."""
    request = httpx2.Request("POST", "http://x", data={"model": "m"}, files={name.strip() + "f": ("a.wav", body)})
    found = content.form(request.read(), request.headers["content-type"])
    boundary = request.headers["content-type"].partition("boundary=")[2].encode()
    if b"--" + boundary not in body:
        assert found == {"model": b"m", name.strip() + "f": body}


@given(st.binary(), st.text())
def test_no_form_breaks_it(body: bytes, kind: str) -> None:
    """Whatever comes is read or left."""
    content.form(body, f"multipart/form-data; boundary=x; {kind}")
    assert content.form(body, "text/plain") == {}


@given(st.text(), st.integers(0, 10**9))
def test_the_mark_goes_all_the_way(before: str, number: int) -> None:
    """What is heard names a turn, and so does each sentence that answers it, in either language."""
    assert content.mark(content.transcript(content.TRANSCRIPT, number, 1.0)) == str(number)
    for ask in (f"{before} turn {number}", f"你好 turn {number}"):
        answer = content.answer(ask)
        assert content.mark(answer) == content.mark(ask)
        assert "".join(content.tokens(answer)) == answer
        assert answer.lower().count(f"turn {content.mark(ask)}") == 3
    assert content.answer("", "speak in quotes") == f'"{content.answer("")}"'


@pytest.mark.parametrize("text", ["Hello there, how are you today?", "你好，今天过得怎么样？", "I", "2024年"])
def test_the_sound_is_plausible(text: str) -> None:
    """The judge of all engines finds nothing wrong with it; the same text sounds the same."""
    judge = Judge(text)
    heard = judge.feed(content.speech(text)) + judge.close()
    assert judge.bad is None
    assert sound.peak(heard) > 0.05
    assert content.speech(text) == content.speech(text) != content.speech(text, 2)


@pytest.fixture
async def client() -> AsyncIterator[tuple[httpx2.AsyncClient, Upstream]]:
    app = Upstream(MACHINERY)
    async with serving(app) as url, httpx2.AsyncClient(base_url=url, trust_env=False) as made:
        yield made, app


async def test_each_endpoint_tells_its_times(client: tuple[httpx2.AsyncClient, Upstream]) -> None:
    """A request's line has its kind, its turn, and its times in their order."""
    http, app = client
    asked = {"model": "m", "messages": [{"role": "user", "content": "turn 7"}, {"role": "assistant", "content": "x"}]}
    events = (await http.post("/chat/completions", json=asked)).text.split("\n\n")
    deltas = [json.loads(event[6:])["choices"][0]["delta"] for event in events[:-2]]
    assert "".join(delta.get("content", "") for delta in deltas) == content.answer("turn 7")
    assert events[-2:] == ["data: [DONE]", ""]
    heard = await http.post("/audio/transcriptions", data={"model": "m"}, files={"file": ("a.wav", CLIP)})
    assert heard.json() == {"text": "This is turn 1."}
    wav = sound.read_wav((await http.post("/audio/speech", json=SAY)).content)
    assert wav == (24_000, 1, content.speech("Hello, turn 7."))
    raw = await http.post("/audio/speech", json={**SAY, "response_format": "pcm"})
    assert raw.content == wav.pcm
    assert (await http.get("/models")).json()["data"] == []
    lines = app.journal.lines
    assert [(each.kind, each.mark, each.number) for each in lines] == [
        ("chat", "7", 1),
        ("transcription", "1", 2),
        ("speech", "7", 3),
        ("speech", "7", 4),
    ]
    assert all(0 < each.received <= each.first <= each.last for each in lines)
    assert {each.ended for each in lines} == {"done"}


async def test_it_is_kept_awake_without_a_trace(client: tuple[httpx2.AsyncClient, Upstream]) -> None:
    """It is asked for nothing again and again, and neither its requests nor its journal know of it."""
    http, app = client
    asked, call = asyncio.Queue[str](), Upstream.__call__

    async def counting(self: Upstream, scope: Scope, receive: Receive, send: Send) -> None:
        asked.put_nowait(str(scope["path"]))
        await call(self, scope, receive, send)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Upstream, "__call__", counting)
        awake = asyncio.ensure_future(keep_awake(str(http.base_url), 0.001))
        async with asyncio.timeout(10):
            assert [await asked.get() for _ in range(3)] == [AWAKE] * 3
        awake.cancel()
        await asyncio.gather(awake, return_exceptions=True)
    assert (app.requests, app.journal.lines, app.journal.begun) == ([], [], 0)


async def test_faults_by_header(client: tuple[httpx2.AsyncClient, Upstream]) -> None:
    """A fault can be asked for without a model of its name; unknown pages and wrong requests are refused."""
    http, app = client
    assert (await http.post("/audio/speech", json=SAY, headers={"x-fault": "429"})).status_code == 429
    with pytest.raises(httpx2.RemoteProtocolError):
        await http.post("/audio/speech", json=SAY, headers={"x-fault": "cut"})
    with pytest.raises(httpx2.RemoteProtocolError):
        await http.post("/chat/completions", json={"model": "fault-cut", "messages": []})
    assert (await http.post("/audio/speech", json={"model": "m", "input": "x"})).status_code == 400
    assert (await http.post("/audio/transcriptions", files={"file": ("a", b"x")})).status_code == 400
    assert (await http.get("/nothing")).status_code == 404
    assert [each.ended for each in app.journal.lines] == ["429", "cut", "cut", "done", "done"]


def test_a_line() -> None:
    """Times stand on both clocks; what did not happen is 0 on both."""
    told = json.loads(line(Times("chat", 1, received=5_000_000, mark="7", first=7_000_000), offset=1_000_000_000))
    assert (told["received_ns"], told["first_ns"], told["last_ns"]) == (5_000_000, 7_000_000, 0)
    assert (told["received_ms"], told["first_ms"], told["last_ms"]) == (1_005, 1_007, 0)


def test_the_journal_goes_to_a_file(tmp_path: Path) -> None:
    """Each line is there as soon as its request is over."""
    with (tmp_path / "log").open("w") as file:
        journal = Journal(file)
        journal.end(journal.begin("chat"))
        assert json.loads((tmp_path / "log").read_text())["kind"] == "chat"


def test_the_command_line() -> None:
    """Each delay is an option, also on top of `--machinery`."""
    assert parse([]).delays == Delays()
    assert parse(["--machinery"]).delays == MACHINERY
    assert parse(["--machinery", "--chat-rate", "20"]).delays == Delays(0, 20, 0, 0, 0)
    assert parse(["--speech-first-ms", "0"]).delays == Delays(speech_first_ms=0)


async def test_it_runs_as_a_program(tmp_path: Path) -> None:
    """It says where it listens, writes its times, and ends at SIGTERM."""
    log = tmp_path / "times.jsonl"
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bench.upstream", "--machinery", "--log", str(log),
        cwd=ROOT, env=dict(os.environ), stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout
    ready = (await process.stdout.readline()).decode().split()
    async with httpx2.AsyncClient(base_url=ready[1], trust_env=False) as http:
        assert (await http.post("/audio/speech", json=SAY)).status_code == 200
    process.send_signal(signal.SIGTERM)
    assert await process.wait() == 0
    assert json.loads(log.read_text())["mark"] == "7"
