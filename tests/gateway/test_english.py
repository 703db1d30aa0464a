"""The English partner's routes on a real socket, over real brokers and a real database."""

import asyncio
import json
import re
from pathlib import Path
from typing import Any

import httpx2
import pytest

from services.contract import streams
from services.contract.asr import Transcribed
from services.contract.failure import Code, Failed
from services.contract.message import Message
from services.gateway.core.access import Rules, token_of
from services.gateway.core.caps import Caps
from services.gateway.core.english import SILENCE, SILENCE_WAV
from services.runtime.sound import read_wav, write_wav
from tests.gateway.studio import Gateway, running

PCM = bytes(range(200))
WAV = write_wav(bytes(3_200), 16_000)
TOKEN = "correct horse"  # noqa: S105  a test's own
LOCKED = Rules(token=TOKEN)
KEY = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\.wav")
PAGE = "http://localhost:8080"


def upload(**fields: Any) -> dict[str, Any]:
    return {"files": {"audio": ("a.wav", WAV, "audio/wav")}, "data": {"user_id": "7", **fields}}


async def heard(gateway: Gateway, text: str, **more: Any) -> None:
    """The next clip is recognised as that."""
    clip = await gateway.studio.clip()
    assert clip.language == "en"
    await gateway.studio.tell(clip.session, Transcribed(utterance=clip.utterance, text=text, final=True, **more))


async def transcribed(gateway: Gateway, text: str, **fields: Any) -> httpx2.Response:
    async with gateway.client() as client:
        asked = asyncio.ensure_future(client.post("/transcribe", **upload(**fields)))
        await heard(gateway, text)
        return await asked


async def answered(gateway: Gateway, text: str) -> Any:
    """The next turn is spoken as that; the turn."""
    turn = await gateway.studio.turn()
    await gateway.studio.speak(turn, 0, text, PCM)
    await gateway.studio.end(turn, 1, text)
    return turn


async def replied(gateway: Gateway, text: str, **request: Any) -> tuple[httpx2.Response, Any]:
    async with gateway.client() as client:
        asked = asyncio.ensure_future(client.post("/reply", **request))
        turn = await answered(gateway, text)
        return await asked, turn


async def got(gateway: Gateway, path: str, **more: Any) -> httpx2.Response:
    async with gateway.client() as client:
        return await client.get(path, **more)


async def test_ping_is_answered_by_pong(broker_url: str, live_url: str, tmp_path: Path) -> None:
    """To the byte."""
    async with running(broker_url, live_url, data=tmp_path) as gateway:
        pong = await got(gateway, "/ping")
    assert (pong.status_code, pong.content) == (200, b'{"message":"pong"}')


async def test_nothing_yet_is_a_list_and_never_null(broker_url: str, live_url: str, tmp_path: Path) -> None:
    """Null breaks the client."""
    async with running(broker_url, live_url, data=tmp_path) as gateway:
        sessions = await got(gateway, "/session?user_id=7")
        messages = await got(gateway, "/message?user_id=7&session_id=9")
    assert (sessions.content, messages.content) == (b'{"sessions":[]}', b'{"messages":[]}')
    assert sessions.headers["content-type"] == "application/json; charset=utf-8"


@pytest.mark.parametrize("fields", [{}, {"session_id": "0"}, {"session_id": "-5"}, {"session_id": ""}])
async def test_a_recording_is_transcribed_into_a_new_session(
    broker_url: str, live_url: str, tmp_path: Path, fields: dict[str, str]
) -> None:
    """The row itself; it is in the session's messages, with its recording."""
    async with running(broker_url, live_url, data=tmp_path) as gateway:
        row = (await transcribed(gateway, " What is the weather?\n", **fields)).json()
        sessions = (await got(gateway, "/session?user_id=7")).json()
        messages = (await got(gateway, f"/message?user_id=7&session_id={row['session_id']}")).json()
        audio = await got(gateway, f"/audio/{row['audio_key']}")
    assert [*row] == ["id", "session_id", "user_id", "data", "create_time", "update_time", "audio_key"]
    assert (row["user_id"], row["data"]) == (7, "What is the weather?")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", row["create_time"])
    assert KEY.fullmatch(row["audio_key"])
    assert sessions == {"sessions": [row["session_id"]]}
    (told,) = messages["messages"]
    assert [*told] == [*row]
    assert {name: told[name] for name in ("id", "session_id", "user_id", "data", "audio_key")} == {
        name: row[name] for name in ("id", "session_id", "user_id", "data", "audio_key")
    }
    assert type(told["create_time"]) is type(told["update_time"]) is int
    assert (audio.headers["content-type"], audio.content) == ("audio/wav", WAV)


@pytest.mark.parametrize(
    "request_",
    [
        {"json": {"user_id": 7, "session_id": 9, "msg": "I goed home."}},
        {"data": {"user_id": "7", "session_id": "9", "msg": "I goed home."}},
        {"params": {"user_id": "7", "session_id": "9", "msg": "I goed home."}},
        {"params": {"user_id": "7", "session_id": "9"}, "json": {"msg": "I goed home."}},
        {"files": {name: (None, text) for name, text in {"user_id": "7", "session_id": "9", "msg": "I goed home."}.items()}},
    ],
    ids=["json", "form", "query", "both", "multipart"],
)  # fmt: skip
async def test_a_text_is_replied_to(broker_url: str, live_url: str, tmp_path: Path, request_: dict[str, Any]) -> None:
    """JSON, form or query: the teacher's row, its times in seconds, its recording a WAV of what was spoken."""
    async with running(broker_url, live_url, data=tmp_path) as gateway:
        reply, turn = await replied(gateway, "You mean: I went home.", **request_)
        row = reply.json()["message"]
        messages = (await got(gateway, "/message?user_id=7&session_id=9")).json()["messages"]
        audio = await got(gateway, f"/audio/{row['audio_key']}")
    assert (turn.persona, turn.language, turn.ask, turn.messages) == (
        "teacher", "en", "I goed home.", (("user", "I goed home."),),
    )  # fmt: skip
    assert [*reply.json()] == ["message"]
    assert (row["user_id"], row["session_id"], row["data"]) == (0, 9, "You mean: I went home.")
    assert type(row["create_time"]) is int
    assert [(each["user_id"], each["data"], each["audio_key"]) for each in messages] == [
        (7, "I goed home.", ""), (0, row["data"], row["audio_key"]),
    ]  # fmt: skip
    assert read_wav(audio.content).pcm == PCM


async def test_the_history_of_a_session_is_in_the_prompt(broker_url: str, live_url: str, tmp_path: Path) -> None:
    """From the rows, also after a restart; what /transcribe wrote down is not written down twice."""
    async with running(broker_url, live_url, data=tmp_path) as gateway:
        row = (await transcribed(gateway, "I goed home.")).json()
        body = {"user_id": 7, "session_id": row["session_id"], "msg": row["data"]}
        await replied(gateway, "I went.", json=body)
    async with running(broker_url, live_url, data=tmp_path) as gateway:
        gateway.studio.after.clear()
        await gateway.studio.turn()
        _, turn = await replied(gateway, "Good.", json={**body, "msg": "I went home."})
        told = (await got(gateway, f"/message?user_id=7&session_id={row['session_id']}")).json()["messages"]
    assert turn.messages == (("user", "I goed home."), ("assistant", "I went."), ("user", "I went home."))
    assert [each["data"] for each in told] == ["I goed home.", "I went.", "I went home.", "Good."]
    assert [each["id"] for each in told] == sorted(each["id"] for each in told)


BAD: list[tuple[str, str, dict[str, Any], str]] = [
    ("GET", "/session", {}, "user_id"),
    ("GET", "/session?user_id=0", {}, "user_id"),
    ("GET", "/session?user_id=-1", {}, "user_id"),
    ("GET", "/session?user_id=x", {}, "user_id"),
    ("GET", f"/session?user_id={'9' * 400}", {}, "user_id"),
    ("GET", "/session?user_id=%00", {}, "user_id"),
    ("GET", "/message?user_id=7", {}, "session_id"),
    ("GET", "/message?user_id=7&session_id=0", {}, "session_id"),
    ("GET", "/message?session_id=7", {}, "user_id"),
    ("GET", "/chat?user_id=7&session_id=0", {}, "WebSocket"),
    ("POST", "/reply", {}, "user_id"),
    ("POST", "/reply", {"content": b"{"}, "JSON"),
    ("POST", "/reply", {"content": b"[" * 4_000}, "JSON"),
    ("POST", "/reply", {"content": b"\xff\xfe"}, "JSON"),
    ("POST", "/reply", {"json": [1]}, "JSON object"),
    ("POST", "/reply", {"json": {"user_id": 7, "session_id": 0, "msg": "x"}}, "session_id"),
    ("POST", "/reply", {"json": {"user_id": True, "session_id": 1, "msg": "x"}}, "user_id"),
    ("POST", "/reply", {"json": {"user_id": 10**400, "session_id": 1, "msg": "x"}}, "user_id"),
    ("POST", "/reply", {"json": {"user_id": 7, "session_id": 1}}, "msg"),
    ("POST", "/reply", {"json": {"user_id": 7, "session_id": 1, "msg": " "}}, "msg"),
    ("POST", "/reply", {"json": {"user_id": 7, "session_id": 1, "msg": "x" * 8_001}}, "8000"),
    ("POST", "/reply", {"content": b"x" * 70_000}, "larger"),
    ("POST", "/reply", {"content": b"x", "headers": {"content-type": "multipart/form-data"}}, "form"),
    ("POST", "/transcribe", {}, "user_id"),
    ("POST", "/transcribe", {"data": {"user_id": "7"}}, "audio"),
    ("POST", "/transcribe", {"files": {"audio": ("a", b"no sound")}, "data": {"user_id": "7"}}, "WAV"),
    ("POST", "/transcribe", {"files": {"audio": ("a", WAV)}, "data": {"user_id": "0"}}, "user_id"),
    ("POST", "/transcribe", {"files": {"audio": ("a", WAV)}, "data": {"user_id": "7", "session_id": "x"}}, "session_id"),
    ("POST", "/transcribe", {"files": {"audio": (None, "a text")}, "data": {"user_id": "7"}}, "audio"),
    ("POST", "/transcribe", {"files": [("audio", ("a", WAV)), ("audio", ("b", WAV))], "data": {"user_id": "7"}}, "form"),
    ("POST", "/transcribe", {"content": b"--x\r\n", "headers": {"content-type": "multipart/form-data; boundary=x"}}, ""),
    ("POST", "/transcribe",
     {"content": b"--x\r\n\r\n\r\n--x--", "headers": {"content-type": "multipart/form-data; boundary=x; charset=nope"}}, "form"),
    ("GET", "/audio/", {}, "no such recording"),
    ("GET", "/audio/x.wav", {}, "no such recording"),
    ("GET", "/audio/..%2f..%2fetc%2fpasswd", {}, "no such recording"),
    ("GET", "/audio/%2e%2e%2fenglish.sqlite3", {}, "no such recording"),
    ("GET", f"/audio/{SILENCE}%00", {}, "no such recording"),
    ("GET", "/audio/11111111-1111-1111-1111-111111111111.wav", {}, "no such recording"),
]  # fmt: skip


async def test_bad_input_is_refused_with_its_reason(broker_url: str, live_url: str, tmp_path: Path) -> None:
    """400, plain text, on every route; nobody is asked for anything, nothing is written down."""
    async with running(broker_url, live_url, data=tmp_path) as gateway, gateway.client() as client:
        for method, path, more, why in BAD:
            refused = await client.request(method, path, **more)
            assert (refused.status_code, refused.headers["content-type"]) == (400, "text/plain; charset=utf-8"), (
                path,
                more,
            )
            assert why in refused.text, (path, more, refused.text)
            assert refused.text
        asked = [await gateway.studio.bus.work.xlen(key) for key in (streams.LISTEN.key(), streams.TURNS.key())]
        assert (await client.get("/session?user_id=7")).json() == {"sessions": []}
    assert asked == [0, 0]


async def test_an_upload_that_is_too_large_is_refused_before_it_is_sent(
    broker_url: str, live_url: str, tmp_path: Path
) -> None:
    """A hundred MiB that are announced, and some that are not: told at once, the connection is closed."""
    caps = Caps(utterance_bytes=20_000, form_bytes=10_000)
    head = "POST /transcribe HTTP/1.1\r\nHost: localhost\r\nContent-Type: multipart/form-data; boundary=x\r\n"
    async with running(broker_url, live_url, caps, data=tmp_path) as gateway, gateway.client() as client:
        reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
        writer.write(f"{head}Content-Length: {100 * 2**20}\r\n\r\n".encode())
        async with asyncio.timeout(10):
            announced = await reader.readuntil(b"allowed")
        writer.close()
        reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
        writer.write(f"{head}Transfer-Encoding: chunked\r\n\r\n".encode() + b"8000\r\n" + bytes(0x8000) + b"\r\n")
        async with asyncio.timeout(10):
            endless = await reader.readuntil(b"allowed")
        writer.close()
        big = await client.post("/transcribe", files={"audio": ("a", WAV + bytes(18_000))}, data={"user_id": "7"})
    for told in (announced, endless):
        assert told.startswith(b"HTTP/1.1 400")
    assert (big.status_code, "20000 are allowed" in big.text) == (400, True)


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (Failed(code=Code.ENGINE_MISSING, sentence="the model is not there"), "the model is not there"),
        (Transcribed(utterance="u", text="x", final=True, speaker="rejected"), "not the voice"),
    ],
)
async def test_a_recording_that_is_not_understood_leaves_nothing(
    broker_url: str, live_url: str, tmp_path: Path, answer: Message, why: str
) -> None:
    """400 with the recogniser's own words; no session, no row, no recording."""
    async with running(broker_url, live_url, data=tmp_path) as gateway, gateway.client() as client:
        asked = asyncio.ensure_future(client.post("/transcribe", **upload()))
        clip = await gateway.studio.clip()
        await gateway.studio.tell(clip.session, answer)
        refused = await asked
        sessions = (await client.get("/session?user_id=7")).json()
    assert (refused.status_code, why in refused.text) == (400, True)
    assert sessions == {"sessions": []}
    assert not (tmp_path / "audio").exists()


async def test_a_reply_that_fails_is_refused(broker_url: str, live_url: str, tmp_path: Path) -> None:
    """400 with the model's own words; the text is kept, and asked again it is there once. A silent model is given up."""
    body = {"user_id": 7, "session_id": 9, "msg": "Hi"}
    async with (
        running(broker_url, live_url, Caps(patience_ms=1_000), data=tmp_path) as gateway,
        gateway.client() as client,
    ):
        asked = asyncio.ensure_future(client.post("/reply", json=body))
        turn = await gateway.studio.turn()
        await gateway.studio.tell(turn.session, Failed(turn=turn.turn, code=Code.ENGINE_MISSING, sentence="no key"))
        await gateway.studio.end(turn, 0, "", "failed")
        failed = await asked
        silent = await client.post("/reply", json=body)
        given_up = await gateway.studio.interrupted((await gateway.studio.turn()).session)
        told = (await client.get("/message?user_id=7&session_id=9")).json()["messages"]
    assert (failed.status_code, failed.text) == (400, "no key")
    assert (silent.status_code, "in time" in silent.text, given_up.by) == (400, True, "deadline")
    assert [(each["user_id"], each["data"]) for each in told] == [(7, "Hi")]


async def test_who_leaves_ends_his_turn(broker_url: str, live_url: str, tmp_path: Path) -> None:
    """Down to the engines, long before its time is up."""
    async with running(broker_url, live_url, data=tmp_path) as gateway:
        body = json.dumps({"user_id": 7, "session_id": 9, "msg": "Hi"}).encode()
        _, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
        writer.write(b"POST /reply HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
        turn = await gateway.studio.turn()
        writer.close()
        assert (await gateway.studio.interrupted(turn.session)).by == "disconnect"


async def test_an_expired_recording_is_none(broker_url: str, live_url: str, tmp_path: Path) -> None:
    """What the hourly job deletes lies where it looks; the row stays. Silence never expires."""
    async with running(broker_url, live_url, data=tmp_path) as gateway:
        row = (await transcribed(gateway, "Hi")).json()
        (tmp_path / "audio" / row["audio_key"]).unlink()
        gone = await got(gateway, f"/audio/{row['audio_key']}")
        silence = await got(gateway, f"/audio/{SILENCE}")
        told = (await got(gateway, f"/message?user_id=7&session_id={row['session_id']}")).json()["messages"]
    assert (gone.status_code, gone.text) == (400, "there is no such recording, or it is not kept any more")
    assert silence.content == SILENCE_WAV
    assert [each["audio_key"] for each in told] == [row["audio_key"]]


async def test_a_user_reads_only_his_own_sessions(broker_url: str, live_url: str, tmp_path: Path) -> None:
    """With his token nothing of another's: no session, message, recording; without it a session is still its user's."""
    async with running(broker_url, live_url, rules=LOCKED, data=tmp_path) as gateway, gateway.client() as client:
        row = (await transcribed(gateway, "mine")).json()
        session, audio = row["session_id"], f"/audio/{row['audio_key']}"
        theirs, mine = ({"authorization": f"Bearer {token_of(user, TOKEN)}"} for user in (8, 7))
        refused = [
            await client.get("/session?user_id=7", headers=theirs),
            await client.get(f"/message?user_id=7&session_id={session}", headers=theirs),
            await client.post("/reply", json={"user_id": 7, "session_id": session, "msg": "x"}, headers=theirs),
            await client.post("/transcribe", **upload(), headers=theirs),
            await client.post("/reply", json={"user_id": 8, "session_id": session, "msg": "x"}, headers=theirs),
            await client.post("/transcribe", **upload(user_id="8", session_id=str(session)), headers=theirs),
            await client.post("/transcribe", **upload(user_id="8", session_id=str(session))),
        ]
        hidden = await client.get(audio, headers=theirs)
        empty = await client.get(f"/message?user_id=8&session_id={session}", headers=theirs)
        own = [
            (await client.get("/session?user_id=7", headers=mine)).json(),
            len((await client.get(f"/message?user_id=7&session_id={session}", headers=mine)).json()["messages"]),
            (await client.get(audio, headers=mine)).content,
            (await client.get(audio, headers={"authorization": f"Bearer {TOKEN}"})).content,
        ]
        silence = await client.get(f"/audio/{SILENCE}", headers=theirs)
    assert [(answer.status_code, answer.headers["content-type"]) for answer in refused] == [
        (401, "text/plain; charset=utf-8")
    ] * len(refused)
    assert (hidden.status_code, empty.json(), silence.status_code) == (400, {"messages": []}, 200)
    assert own == [{"sessions": [session]}, 1, WAV, WAV]


async def test_the_operator_gives_a_users_token_out(broker_url: str, live_url: str, tmp_path: Path) -> None:
    """The same each time; not to another page, not for what is no user, and not where there is no token to make it from."""
    async with running(broker_url, live_url, rules=LOCKED, data=tmp_path) as gateway, gateway.client() as client:
        given = await client.post("/api/users/7/token")
        wrong = [await client.post(f"/api/users/{user}/token") for user in ("0", "x", "-1")]
        page = await client.post("/api/users/7/token", headers={"origin": PAGE})
        stranger = await client.post("/api/users/7/token", headers={"host": "onair.example"})
        known = await client.get(f"/session?user_id=7&token={given.json()['token']}", headers={"host": "onair.example"})
    async with running(broker_url, live_url, data=tmp_path) as gateway, gateway.client() as client:
        without = await client.post("/api/users/7/token")
    assert (given.json(), given.headers["cache-control"]) == ({"token": token_of(7, TOKEN)}, "no-store")
    assert [answer.status_code for answer in wrong] == [422] * 3
    assert (page.status_code, stranger.status_code, known.status_code) == (401, 401, 200)
    assert (without.status_code, "ONAIR_TOKEN" in without.json()["detail"]) == (422, True)


async def test_listed_pages_may_read_the_answers(broker_url: str, live_url: str, tmp_path: Path) -> None:
    """The original pages where no origins are named, else the named ones; a refusal too; no other page, no other route."""
    async with running(broker_url, live_url, data=tmp_path) as gateway, gateway.client() as client:
        ask = {"access-control-request-method": "POST", "access-control-request-headers": "content-type"}
        before = await client.request("OPTIONS", "/reply", headers={"origin": PAGE, **ask})
        strange = await client.request("OPTIONS", "/reply", headers={"origin": "http://localhost:3000", **ask})
        read = await client.get("/session?user_id=7", headers={"origin": PAGE})
        refused = await client.get("/session", headers={"origin": "http://127.0.0.1:8080"})
        other = await client.get("/session?user_id=7", headers={"origin": "http://localhost:3000"})
        health = await client.get("/healthz", headers={"origin": PAGE})
        door = await client.get("/session?user_id=7", headers={"origin": PAGE, "host": "evil.example"})
    rules = Rules(origins=frozenset({"https://onair.example"}))
    async with running(broker_url, live_url, rules=rules, data=tmp_path) as gateway:
        named = await got(gateway, "/ping", headers={"origin": "https://onair.example"})
        no_more = await got(gateway, "/ping", headers={"origin": PAGE})
    allowed = "access-control-allow-origin"
    assert (before.status_code, before.headers[allowed]) == (200, PAGE)
    assert "content-type" in before.headers["access-control-allow-headers"].lower()
    assert "POST" in before.headers["access-control-allow-methods"]
    assert (read.headers[allowed], refused.headers[allowed]) == (PAGE, "http://127.0.0.1:8080")
    assert [answer.headers.get(allowed) for answer in (strange, other, health, no_more)] == [None] * 4
    assert (door.status_code, door.headers[allowed]) == (401, PAGE)
    assert named.headers[allowed] == "https://onair.example"


async def test_a_disk_that_is_full_is_told(broker_url: str, live_url: str, tmp_path: Path) -> None:
    """Nothing is half there."""
    (tmp_path / "audio").write_text("no folder")
    async with running(broker_url, live_url, data=tmp_path) as gateway:
        failed = await transcribed(gateway, "Hi")
    assert (failed.status_code, "cannot be kept" in failed.text) == (400, True)
    assert (tmp_path / "audio").read_text() == "no folder"


async def test_brokers_that_are_gone_are_told(live_url: str, tmp_path: Path) -> None:
    """With the protocol's error, and a time to come back."""
    async with running("redis://127.0.0.1:1", live_url, data=tmp_path) as gateway, gateway.client() as client:
        failed = await client.post("/transcribe", **upload())
        reply = await client.post("/reply", json={"user_id": 7, "session_id": 9, "msg": "Hi"})
    assert (failed.status_code, failed.headers["retry-after"]) == (400, "5")
    assert "try again" in failed.text
    assert "try again" in reply.text


async def test_no_two_routes_overlap(broker_url: str, live_url: str, tmp_path: Path) -> None:
    """Each of the partner's paths belongs to one route of each kind; calls take only what is left."""
    async with running(broker_url, live_url, data=tmp_path) as gateway, gateway.client() as client:
        paths = (await client.get("/openapi.json")).json()["paths"]
    ours = {"/ping", "/session", "/message", "/reply", "/transcribe", "/audio/{name}", "/api/users/{user}/token"}
    assert ours <= set(paths)
    assert [len(paths[path]) for path in sorted(ours)] == [1] * len(ours)
