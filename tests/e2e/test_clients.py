"""docs/clients.md: every line in it runs against a real server and gives what the document says."""

import json
import os
import re
import subprocess
import sys
import urllib.request
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCUMENT = (ROOT / "docs" / "clients.md").read_text(encoding="utf-8")
BASE = "http://127.0.0.1:8000"
HEADING = re.compile(r"^### `(?P<method>[A-Z]+) (?P<path>[^`]+)`$", re.MULTILINE)
BLOCK = re.compile(r"^```sh\n(?P<line>.*?)^```\n\n```text\n(?P<said>.*?)^```$", re.MULTILINE | re.DOTALL)
UNDESCRIBED = {
    ("GET", "/"),
    ("GET", "/console"),
    ("GET", "/openapi.json"),
    ("GET", "/rooms/{room}"),
    ("GET", "/talk"),
    ("GET", "/web/{name}"),
    ("WS", "/api/live_voice_call/chat"),
    ("WS", "/api/rooms/{room}/stage"),
    ("WS", "/chat"),
    ("WS", "/ws"),
}
"""Pages and sockets."""
pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.timeout(180)]


@dataclass(frozen=True)
class Line:
    """One fenced line of the document, and what comes back."""

    route: tuple[str, str]
    """Method and path."""
    command: str
    said: str


def lines() -> list[Line]:
    """All of them, in order; those under a heading belong to its route."""
    heads = list(HEADING.finditer(DOCUMENT))
    found: list[Line] = []
    for head, after in zip(heads, [*heads[1:], None], strict=True):
        section = DOCUMENT[head.end() : after.start() if after else None]
        route = (head["method"], head["path"])
        found += [Line(route, block["line"], block["said"]) for block in BLOCK.finditer(section)]
    return found


@contextmanager
def up(folder: Path) -> Generator[str]:
    """`onair up` with a room whose events are posted; its address."""
    config = folder / "onair.yaml"
    room = "rooms:\n  main: {persona: host, sources: [{api: {}}]}\n"
    config.write_text((ROOT / "onair.yaml").read_text(encoding="utf-8") + room, encoding="utf-8")
    argv = (sys.executable, "-m", "onair", "up", "--port", "0", "--data", str(folder), "--config", str(config))
    env = {name: value for name, value in os.environ.items() if not name.startswith("OPENAI_")}
    env["TAVUS_API_KEY"] = ""  # whatever `.env` says: no line creates anything for real
    with (
        (folder / "err").open("w") as err,
        subprocess.Popen(argv, cwd=ROOT, env=env, stdout=subprocess.PIPE, stderr=err, text=True) as process,
    ):
        try:
            assert process.stdout
            ready = process.stdout.readline()
            assert ready.startswith("ready "), (folder / "err").read_text()
            yield ready.split()[1]
        finally:
            process.terminate()
            process.wait(20)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Generator[str]:
    """One server for all lines."""
    with up(tmp_path_factory.mktemp("clients")) as url:
        yield url


@pytest.fixture(scope="module")
def routes(server: str) -> set[tuple[str, str]]:
    """Method and path of everything that the server says it has."""
    with urllib.request.urlopen(f"{server}/openapi.json", timeout=20) as answer:
        paths = json.load(answer)["paths"]
    return {(method.upper(), path) for path, methods in paths.items() for method in methods}


def pattern(said: str) -> str:
    """The document's answer as a pattern; `…` is anything, and so is what follows its last line."""
    return ".*".join(re.escape(part) for part in tight(said).split("…"))


def tight(text: str) -> str:
    """Without white space, which JSON may have or not."""
    return "".join(text.split())


@pytest.mark.parametrize("line", lines(), ids=lambda line: f"{line.route[0]} {line.route[1]}")
def test_a_line_of_the_document(server: str, routes: set[tuple[str, str]], line: Line) -> None:
    """The line succeeds, and what the document shows comes back."""
    assert line.route in routes | UNDESCRIBED
    assert BASE in line.command
    done = subprocess.run(
        ("bash", "-euo", "pipefail", "-c", line.command.replace(BASE, server)),
        cwd=ROOT, capture_output=True, text=True, timeout=90, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert re.match(pattern(line.said), tight(done.stdout)), done.stdout[:500]


def test_no_route_is_missing(routes: set[tuple[str, str]]) -> None:
    """Every route of the OpenAPI, and of what an OpenAPI does not describe, has a line in the document."""
    assert (routes | UNDESCRIBED) - {line.route for line in lines()} == set()


def test_every_block_is_run() -> None:
    """A fenced line that no heading or no answer belongs to would never be tried."""
    assert len(lines()) == DOCUMENT.count("```sh\n")


@pytest.mark.parametrize("argv", [("talk", "--mute", "--save"), ("talk", "--wav", "examples/weather-en.wav", "--save")])
def test_onair_talks_to_it(server: str, tmp_path: Path, argv: tuple[str, ...]) -> None:
    """`onair talk` prints the sentences of a real answer and keeps their sound; a clip is understood."""
    command = (sys.executable, "-m", "onair", *argv, str(tmp_path / "out"), "--server", server)
    env = {**os.environ, "PATH": "/usr/bin:/bin"}
    done = subprocess.run(command, cwd=ROOT, env=env, input="你好呀\n", capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()
    assert "no answer came" not in done.stderr
    assert list((tmp_path / "out").glob("001-*.wav"))
    assert ("what is the weather today" in done.stderr) == ("--wav" in argv)
