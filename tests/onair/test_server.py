"""Where the gateway is, and what is said when it is not there."""

import json
import re
import socket
from pathlib import Path

import pytest
from hypothesis import given as having
from hypothesis import strategies as st

from onair.processes import take
from onair.server import Server, find, given, refusal
from services.contract.failure import Code, Failure
from tests.onair.gateway import Answer, serving


def get(server: Server) -> None:
    with server.open() as client:
        client.get("/")


def running(folder: Path, note: str) -> Path:
    (folder / "run").mkdir(parents=True)
    (folder / "run" / "gateway-1.json").write_text(note)
    return folder


def test_the_server_of_the_folder_is_found(tmp_path: Path) -> None:
    """The note of the `onair` that holds the folder names the port; GATEWAY_HOST names where it listens."""
    data = running(tmp_path / "data", json.dumps({"port": 8123}))
    with take(data):
        assert find("", "t", [data], {}) == Server("http://127.0.0.1:8123", "t", data)
        assert find("", "", [data], {"GATEWAY_HOST": "0.0.0.0"}).url == "http://127.0.0.1:8123"  # noqa: S104  nothing is bound
        assert find("", "", [data], {"GATEWAY_HOST": "::"}).url == "http://[::1]:8123"
        assert find("", "", [data], {"GATEWAY_HOST": "10.0.0.7"}).url == "http://10.0.0.7:8123"
        demo = find("", "", [tmp_path / "none", data], {"GATEWAY_HOST": "10.0.0.7"})
        assert demo.url == "http://127.0.0.1:8123"


@pytest.mark.parametrize("note", ["", "[]", '{"port": null}', "{}"])
def test_no_server_is_a_sentence(tmp_path: Path, note: str) -> None:
    """Nothing there, an old note, a half-written one: the sentence says how to start or name a server."""
    data = running(tmp_path / "data", note)
    with pytest.raises(Failure, match=r"no onair runs in .*onair up.*--server") as caught:
        find("", "", [tmp_path / "none", data], {})
    assert caught.value.code is Code.NOT_FOUND
    with take(data), pytest.raises(Failure, match="no onair runs in"):
        find("", "", [data], {})
    with pytest.raises(Failure, match="no onair runs in"):
        find("", "", [data], {})


def test_a_named_server() -> None:
    """The scheme may be left out; what is no address is refused."""
    assert given("studio:8000", "").url == "http://studio:8000"
    assert given("https://a.example/", "x") == Server("https://a.example", "x")
    for wrong in ("ftp://a", "http://", "http://a:99999", "http://u:p@a", "http://a?key=1", "http://[", "a b"):
        with pytest.raises(Failure, match="--server is no address"):
            given(wrong, "")
    with pytest.raises(Failure, match="the token has characters"):
        given("http://a", "line\nbreak")


def test_only_another_machine_is_reached_through_a_proxy() -> None:
    """A proxy of the environment would break what runs here."""
    assert [given(url, "").local for url in ("localhost:1", "127.0.0.2", "http://[::1]:8", "studio")] == [
        True, True, True, False,
    ]  # fmt: skip


@having(st.text())
def test_any_address_is_taken_or_refused(text: str) -> None:
    """No address makes the parser break."""
    try:
        found = given(text, "")
    except Failure:
        return
    assert found.url.startswith("http")


def test_nobody_listens() -> None:
    """The sentence names the address and the remedy."""
    with serving() as gateway:
        pass
    with pytest.raises(Failure, match=f"no server listens at {gateway.url}: start one by `onair up`"):
        get(gateway.server)


def test_a_server_that_is_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is given up, and its log is named."""
    monkeypatch.setattr("onair.server.SILENT_S", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as mute, pytest.raises(Failure, match="does not answer in time"):
        get(Server(f"http://127.0.0.1:{mute.getsockname()[1]}"))


def test_a_connection_that_breaks_off() -> None:
    """A body that ends too early is named."""
    with serving(Answer(b"half", cut=True)) as gateway, pytest.raises(Failure, match="broke off"):
        get(gateway.server)


@pytest.mark.parametrize(
    ("status", "body", "code", "said"),
    [
        (401, b"", Code.UNAUTHORIZED, "ONAIR_TOKEN or --token"),
        (307, b"", Code.BAD_INPUT, "redirects"),
        (404, b"<html>", Code.NOT_FOUND, "no such page"),
        (404, b'{"detail": "no room"}', Code.BAD_INPUT, "answered 404: no room"),
        (422, b'{"detail": [1]}', Code.BAD_INPUT, "nothing that says why"),
        (503, b'{"detail": "busy\\u001b[2J"}', Code.ENGINE_BROKEN, r"busy \[2J"),
        (500, b"[" * 100_000, Code.ENGINE_BROKEN, "nothing that says why"),
        (500, b"[]", Code.ENGINE_BROKEN, "nothing that says why"),
    ],
)
def test_refusals(status: int, body: bytes, code: Code, said: str) -> None:
    """The server's own words, tame, or what the status means."""
    found = refusal(status, body, "http://x")
    assert found.code is code
    assert re.search(said, found.sentence)
