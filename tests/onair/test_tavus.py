"""`onair tavus`: what it asks of the gateway, what it prints, and the whole way to Tavus's stand-in."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

from onair import tavus
from onair.drive import code_of
from onair.tavus import NewConversation, NewPersona, Where
from services.contract.failure import Code, Failure
from tests.gateway.hands import ROOT, until
from tests.gateway.house import House, built
from tests.gateway.tavus import KEY, status
from tests.onair.gateway import Answer, serving

URL = "https://tavus.daily.co/c1"
MADE = {"id": "c1", "name": "Tonight (onair-1)", "status": "active", "url": URL, "max_duration": 600}
END = {"ended": ["c1"], "over": [], "failed": []}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of its own."""
    monkeypatch.chdir(tmp_path)
    for name in ("ONAIR_TOKEN", "ONAIR_DATA", "ONAIR_CONFIG", "GATEWAY_HOST"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def of(body: object, status: int = 200) -> Answer:
    return Answer(json.dumps(body).encode(), status)


def test_a_conversation_is_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    """Only what was said is sent, with the token; the address to join is the result."""
    wanted = NewConversation("p1", "r1", "Tonight \ud83d", "c", "Hi", "en", "10m", record=True, test=True)
    where = "letmein"
    with serving(of(MADE), of({**MADE, "status": "ended", "url": ""})) as gateway:
        assert tavus.create(Where(gateway.url, where), wanted) == 0
        assert tavus.create(Where(gateway.url), NewConversation("p1", max_duration="90")) == 0
    assert gateway.asked[0] == (
        "/api/tavus/conversations",
        {
            "persona": "p1", "replica": "r1", "name": "Tonight \ufffd", "context": "c", "greeting": "Hi",
            "language": "en", "max_duration": 600, "record": True, "test": True,
        },
        "Bearer letmein",
    )  # fmt: skip
    assert gateway.asked[1][1] == {"persona": "p1", "max_duration": 90}
    told = capsys.readouterr()
    assert told.out == f"{URL}\nc1\n"
    assert "it lasts 600 s at most and costs until it ends" in told.err
    assert "a test, it has ended already" in told.err


def test_a_persona_is_asked_for(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The prompt from a file, layers as YAML or as JSON; its id is the result."""
    (folder / "prompt.txt").write_text("Be Ann.", encoding="utf-8")
    (folder / "layers.yaml").write_text("tts: {tts_engine: cartesia}\nllm:\n  model: tavus-llama\n", encoding="utf-8")
    (folder / "layers.json").write_text('{"stt": {}}', encoding="utf-8")
    with serving(of({"id": "p1"}), of({"id": "p2"})) as gateway:
        where = Where(gateway.url)
        first = NewPersona(
            "Ann", "r1", prompt_file=Path("prompt.txt"), layers=Path("layers.yaml"), perception="raven-1"
        )
        assert tavus.create_persona(where, first) == 0
        assert tavus.create_persona(where, NewPersona(of="teacher", context="c", layers=Path("layers.json"))) == 0
    layers = {"tts": {"tts_engine": "cartesia"}, "llm": {"model": "tavus-llama"}}
    assert [body for _, body, _ in gateway.asked] == [
        {"name": "Ann", "replica": "r1", "prompt": "Be Ann.", "perception": "raven-1", "layers": layers},
        {"from": "teacher", "context": "c", "layers": {"stt": {}}},
    ]
    assert capsys.readouterr().out == "p1\np2\n"


def test_lists_are_tables(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Readable, without anything that steers a terminal; nothing at all is said so; `--json` gives the answer itself."""
    monkeypatch.setenv("COLUMNS", "160")
    rows = {
        "conversations": [{**MADE, "name": "x\u001b[31m", "ours": True}, {"id": "c2", "status": "ended", "ours": False}]
    }
    people = {"personas": [{"id": "p1", "name": "Ann", "replica": "r1", "created_at": "2025"}]}
    with serving(of(rows), of({"conversations": []}), of(people), of(rows), of(people)) as gateway:
        where, program = Where(gateway.url), Where(gateway.url, json=True)
        assert tavus.conversations(where, "active") == 0
        assert tavus.conversations(where, "") == 0
        assert tavus.personas(where) == 0
        told = capsys.readouterr()
        tavus.conversations(program, "")
        first = json.loads(capsys.readouterr().out)
        tavus.personas(program)
    assert [path for path, *_ in gateway.asked][:2] == [
        "/api/tavus/conversations?status=active",
        "/api/tavus/conversations",
    ]
    lines = [line.split() for line in told.out.splitlines()]
    assert lines[:3] == [
        ["id", "status", "OnAir's", "name", "url", "created"],
        ["c1", "active", "yes", "x", "[31m", URL],
        ["c2", "ended"],
    ]
    assert lines[3:] == [["id", "name", "replica", "created"], ["p1", "Ann", "r1", "2025"]]
    assert "\u001b" not in told.out
    assert told.err == "there is no conversation\n"
    assert (first, json.loads(capsys.readouterr().out)) == (rows, people)


def test_one_or_all_are_ended(capsys: pytest.CaptureFixture[str]) -> None:
    """0 if none goes on any more, 1 with the reason if one does."""
    some = {"ended": ["c1"], "over": ["c2"], "failed": ["c3: because"]}
    with serving(of(END), of(some), of({"ended": [], "over": [], "failed": []}), of(some)) as gateway:
        where = Where(gateway.url)
        assert tavus.end(where, "c1", everything=False) == 0
        assert tavus.end(where, "", everything=True) == 1
        assert tavus.end(where, "", everything=True) == 0
        told = capsys.readouterr()
        assert tavus.end(Where(gateway.url, json=True), "", everything=True) == 1
    assert [path for path, *_ in gateway.asked][:2] == [
        "/api/tavus/conversations/c1/end",
        "/api/tavus/conversations/end",
    ]
    assert told.out == "ended c1\nended c1\nwas over c2\n"
    assert told.err == "goes on c3: because\nOnAir has none that goes on\n"
    assert json.loads(capsys.readouterr().out) == some


@pytest.mark.parametrize(
    ("answer", "code", "said"),
    [
        (of({"code": "not_found", "detail": "set TAVUS_API_KEY"}, 404), 2, "set TAVUS_API_KEY"),
        (of({"code": "engine_missing", "detail": "refuses the key"}, 503), 2, "refuses the key"),
        (of({"code": "engine_broken", "detail": "is in trouble"}, 503), 1, "is in trouble"),
        (of({"code": "unheard of", "detail": "x"}, 503), 1, "answered 503: x"),
        (of({}, 401), 1, "give the operator's token"),
        (Answer(b"", 302), 2, "is not followed"),
        (of([]), 1, "sent no personas; is it an OnAir gateway"),
        (Answer(b"<html>"), 1, "sent no personas"),
    ],
)
def test_what_the_gateway_refuses(answer: Answer, code: int, said: str) -> None:
    """Its reason, and the exit code that its own code stands for."""
    with serving(answer) as gateway, pytest.raises(Failure, match=said) as caught:
        tavus.personas(Where(gateway.url))
    assert code_of(caught.value) == code


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        (NewPersona("x"), "by one of --prompt, --prompt-file and --from"),
        (NewPersona("x", prompt="x", of="y"), "by one of"),
        (NewPersona("x", prompt_file=Path("none")), "cannot read none"),
        (NewPersona("x", prompt="x", layers=Path("none")), "cannot read none"),
        (NewPersona("x", prompt_file=Path("large")), "large has more than 200000 bytes"),
        (NewPersona("x", prompt_file=Path("binary")), "cannot read binary"),
        (NewPersona("x", prompt="x", layers=Path("text")), "--layers must hold an object"),
        (NewPersona("x", prompt="x", layers=Path("broken")), "neither JSON nor YAML"),
        (NewPersona("x", prompt="x", layers=Path("date")), "neither JSON nor YAML that JSON can say"),
        (NewConversation("p1", max_duration="long"), "--max-duration 'long' is no duration"),
    ],
)
def test_wrong_use(folder: Path, wanted: NewPersona | NewConversation, said: str) -> None:
    """Told before the gateway is looked for."""
    texts = {"large": "x" * 200_001, "text": "x", "broken": "{", "date": "llm: {at: 2025-01-01}"}
    for name, text in texts.items():
        (folder / name).write_text(text)
    (folder / "binary").write_bytes(b"\xff")
    with pytest.raises(Failure, match=said) as caught:
        wanted.body()
    assert code_of(caught.value) == 2


@pytest.mark.parametrize(("id_", "everything"), [("", False), ("c1", True), ("c/1", False)])
def test_whom_to_end(id_: str, *, everything: bool) -> None:
    """One or all, by an id that is one."""
    with pytest.raises(Failure, match=r"name the conversation|the id of a conversation") as caught:
        tavus.end(Where("http://127.0.0.1:1"), id_, everything=everything)
    assert caught.value.code is Code.BAD_INPUT


@pytest.fixture
def house(tmp_path: Path, broker_url: str, live_url: str) -> Generator[House]:
    with built(tmp_path / "house", broker_url, live_url) as found:
        found.folder.mkdir()
        yield found


def command(*argv: str) -> list[str]:
    return [sys.executable, "-W", "error", "-m", "onair", "tavus", *argv]


def onair(server: str, *argv: str) -> subprocess.CompletedProcess[str]:
    """The command as people run it."""
    env = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "COLUMNS": "160"}
    return subprocess.run(
        [*command(*argv), "--server", server], env=env, capture_output=True, text=True, check=False, timeout=60
    )


@pytest.mark.slow
def test_the_whole_way(house: House) -> None:
    """Command line, gateway, Tavus: a persona, a conversation with it, the lists, the ends; no key on the way."""
    url = house.gateway().url
    persona = onair(url, "persona", "create", "--from", "friend", "--replica", "r1", "--perception", "raven-1")
    assert (persona.returncode, persona.stdout) == (0, "p1\n"), persona.stderr
    sent = house.tavus.asked[-1].body
    assert (sent["system_prompt"], sent["layers"]) == ("Be a friend.", {"perception": {"perception_model": "raven-1"}})
    assert "friend" in onair(url, "persona", "list").stdout
    made = onair(
        url, "conversation", "create", "--persona", "p1", "--max-duration", "10m", "--language", "en", "--record"
    )
    (id_,) = house.tavus.active
    assert (made.returncode, made.stdout) == (0, f"https://tavus.daily.co/{id_}\n"), made.stderr
    properties = house.tavus.asked[-1].body["properties"]
    assert properties == {"max_call_duration": 600, "language": "english", "enable_recording": True}
    listed = onair(url, "conversation", "list", "--status", "active", "--json")
    ((row,),) = json.loads(listed.stdout).values()
    assert (row["id"], row["ours"]) == (id_, True)
    assert onair(url, "conversation", "end", id_).stdout == f"ended {id_}\n"
    assert onair(url, "conversation", "end", "nobody").returncode == 2
    assert onair(url, "conversation", "create", "--persona", "other").returncode == 2
    assert onair(url, "conversation", "end", "--all").stderr == "OnAir has none that goes on\n"
    assert KEY not in "".join(each.stdout + each.stderr for each in (persona, made, listed))


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_held_conversation_ends_with_the_command(house: House, number: signal.Signals) -> None:
    """Ctrl-C or SIGTERM ends the conversation, then the command, with 130."""
    argv = [*command("conversation", "create", "--persona", "p1", "--hold"), "--server", house.gateway().url]
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(argv, cwd=ROOT, **pipes) as process:
        assert process.stderr
        until(lambda: house.tavus.active)
        lines = [process.stderr.readline() for _ in range(2)]
        assert lines[1] == "Ctrl-C ends it\n"
        (id_,) = house.tavus.active
        process.send_signal(number)
        out, _ = process.communicate(timeout=20)
    assert process.returncode == 130
    assert out == f"https://tavus.daily.co/{id_}\nended {id_}\n"
    assert (house.tavus.active, house.held) == ([], 0)


@pytest.mark.slow
def test_a_held_conversation_that_cannot_be_ended_is_told(house: House) -> None:
    """With the reason and exit code 1: it goes on."""
    argv = [*command("conversation", "create", "--persona", "p1", "--hold"), "--server", house.gateway().url]
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(argv, cwd=ROOT, **pipes) as process:
        assert process.stderr
        assert [process.stderr.readline() for _ in range(2)][1] == "Ctrl-C ends it\n"
        house.tavus.faults["POST"] = [status(500)]
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=30)
    assert process.returncode == 1
    assert "is in trouble (500)" in err
    assert "Traceback" not in err
    assert house.held == 1


@pytest.mark.slow
def test_the_help_helps() -> None:
    """Each command has its sentence, its options and an example."""
    for argv in ((), ("persona", "create"), ("conversation", "create"), ("conversation", "end")):
        done = subprocess.run(command(*argv, "--help"), cwd=ROOT, capture_output=True, text=True, check=True)
        told = done.stdout
        assert "Example" in told
        assert "Usage" in told
