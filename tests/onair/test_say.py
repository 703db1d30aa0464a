"""`onair say`: the operator's line on its way to the room."""

from pathlib import Path

import pytest

from onair.processes import take
from onair.say import Wanted, say_it
from services.contract.failure import Code, Failure
from tests.onair.gateway import Answer, serving
from tests.onair.helpers import CONFIG

OTHER = "other"
TAKEN = Answer(b'{"id": "api:say:1"}', 202)
ROOMS = CONFIG + "rooms: {main: {persona: host, sources: [{api: {}}]}}\n"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of its own, with a room."""
    monkeypatch.chdir(tmp_path)
    for name in ("ONAIR_TOKEN", "ONAIR_DATA", "ONAIR_CONFIG", "GATEWAY_HOST"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "onair.yaml").write_text(ROOMS, encoding="utf-8")
    return tmp_path


def test_the_line_is_sent_as_it_is(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """One POST with kind, text and name, with the environment's token; the event's id is the result."""
    monkeypatch.setenv("ONAIR_TOKEN", "t0ken")
    with serving(TAKEN, TAKEN) as gateway:
        assert say_it(Wanted("回来了 \ud83d", room="main", server=gateway.url)) == 0
        assert say_it(Wanted("hi", server=gateway.url, token=OTHER)) == 0
    body = {"kind": "say", "text": "回来了 \ufffd", "viewer": "operator"}
    assert gateway.asked[0] == ("/api/rooms/main/events", body, "Bearer t0ken")
    assert gateway.asked[1][2] == "Bearer other"
    assert capsys.readouterr().out == "api:say:1\n" * 2


def test_the_room_that_can_be_meant(folder: Path) -> None:
    """The only one of the configuration; with several they are listed, with none they are asked for."""
    (folder / "onair.yaml").write_text(ROOMS.replace("rooms: {", "rooms: {a: {persona: host, sources: [api: ]}, "))
    with pytest.raises(Failure, match="name the room by --room; configured: a, main"):
        say_it(Wanted("hi", server="http://127.0.0.1:1"))
    (folder / "onair.yaml").unlink()
    with pytest.raises(Failure, match=r"name the room by --room$"):
        say_it(Wanted("hi", server="http://127.0.0.1:1"))


def test_the_demo_is_found(folder: Path) -> None:
    """While the demo plays, its server and its room are meant."""
    demo = folder / "data" / "demo"
    (demo / "run").mkdir(parents=True)
    (demo / "demo.yaml").touch()
    with serving(TAKEN) as gateway, take(demo):
        (demo / "run" / "gateway-1.json").write_text(f'{{"port": {gateway.url.rpartition(":")[2]}}}')
        say_it(Wanted("hi"))
    assert gateway.asked[0][0] == "/api/rooms/demo/events"


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (Answer(b'{"detail": "there is no room main"}', 404), "there is no room main"),
        (Answer(b"", 401), "--token"),
        (Answer(b"", 200), "answered 200"),
        (Answer(b"[]", 202), "without naming its id"),
        (Answer(b"", 202), "without naming its id"),
    ],
)
def test_what_the_server_refuses(answer: Answer, said: str) -> None:
    """The server's reason is told."""
    with serving(answer) as gateway, pytest.raises(Failure, match=said):
        say_it(Wanted("hi", server=gateway.url))


def test_nothing_to_say_and_nobody_to_say_it() -> None:
    """An empty line is refused; without a server the sentence says how to start one."""
    with pytest.raises(Failure, match="nothing to say"):
        say_it(Wanted(" "))
    with pytest.raises(Failure, match="no onair runs in") as caught:
        say_it(Wanted("hi", data=Path("elsewhere")))
    assert caught.value.code is Code.NOT_FOUND
