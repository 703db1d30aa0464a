"""A lesson on a real WebSocket, over real brokers and a real database, by a client written as the original one is."""

import asyncio
import json
import re
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from services.contract import streams
from services.contract.asr import Transcribed
from services.contract.failure import Code, Failed, Failure
from services.gateway.adapters.rows import FILE, SqlRows
from services.gateway.api.teacher import Teacher
from services.gateway.core.access import Rules, token_of
from services.gateway.core.caps import Caps
from services.gateway.core.english import NEW_IDS, SILENCE
from services.gateway.core.english_turn import AGAIN
from services.runtime.sound import read_wav, write_wav
from tests.gateway.studio import Gateway, running

PCM = bytes(range(200))
WAV = write_wav(bytes(3_200), 16_000)
PATIENCE_S = 20
TOKEN = "correct horse"  # noqa: S105  a test's own
ROW = re.compile(
    r'\{"id":\d+,"session_id":\d+,"user_id":\d+,"data":"(?:[^"\\]|\\.)*","create_time":"[0-9T:.-]+Z","update_time":"[0-9T:.-]+Z",'
    r'"audio_key":"[0-9a-f-]{36}\.wav"\}\n'
)


@asynccontextmanager
async def lesson(
    gateway: Gateway, query: str = "user_id=7&session_id=0", **how: Any
) -> AsyncGenerator[ClientConnection]:
    address = f"ws://127.0.0.1:{gateway.port}/chat?{query}"
    async with connect(address, proxy=None, close_timeout=1, max_size=None, **how) as socket:
        yield socket


async def row(socket: ClientConnection) -> dict[str, Any]:
    """The next frame, which the client takes for a row without looking."""
    async with asyncio.timeout(PATIENCE_S):
        text = await socket.recv()
    assert isinstance(text, str)
    assert ROW.fullmatch(text), text
    return json.loads(text)


async def heard(gateway: Gateway, text: str) -> None:
    clip = await gateway.studio.clip()
    await gateway.studio.tell(clip.session, Transcribed(utterance=clip.utterance, text=text, final=True))


async def answer(gateway: Gateway, text: str) -> Any:
    turn = await gateway.studio.turn()
    await gateway.studio.speak(turn, 0, text, PCM)
    await gateway.studio.end(turn, 1, text)
    return turn


async def exchange(
    gateway: Gateway, socket: ClientConnection, said: str, told: str
) -> tuple[dict[str, Any], dict[str, Any]]:
    """One utterance, both rows; the user's comes before the answer is made."""
    await socket.send(WAV)
    await heard(gateway, said)
    mine = await row(socket)
    await answer(gateway, told)
    return mine, await row(socket)


async def fetched(gateway: Gateway, path: str) -> Any:
    async with gateway.client() as client:
        return await client.get(path)


async def test_an_utterance_is_answered_by_two_rows(broker_url: str, live_url: str, tmp_path: Path) -> None:
    """Text frames that end with a new line, the user's row first; each row's recording can be fetched."""
    async with running(broker_url, live_url, data=tmp_path) as gateway, lesson(gateway) as socket:
        mine, told = await exchange(gateway, socket, "I goed home.", "You mean: I went home.")
        again, more = await exchange(gateway, socket, "Yes. 你好", "In English, please. ")
        recordings = [(await fetched(gateway, f"/audio/{each['audio_key']}")).content for each in (mine, told)]
        sessions = (await fetched(gateway, "/session?user_id=7")).json()["sessions"]
        kept = (await fetched(gateway, f"/message?user_id=7&session_id={sessions[0]}")).json()["messages"]
    assert [(each["user_id"], each["data"]) for each in (mine, told, again, more)] == [
        (7, "I goed home."), (0, "You mean: I went home."), (7, "Yes. 你好"), (0, "In English, please."),
    ]  # fmt: skip
    assert sessions == [mine["session_id"]]
    assert 0 < sessions[0] <= NEW_IDS
    assert {each["session_id"] for each in (mine, told, again, more)} == {*sessions}
    assert [each["id"] for each in kept] == [each["id"] for each in (mine, told, again, more)]
    assert recordings[0] == WAV
    assert read_wav(recordings[1]).pcm == PCM


async def test_a_lesson_goes_on_where_it_was(broker_url: str, live_url: str, tmp_path: Path) -> None:
    """With its session's id, at another gateway too: what was said is in the prompt, of that session alone."""
    async with running(broker_url, live_url, data=tmp_path) as first, lesson(first) as socket:
        mine, _ = await exchange(first, socket, "My name is Ann.", "Hello, Ann.")
        async with lesson(first, "user_id=7&session_id=-1") as other:
            await exchange(first, other, "Another lesson.", "Yes.")
    async with (
        running(broker_url, live_url, data=tmp_path) as second,
        lesson(second, f"user_id=7&session_id={mine['session_id']}") as socket,
    ):
        second.studio.after = first.studio.after
        await socket.send(WAV)
        await heard(second, "Who am I?")
        again = await row(socket)
        turn = await answer(second, "Ann.")
        await row(socket)
    assert again["session_id"] == mine["session_id"]
    assert turn.messages == (("user", "My name is Ann."), ("assistant", "Hello, Ann."), ("user", "Who am I?"))


async def test_what_is_said_while_a_reply_is_made_is_not_heard(broker_url: str, live_url: str, tmp_path: Path) -> None:
    """Nothing is sent for it, for the client would take it for a row; then it is heard again."""
    async with running(broker_url, live_url, data=tmp_path) as gateway, lesson(gateway) as socket:
        await socket.send(WAV)
        clip = await gateway.studio.clip()
        for message in (WAV, b"noise", "text"):
            await socket.send(message)
        await gateway.studio.tell(clip.session, Transcribed(utterance=clip.utterance, text="One.", final=True))
        mine = await row(socket)
        await socket.send(WAV)
        await answer(gateway, "Two.")
        told = await row(socket)
        after = await exchange(gateway, socket, "Three.", "Four.")
        asked = await gateway.studio.bus.work.xlen(streams.LISTEN.key())
    assert [each["data"] for each in (mine, told, *after)] == ["One.", "Two.", "Three.", "Four."]
    assert asked == 2


async def test_our_own_client_is_told_that_it_was_not_heard(broker_url: str, live_url: str, tmp_path: Path) -> None:
    """With `?v=2`, by a message that is no row."""
    query = "user_id=7&session_id=0&v=2"
    async with running(broker_url, live_url, data=tmp_path) as gateway, lesson(gateway, query) as socket:
        await socket.send(WAV)
        await gateway.studio.clip()
        await socket.send(WAV)
        async with asyncio.timeout(PATIENCE_S):
            told = json.loads(await socket.recv())
    assert (told["message_type"], told["event_type"]) == ("onair", "onair.busy")


@pytest.mark.parametrize(
    ("message", "why"),
    [(b"no sound", "RIFF"), (b"", "RIFF"), ("a text", "one binary message"), (WAV[:30], "WAV"), (b"RIFF\0\0\0\0WAVE", "no data chunk")],
)  # fmt: skip
async def test_what_is_no_recording_is_a_row_that_says_so(
    broker_url: str, live_url: str, tmp_path: Path, message: Any, why: str
) -> None:
    """It plays a short silence; the socket stays open and the session is the same afterwards."""
    async with running(broker_url, live_url, data=tmp_path) as gateway, lesson(gateway) as socket:
        await socket.send(message)
        failed = await row(socket)
        mine, _ = await exchange(gateway, socket, "Hi.", "Hello.")
        kept = (await fetched(gateway, f"/message?user_id=7&session_id={failed['session_id']}")).json()["messages"]
        silence = await fetched(gateway, f"/audio/{failed['audio_key']}")
    assert (failed["user_id"], failed["audio_key"], why in failed["data"]) == (0, SILENCE, True)
    assert mine["session_id"] == failed["session_id"]
    assert [each["id"] for each in kept][:2] == [failed["id"], mine["id"]]
    assert silence.status_code == 200


async def test_a_failed_recognition_is_a_row(broker_url: str, live_url: str, tmp_path: Path) -> None:
    """The recording is kept with an empty text, then the teacher's row says what failed; the next one is understood."""
    async with running(broker_url, live_url, data=tmp_path) as gateway, lesson(gateway) as socket:
        await socket.send(WAV)
        clip = await gateway.studio.clip()
        await gateway.studio.tell(clip.session, Failed(code=Code.ENGINE_MISSING, sentence="the model is not there"))
        mine, failed = await row(socket), await row(socket)
        await socket.send(WAV)
        await heard(gateway, "Hi.")
        await row(socket)
        turn = await answer(gateway, "Hello.")
        await row(socket)
    assert (mine["user_id"], mine["data"], mine["audio_key"] != SILENCE) == (7, "", True)
    assert (failed["user_id"], failed["data"], failed["audio_key"]) == (
        0,
        "This did not work: the model is not there",
        SILENCE,
    )
    assert turn.messages == (("user", "Hi."),)


async def test_a_model_that_hangs_is_a_row(broker_url: str, live_url: str, tmp_path: Path) -> None:
    """After its time the turn is ended, down to the engines; so is one that fails; the lesson goes on."""
    caps = Caps(patience_ms=1_000)
    async with running(broker_url, live_url, caps, data=tmp_path) as gateway, lesson(gateway) as socket:
        await socket.send(WAV)
        await heard(gateway, "Hi.")
        await row(socket)
        hung = await row(socket)
        ended = await gateway.studio.interrupted((await gateway.studio.turn()).session)
        await socket.send(WAV)
        await heard(gateway, "Again.")
        await row(socket)
        turn = await gateway.studio.turn()
        await gateway.studio.tell(turn.session, Failed(turn=turn.turn, code=Code.ENGINE_REFUSED, sentence="no key"))
        await gateway.studio.end(turn, 0, "", "failed")
        failed = await row(socket)
    assert (hung["user_id"], "in time" in hung["data"], hung["audio_key"], ended.by) == (0, True, SILENCE, "deadline")
    assert (failed["data"], failed["audio_key"]) == ("This did not work: no key", SILENCE)


async def test_an_answer_that_cannot_be_spoken_is_a_row_with_its_text(
    broker_url: str, live_url: str, tmp_path: Path
) -> None:
    """And with what failed."""
    async with running(broker_url, live_url, data=tmp_path) as gateway, lesson(gateway) as socket:
        await socket.send(WAV)
        await heard(gateway, "Hi.")
        await row(socket)
        turn = await gateway.studio.turn()
        await gateway.studio.end(turn, 0, "Hello.")
        told = await row(socket)
    assert (told["data"].startswith("Hello. ("), told["audio_key"]) == (True, SILENCE)


async def test_silence_is_answered_aloud(broker_url: str, live_url: str, tmp_path: Path) -> None:
    """The model is not asked; what is spoken does not become part of the conversation."""
    async with running(broker_url, live_url, data=tmp_path) as gateway, lesson(gateway) as socket:
        await socket.send(WAV)
        await heard(gateway, "")
        mine = await row(socket)
        turn = await gateway.studio.turn()
        await gateway.studio.speak(turn, 0, turn.say, PCM)
        await gateway.studio.end(turn, 1, "")
        told = await row(socket)
        await socket.send(WAV)
        await heard(gateway, "Hi.")
        await row(socket)
        after = await gateway.studio.turn()
    assert (mine["data"], told["data"], turn.ask, turn.say) == ("", AGAIN, "", AGAIN)
    assert after.messages == (("user", "Hi."),)


async def test_a_database_that_goes_away_is_a_row_that_is_not_kept(
    broker_url: str, live_url: str, tmp_path: Path
) -> None:
    """It has no id, the socket stays open."""
    (tmp_path / FILE).mkdir()
    async with running(broker_url, live_url, data=tmp_path) as gateway, lesson(gateway) as socket:
        await socket.send(WAV)
        first = await row(socket)
        await socket.send(WAV)
        second = await row(socket)
    for failed in (first, second):
        assert (failed["id"], failed["user_id"], failed["audio_key"]) == (0, 0, SILENCE)
        assert "rows of the English partner cannot be reached" in failed["data"]


async def test_a_fault_of_ours_is_a_row(
    broker_url: str, live_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Named by its kind, told in the log; the socket stays open."""

    async def broken(*_: object) -> None:
        raise ZeroDivisionError("canary")

    monkeypatch.setattr(Teacher, "lesson", broken)
    async with running(broker_url, live_url, data=tmp_path) as gateway, lesson(gateway) as socket:
        await socket.send(WAV)
        failed = await row(socket)
        await socket.send(WAV)
        assert (await row(socket))["data"] == failed["data"]
    assert failed["data"] == "This did not work: ZeroDivisionError: canary"


@pytest.mark.parametrize(
    ("query", "why"),
    [
        ("", "user_id is missing"), ("user_id=7", "session_id is missing"), ("user_id=0&session_id=0", "user_id must be > 0"),
        ("user_id=x&session_id=0", "user_id"), ("user_id=7&session_id=x", "session_id"), ("user_id=7&session_id=%00", "session_id"),
        (f"user_id={2**63}&session_id=0", "64 bits"), ("user_id=../7&session_id=0", "user_id"), ("user_id=%ff&session_id=0", "user_id"),
    ],
)  # fmt: skip
async def test_a_bad_query_opens_nothing(broker_url: str, live_url: str, tmp_path: Path, query: str, why: str) -> None:
    """400 with the reason, as over HTTP."""
    async with running(broker_url, live_url, data=tmp_path) as gateway:
        with pytest.raises(InvalidStatus) as refused:
            async with lesson(gateway, query):
                pass
    answer = refused.value.response
    assert (answer.status_code, answer.headers["content-type"]) == (400, "text/plain; charset=utf-8")
    assert why in answer.body.decode()


async def test_another_users_session_opens_nothing(broker_url: str, live_url: str, tmp_path: Path) -> None:
    """With or without a token; his own does, with his token in the address, from anywhere."""
    rules = Rules(token=TOKEN)
    rows = SqlRows("", tmp_path)
    await rows.claim(7, 9, 1)
    await rows.close()
    stranger = {"additional_headers": {"Host": "onair.example"}}
    async with running(broker_url, live_url, rules=rules, data=tmp_path) as gateway:
        for query, status in (
            ("user_id=8&session_id=9", 401),
            (f"user_id=7&session_id=9&token={token_of(8, TOKEN)}", 401),
            (f"user_id=8&session_id=9&token={token_of(8, TOKEN)}", 401),
        ):
            with pytest.raises(InvalidStatus) as refused:
                async with lesson(gateway, query):
                    pass
            assert refused.value.response.status_code == status
        with pytest.raises(InvalidStatus):
            async with lesson(gateway, "user_id=7&session_id=9", **stranger):
                pass
        async with lesson(gateway, f"user_id=7&session_id=9&token={token_of(7, TOKEN)}", **stranger) as socket:
            mine, _ = await exchange(gateway, socket, "Hi.", "Hello.")
    assert mine["session_id"] == 9


@pytest.mark.parametrize(
    ("origin", "named", "opens"),
    [
        ("http://localhost:8080", "", True), ("http://127.0.0.1:8080", "", True), ("http://localhost:8081", "", False),
        ("https://evil.example", "", False), ("null", "", False), ("http://localhost:8080", "https://onair.example", False),
        ("https://onair.example", "https://onair.example", True),
    ],
)  # fmt: skip
async def test_only_listed_pages_open_a_lesson(
    broker_url: str,
    live_url: str,
    tmp_path: Path,
    origin: str,
    named: str,
    opens: bool,  # noqa: FBT001  drawn from a table
) -> None:
    """The original pages by default, else those that are named; the gateway's own always."""
    rules = Rules(origins=frozenset({named} - {""}))
    async with running(broker_url, live_url, rules=rules, data=tmp_path) as gateway:
        async with lesson(gateway, origin=f"http://127.0.0.1:{gateway.port}"):
            pass
        if opens:
            async with lesson(gateway, origin=origin):
                return
        with pytest.raises(InvalidStatus) as refused:
            async with lesson(gateway, origin=origin):
                pass
    assert refused.value.response.status_code == 403


async def test_a_recording_may_be_long_but_not_endless(broker_url: str, live_url: str, tmp_path: Path) -> None:
    """Megabytes are taken; more than is allowed closes the connection before it is all sent."""
    caps = Caps(utterance_bytes=3 * 2**20)
    long = write_wav(bytes(2**21), 16_000)
    async with running(broker_url, live_url, caps, data=tmp_path) as gateway, lesson(gateway) as socket:
        await socket.send(long)
        clip = await gateway.studio.clip()
        kept = await gateway.studio.bus.live(clip.session).get(streams.CLIP.of(clip.session))
        with pytest.raises(ConnectionClosed):  # noqa: PT012  the sending itself may be what fails
            await socket.send(bytes(100 * 2**20))
            await socket.recv()
    assert kept == long
    assert socket.close_code == 1009


async def test_who_leaves_ends_his_turn(broker_url: str, live_url: str, tmp_path: Path) -> None:
    """Down to the engines; what he said stays written down, and his place is free."""
    async with running(broker_url, live_url, Caps(lessons=1), data=tmp_path) as gateway:
        async with lesson(gateway) as socket:
            with pytest.raises(InvalidStatus, match="400"):
                async with lesson(gateway):
                    pass
            await socket.send(WAV)
            await heard(gateway, "Hi.")
            mine = await row(socket)
            turn = await gateway.studio.turn()
        ended = await gateway.studio.interrupted(turn.session)
        kept = (await fetched(gateway, f"/message?user_id=7&session_id={mine['session_id']}")).json()["messages"]
        async with lesson(gateway):
            pass
    assert ended.by == "disconnect"
    assert [each["data"] for each in kept] == ["Hi."]


async def test_the_kill_switch_is_a_row(broker_url: str, live_url: str, tmp_path: Path) -> None:
    """A lesson is silenced as everything else is."""
    async with running(broker_url, live_url, data=tmp_path) as gateway, lesson(gateway) as socket:
        await gateway.studio.bus.work.set(streams.SILENCE, b"1")
        await socket.send(WAV)
        await heard(gateway, "Hi.")
        await row(socket)
        told = await row(socket)
    assert "silenced" in told["data"]


async def test_two_users_at_once_share_nothing(broker_url: str, live_url: str, tmp_path: Path) -> None:
    """Each hears his own rows in his own session."""
    async with (
        running(broker_url, live_url, data=tmp_path) as gateway,
        lesson(gateway) as one,
        lesson(gateway, "user_id=8&session_id=0") as two,
    ):
        for socket in (one, two):
            await socket.send(WAV)
            await heard(gateway, f"I am {'one' if socket is one else 'two'}.")
        mine, theirs = await row(one), await row(two)
        turns = [await gateway.studio.turn() for _ in range(2)]
        for turn in turns:
            await gateway.studio.speak(turn, 0, f"You said: {turn.ask}", PCM)
            await gateway.studio.end(turn, 1, f"You said: {turn.ask}")
        told = [await row(socket) for socket in (one, two)]
    assert (mine["user_id"], theirs["user_id"]) == (7, 8)
    assert mine["session_id"] != theirs["session_id"]
    assert [each["data"] for each in told] == ["You said: I am one.", "You said: I am two."]
    assert sorted(len(turn.messages or ()) for turn in turns) == [1, 1]


async def test_a_session_that_is_taken_meanwhile_is_a_row(broker_url: str, live_url: str, tmp_path: Path) -> None:
    """It was nobody's when the lesson was opened."""
    rows = SqlRows("", tmp_path)
    async with (
        running(broker_url, live_url, data=tmp_path) as gateway,
        lesson(gateway, "user_id=7&session_id=9") as socket,
    ):
        await rows.claim(8, 9, 1)
        await socket.send(WAV)
        failed = await row(socket)
    with pytest.raises(Failure):
        await rows.claim(7, 9, 1)
    await rows.close()
    assert (failed["id"], "another user's" in failed["data"]) == (0, True)
