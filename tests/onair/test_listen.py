"""Listening from the terminal, against a server that says what the test wants."""

import asyncio
import json
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection, serve
from websockets.http11 import Request, Response

from onair import listen
from onair.drive import code_of
from onair.listen import Hearing, Screen, Wanted, check, named
from onair.server import Server
from services.contract.failure import Code, Failure
from tests.onair.gateway import Answer, serving

Scene = Callable[[ServerConnection], Awaitable[None]]


@dataclass
class Stage:
    """One scene a connection; what was asked first."""

    scenes: list[Scene]
    url: str = ""
    asked: list[str] = field(default_factory=list[str])
    paths: list[str] = field(default_factory=list[str])

    async def play(self, socket: ServerConnection) -> None:
        assert socket.request
        self.paths.append(socket.request.path)
        self.asked.append(str(await socket.recv()))
        await self.scenes.pop(0)(socket)


@asynccontextmanager
async def stage(*scenes: Scene) -> AsyncGenerator[Stage]:
    made = Stage(list(scenes))
    async with serve(made.play, "127.0.0.1", 0) as server:
        made.url = f"http://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}"
        yield made


def says(*frames: dict[str, Any] | str, close: int = 0) -> Scene:
    async def scene(socket: ServerConnection) -> None:
        for frame in frames:
            await socket.send(frame if isinstance(frame, str) else json.dumps(frame, ensure_ascii=False))
        if close:
            await socket.close(close, "2000 listeners are here already")
        else:
            await socket.wait_closed()

    return scene


def notice(event: str, **properties: Any) -> dict[str, Any]:
    return {"message_type": "onair", "event_type": f"onair.{event}", "properties": properties}


def said(role: str, speech: str) -> dict[str, Any]:
    return {"event_type": "conversation.utterance", "properties": {"role": role, "speech": speech}}


ENDED = notice("error", reason="the meeting has ended", code="expired")
SCENE = (
    notice("joined"),
    said("user", "你好"),
    said("replica", "Hello"),
    said("replica", "Hello there."),
    {"event_type": "conversation.tool_call"},
    said("user", "bye \x1b[31m"),
    ENDED,
)


async def heard(url: str, *, json: bool = False) -> Failure:
    with pytest.raises(Failure) as ended:
        async with asyncio.timeout(20):
            await Hearing(Server(url), "c1", None if json else Screen()).hold()
    return ended.value


async def test_a_conversation_without_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    """Each run once, when it is over, tame; its end is said with the reason."""
    async with stage(says(*SCENE)) as made:
        failure = await heard(made.url)
    out, err = capsys.readouterr()
    assert out == "user: 你好\nreplica: Hello there.\nuser: bye  [31m\n"
    assert f"listening to c1 at {made.url}" in err
    assert (failure.code, failure.sentence, code_of(failure)) == (Code.EXPIRED, "the meeting has ended", 1)
    assert (made.asked, made.paths) == (["conversation_id:c1"], ["/ws?v=2"])


async def test_a_conversation_in_a_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What grows is written over itself, as much of its end as fits; when it is over it stands there whole."""
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "21")
    async with stage(says(notice("joined"), said("replica", "好"), said("replica", "好" * 20), ENDED)) as made:
        await heard(made.url)
    wipe = "\r\x1b[K"
    assert capsys.readouterr().out == f"{wipe}replica: 好{wipe}{'好' * 10}{wipe}replica: {'好' * 20}\n"


async def test_each_app_message_for_a_program(capsys: pytest.CaptureFixture[str]) -> None:
    """Byte for byte, unknown types too; notices of the gateway are none of them."""
    odd = '{"event_type":"x.y",  "t": "你好 \\u4f60"}'
    async with stage(says(notice("joined"), odd, said("user", "hi"), ENDED)) as made:
        await heard(made.url, json=True)
    assert capsys.readouterr().out == f"{odd}\n{json.dumps(said('user', 'hi'), ensure_ascii=False)}\n"


async def test_a_conversation_that_is_waited_for(capsys: pytest.CaptureFixture[str]) -> None:
    """Why is told, and it goes on."""
    waits = notice("error", reason="does ingest run?", code="engine_silent", waits=True)
    async with stage(says(waits, notice("joined"), said("user", "hi"), ENDED)) as made:
        await heard(made.url)
    out, err = capsys.readouterr()
    assert (out, "onair: does ingest run?" in err) == ("user: hi\n", True)


async def test_a_connection_that_breaks_off(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is made again and asks again; what was being said is over. A server that stays away is given up."""
    monkeypatch.setattr(listen, "TRIES_S", (0, 0))
    restart = 1012
    async with stage(
        says(notice("joined"), said("user", "one"), close=restart), says(said("user", "two"), ENDED)
    ) as made:
        await heard(made.url)
    assert capsys.readouterr().out == "user: one\nuser: two\n"
    assert made.asked == ["conversation_id:c1"] * 2
    async with stage(says(notice("joined"), close=restart), *[says(close=restart)] * 2) as made:
        assert (await heard(made.url)).code is Code.BUS_DOWN
    assert made.scenes == []


async def test_a_full_server() -> None:
    """It says so, and is not asked again."""
    async with stage(says(close=1013)) as made:
        failure = await heard(made.url)
    assert (failure.code, "2000 listeners are here already" in failure.sentence) == (Code.BUSY, True)


async def test_a_door_that_is_shut() -> None:
    """The token is asked for; a server that is not there is named with the remedy."""

    def refuse(connection: ServerConnection, request: Request) -> Response:
        return connection.respond(HTTPStatus.FORBIDDEN, f"no {request.path}")

    async with serve(says(), "127.0.0.1", 0, process_request=refuse) as server:
        url = f"http://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}"
        assert "ONAIR_TOKEN" in (await heard(url)).sentence
    assert "start one by `onair up`" in (await heard("http://127.0.0.1:1")).sentence


@pytest.mark.parametrize("conversation", ["", "a/b", "daily:", "daily:daily:x", "x" * 65, "名字", "a b"])
def test_an_id_that_cannot_be_one(conversation: str) -> None:
    """It is wrong use, and nobody is asked."""
    with pytest.raises(Failure, match="1 to 64 letters") as refused:
        named(conversation)
    assert code_of(refused.value) == 2
    assert named("daily:c70ed8f4") == named("c70ed8f4") == "c70ed8f4"


async def test_whether_a_conversation_can_be_joined(capsys: pytest.CaptureFixture[str]) -> None:
    """It is joined and left; what comes meanwhile is not shown; a failure says what to do."""
    left: list[str] = []

    async def joins(socket: ServerConnection) -> None:
        for frame in (said("user", "hi"), notice("joined")):
            await socket.send(json.dumps(frame))
        left.append(str(await socket.recv()))

    refused = notice("error", reason="pip install 'onair[daily]'", code="engine_missing")
    silent = notice("error", reason="does ingest run?", code="engine_silent", waits=True)
    async with stage(joins, says(refused), says(silent), says(notice("error", code="?")), says(close=1000)) as made:
        assert await listen.joinable(Server(made.url), "c1") == 0
        assert capsys.readouterr().out == "ok: c1 of Daily was joined, and left again\n"
        found = [await failed(made.url) for _ in range(4)]
    assert left == ["disconnect"]
    assert [each.code for each in found] == [Code.ENGINE_MISSING, Code.ENGINE_SILENT, Code.ENGINE_BROKEN, Code.BUS_DOWN]
    assert found[0].sentence == "pip install 'onair[daily]'"


async def failed(url: str) -> Failure:
    with pytest.raises(Failure) as caught:
        await listen.joinable(Server(url), "c1")
    return caught.value


async def test_a_gateway_that_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not waited for for ever."""
    monkeypatch.setattr(listen, "CHECK_S", 0.2)
    async with stage(says()) as made:
        assert (await failed(made.url)).code is Code.ENGINE_SILENT


def test_whether_there_is_a_room(capsys: pytest.CaptureFixture[str]) -> None:
    """Its page is there, or it is not, or the server says something else."""
    with serving(Answer(b"<html>"), Answer(b"{}", 404), Answer(b'{"detail": "busy"}', 503)) as gateway:
        assert check(Wanted("main", gateway.url)) == 0
        assert capsys.readouterr().out == f"ok: {gateway.url}/rooms/main\n"
        with pytest.raises(Failure, match=r"no room main: put it under rooms:.*daily:main"):
            check(Wanted("main", gateway.url))
        with pytest.raises(Failure, match="busy"):
            check(Wanted("main", gateway.url))
    assert [path for path, _, _ in gateway.asked] == ["/rooms/main"] * 3


def test_without_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    """What to install is said."""
    from onair import commands  # noqa: PLC0415  it is what imports late

    monkeypatch.setitem(sys.modules, "onair.listen", None)
    monkeypatch.delattr("onair.listen")
    with pytest.raises(Failure, match="listening needs the package") as missing:
        commands.listening()
    assert missing.value.code is Code.ENGINE_MISSING
