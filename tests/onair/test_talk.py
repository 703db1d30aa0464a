"""`onair talk`: a conversation from the client's side, against a real HTTP server."""

import io
import os
import pty
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import Mock

import pytest

from onair import talk as talks
from onair.player import Player, program
from onair.talk import Wanted, talk
from services.contract.failure import Code, Failure
from tests.onair.gateway import WAV, Answer, Gateway, serving, spoken
from tests.onair.helpers import until

ROOT = Path(__file__).parents[2]
MENU = Answer(b'{"personas": [{"name": "host", "opens": "no"}, {"name": "friend", "opens": ""}], "persona": "friend"}')


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of its own, and no player."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ONAIR_TOKEN", raising=False)
    monkeypatch.setattr("onair.player.PLAYERS", (("no-such-player",),))
    return tmp_path


def typed(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(text.encode()), "utf-8"))


def roles(gateway: Gateway, at: int) -> list[tuple[str, str]]:
    return [(each["role"], each["content"]) for each in gateway.asked[at][1]["msg"]]


def test_the_history_is_kept_here(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], folder: Path
) -> None:
    """Each line is a turn; the next one carries system, questions and whole answers; sound is saved in order."""
    typed(monkeypatch, "你好\n\n  and you? \n")
    (folder / "who.txt").write_text("A pirate.", encoding="utf-8")
    with serving(spoken("好呀，", "你呢？", raw='"好呀，你呢？"'), spoken("Fine.")) as gateway:
        assert talk(Wanted(gateway.url, "t", system="@who.txt", save=folder / "out")) == 0
    assert roles(gateway, 0) == [("system", "A pirate."), ("user", "你好")]
    assert roles(gateway, 1)[1:] == [("user", "你好"), ("assistant", '"好呀，你呢？"'), ("user", "and you?")]
    assert gateway.asked[0][2] == "Bearer t"
    assert capsys.readouterr().out == "好呀，\n你呢？\nFine.\n"
    assert [file.name for file in sorted((folder / "out").iterdir())] == ["001-01.wav", "001-02.wav", "002-01.wav"]
    assert (folder / "out" / "001-02.wav").read_bytes() == WAV


def test_saved_answers_are_not_overwritten(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """The numbers go on after those that are there."""
    (folder / "007-01.wav").write_bytes(b"old")
    typed(monkeypatch, "hi")
    with serving(spoken("Hello.")) as gateway:
        talk(Wanted(gateway.url, save=folder, mute=True))
    assert (folder / "008-01.wav").read_bytes() == WAV


def test_clips(capsys: pytest.CaptureFixture[str], folder: Path) -> None:
    """A clip is recognised and answered; one in which nothing is understood is told and asks for no answer."""
    file = folder / "a.wav"
    file.write_bytes(WAV)
    heard = [Answer('"你放学了吗？"'.encode()), spoken("放了。"), Answer(b'""'), Answer(b'"None"')]
    with serving(*heard) as gateway:
        talk(Wanted(gateway.url, wavs=[file, file, file], lang="zh"))
    assert [asked[0] for asked in gateway.asked] == ["/api/asr?language=zh", "/api/chat", *["/api/asr?language=zh"] * 2]
    assert roles(gateway, 1) == [("user", "你放学了吗？")]
    told = capsys.readouterr()
    assert told.out == "放了。\n"
    assert told.err.count("(nothing that could be understood in") == 2
    assert "this machine has no player" in told.err


@pytest.mark.parametrize(
    ("answers", "said"),
    [
        ([Answer(b'{"detail": "busy"}', 503)], "busy"),
        ([Answer(b"data: {}\n")], "a line without a message"),
        ([Answer(b"")], "broke off"),
    ],
)
def test_an_answer_that_fails(monkeypatch: pytest.MonkeyPatch, answers: list[Answer], said: str) -> None:
    """Without a person at the keyboard the first failure ends it."""
    typed(monkeypatch, "hi")
    with serving(*answers) as gateway, pytest.raises(Failure, match=said):
        talk(Wanted(gateway.url))


@pytest.mark.parametrize(
    ("answer", "said"),
    [(Answer(b"{"), "no text"), (Answer(b"[]"), "no text"), (Answer(b'{"detail": "bad"}', 422), "bad")],
)
def test_a_clip_that_fails(folder: Path, answer: Answer, said: str) -> None:
    """What the recogniser says is told."""
    (folder / "a.wav").write_bytes(WAV)
    with serving(answer) as gateway, pytest.raises(Failure, match=said):
        talk(Wanted(gateway.url, wavs=[folder / "a.wav"]))


def test_what_cannot_be_read(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """Missing files, a folder that cannot be, bytes that are no text: one sentence each."""
    url = "http://127.0.0.1:1"
    for wanted in (Wanted(url, system="@none"), Wanted(url, wavs=[Path("none.wav")])):
        with pytest.raises(Failure, match="cannot read none") as caught:
            talk(wanted)
        assert caught.value.code is Code.NOT_FOUND
    (folder / "file").touch()
    with pytest.raises(Failure, match="no such folder can be made"):
        talk(Wanted(url, save=folder / "file"))
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"\xff\xfe\n"), "utf-8"))
    with pytest.raises(Failure, match="not UTF-8"):
        talk(Wanted(url))


def test_an_answer_without_sound(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """An answer that was not spoken is shown with the reason; none at all is said, and not kept."""
    typed(monkeypatch, "a\nb\n")
    with serving(spoken(raw="she smiles"), spoken()) as gateway:
        talk(Wanted(gateway.url, mute=True))
    told = capsys.readouterr()
    assert told.out == "she smiles\n"
    assert talks.UNSPOKEN in told.err
    assert "no answer came" in told.err


def test_a_dialogue_outlives_a_failure(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """With a person at the keyboard a failed turn is told, and the next one knows nothing of it."""
    lines = iter(["one", " ", "two"])

    def ask(_: str) -> str:
        try:
            return next(lines)
        except StopIteration:
            raise EOFError from None

    monkeypatch.setattr("builtins.input", ask)
    monkeypatch.setattr("sys.stdin.isatty", lambda: True)
    with serving(MENU, Answer(b'{"detail": "busy"}', 503), spoken("Yes.")) as gateway:
        assert talk(Wanted(gateway.url)) == 0
    assert roles(gateway, 2) == [("user", "two")]
    assert "onair: http" in capsys.readouterr().err


def test_a_persona_that_opens(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """It speaks first where a person types to it, and not in anybody else's place."""
    monkeypatch.setattr("builtins.input", Mock(side_effect=EOFError))
    monkeypatch.setattr("sys.stdin.isatty", lambda: True)
    with serving(Answer(MENU.body.replace(b'""', b'"(He called.)"')), spoken("How are you?")) as gateway:
        assert talk(Wanted(gateway.url)) == 0
        assert talk(Wanted(gateway.url, system="A pirate.")) == 0
    assert [asked[0] for asked in gateway.asked] == ["/api/call", "/api/chat"]
    assert roles(gateway, 1) == [("user", "(He called.)")]
    assert capsys.readouterr().out == "How are you?\n"


@pytest.mark.parametrize("menu", [Answer(b"{}", 404), Answer(b"[]"), Answer(b'{"personas": [1], "persona": "a"}')])
def test_a_server_without_a_menu(menu: Answer) -> None:
    """Its persona waits."""
    with serving(menu) as gateway:
        assert talks.opening(gateway.server) == ""


@pytest.fixture
def terminal() -> Iterator[tuple[int, int]]:
    """A terminal: the person's end, the program's end."""
    ours, theirs = pty.openpty()
    yield ours, theirs
    os.close(ours)
    os.close(theirs)


@pytest.mark.slow
@pytest.mark.parametrize(("key", "code"), [(b"\x04", 0), (b"\x03", 130)])
def test_control_keys_end_it(terminal: tuple[int, int], folder: Path, key: bytes, code: int) -> None:
    """Ctrl-D ends with 0, Ctrl-C with 130, both without a traceback."""
    ours, theirs = terminal
    env = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT), "TERM": "dumb"}
    with serving(MENU) as gateway:
        command = (sys.executable, "-m", "onair", "talk", "--server", gateway.url, "--mute")
        process = subprocess.Popen(
            command, cwd=folder, env=env, stdin=theirs, stdout=theirs, stderr=subprocess.PIPE, text=True
        )
        assert process.stderr
        assert "talking to" in process.stderr.readline()
        assert "Ctrl-D ends" in process.stderr.readline()
        if key == b"\x03":
            process.send_signal(signal.SIGINT)
        else:
            os.write(ours, key)
        _, told = process.communicate(timeout=20)
    assert process.returncode == code
    assert "Traceback" not in told


def test_a_player_plays_in_order(tmp_path: Path) -> None:
    """Files are handed to the program one after the other; `wait` returns when the last was played."""
    player = Player(("/bin/sh", "-c", f'echo "$0" >> {tmp_path}/played'))
    for name in "abc":
        player.play(Path(name))
    player.wait()
    assert (tmp_path / "played").read_text() == "a\nb\nc\n"
    assert not player.problem


async def test_a_player_is_silenced(tmp_path: Path) -> None:
    """`stop` ends what is being played and forgets what waits; afterwards it plays again."""
    player = Player(("/bin/sh", "-c", f'echo "$0" >> {tmp_path}/played; [ "$0" = b ] || exec sleep 60'))
    player.play(Path("a"))
    player.play(Path("x"))
    await until((tmp_path / "played").exists)
    player.stop()
    player.play(Path("b"))
    player.wait()
    assert (tmp_path / "played").read_text() == "a\nb\n"
    assert not player.problem


@pytest.mark.parametrize("argv", [("/bin/false",), ("/no/such/player",)])
def test_a_player_that_fails_is_told_once(
    argv: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The conversation goes on without sound."""
    monkeypatch.setattr("onair.player.program", lambda: argv)
    typed(monkeypatch, "a\nb\n")
    with serving(spoken("One.", "two."), spoken("Three.")) as gateway:
        talk(Wanted(gateway.url))
    assert capsys.readouterr().err.count("sound is not played: ") == 1


def test_the_first_player_that_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """Programs are looked for in order."""
    assert program() == ()
    monkeypatch.setattr("onair.player.PLAYERS", (("no-such-player",), ("sh", "-c")))
    assert program()[1:] == ("-c",)
