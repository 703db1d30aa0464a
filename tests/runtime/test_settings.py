"""The environment: what a machine or a secret decides."""

from pathlib import Path

import pytest

from services.contract.failure import Failure
from services.runtime.logs import redact
from services.runtime.settings import common, flag, number, ports, secret, waits

PERSONAS = "personas: {host: {voice: v}}\nvoices: {v: {engines: [{espeak: {}}]}}\n"


def test_nothing_needs_to_be_set() -> None:
    """Without any variable the embedded brokers and the default port are meant."""
    found = common("llm", {})
    assert (found.work_url, found.live_urls, found.health_port) == (
        "redis://127.0.0.1:16379/0",
        ("redis://127.0.0.1:16380/0",),
        8102,
    )


def test_one_url_serves_both_brokers() -> None:
    """REDIS_URL sets work and live; the special ones win."""
    assert common("llm", {"REDIS_URL": "redis://a"}).live_urls == ("redis://a",)
    both = common("llm", {"REDIS_URL": "redis://a", "LIVE_REDIS_URLS": "redis://b, redis://c"})
    assert (both.work_url, both.live_urls) == ("redis://a", ("redis://b", "redis://c"))


def test_a_secret_may_lie_in_a_file(tmp_path: Path) -> None:
    """NAME_FILE is read, and neither way shows up in a log line."""
    (tmp_path / "key").write_text("canary-7f3a\n")
    assert secret({"OPENAI_API_KEY_FILE": str(tmp_path / "key")}, "OPENAI_API_KEY") == "canary-7f3a"
    assert redact(None, "info", {"event": "sent canary-7f3a", "api_key": "x", "n": 1}) == {
        "event": "sent ***",
        "api_key": "***",
        "n": 1,
    }


def test_the_file_of_a_secret_wins(tmp_path: Path) -> None:
    """Where a secret is given both ways, as by a composed default, the file is what somebody meant."""
    (tmp_path / "key").write_text("canary-7f3b")
    given = {"OPENAI_API_KEY_FILE": str(tmp_path / "key"), "OPENAI_API_KEY": "canary-7f3c"}
    assert secret(given, "OPENAI_API_KEY") == "canary-7f3b"


@pytest.mark.parametrize("text", ["0", "80,x", "1;2", "65536", "-1"])
def test_ports_are_numbers(text: str) -> None:
    """None of them is any free one: nobody would know which."""
    with pytest.raises(Failure, match="must be a number from 1 to 65535"):
        ports({"PORTS": text}, "PORTS")


@pytest.mark.parametrize(("text", "on"), [("", False), ("0", False), ("1", True)])
def test_a_switch(text: str, on: bool) -> None:  # noqa: FBT001  a table
    """Any word but 0 switches on."""
    assert flag({"ONAIR_DEBUG": text}, "ONAIR_DEBUG") is on
    assert common("tts", {"ONAIR_DEBUG": text}).debug is on
    assert waits({"ONAIR_WAIT": text}) is on


def test_the_demo_plays_where_no_room_is(tmp_path: Path) -> None:
    """ONAIR_DEMO gives a configuration without rooms the room `demo`; one with rooms, or without personas, stays."""
    path, demo = tmp_path / "onair.yaml", {"ONAIR_DEMO": "/r/demo.jsonl.gz"}
    path.write_text(PERSONAS)
    found = common("ingest", {"ONAIR_CONFIG": str(path), **demo}).config()
    assert found.rooms["demo"].model_dump()["sources"] == [{"replay": {"path": "/r/demo.jsonl.gz"}}]
    assert common("ingest", {"ONAIR_CONFIG": str(path)}).config().rooms == {}
    path.write_text(f"{PERSONAS}rooms: {{main: {{persona: host, sources: [api: {{}}]}}}}")
    assert set(common("ingest", {"ONAIR_CONFIG": str(path), **demo}).config().rooms) == {"main"}
    path.write_text("")
    assert common("ingest", {"ONAIR_CONFIG": str(path), **demo}).config().rooms == {}


def test_a_secret_file_that_is_missing_is_named() -> None:
    """The variable and the path stand in the sentence."""
    with pytest.raises(Failure, match="OPENAI_API_KEY_FILE names /nowhere"):
        secret({"OPENAI_API_KEY_FILE": "/nowhere"}, "OPENAI_API_KEY")


@pytest.mark.parametrize("text", ["80a", "-1", "70000", "8.5"])
def test_a_port_is_a_number(text: str) -> None:
    """What is wrong is named with what may be."""
    with pytest.raises(Failure, match="must be a number from 0 to 65535"):
        number({"GATEWAY_PORT": text}, "GATEWAY_PORT", 8000)
