"""What the doctor makes of facts: states, remedies, and never a secret."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onair import findings
from onair.findings import Finding, State, missing, ok, problem


def test_states() -> None:
    """Only a problem means that something configured cannot work."""
    good = [ok("a", "b", "c"), missing("a", "b", "c", "d")]
    assert findings.well(good)
    assert not findings.well([*good, problem("a", "b", "c", "d")])
    told = json.loads(findings.as_json(good))
    assert told["ok"] is True
    assert told["findings"][1] == {"part": "a", "name": "b", "state": "missing", "says": "c", "remedy": "d"}


@given(st.text(min_size=4), st.text(), st.text())
def test_a_secret_is_never_shown(secret: str, before: str, after: str) -> None:
    """Wherever a key stands in a text, it does not remain."""
    found = findings.discreet(
        problem("a", "b", before + secret + after, secret), findings.secrets_of([secret, f"redis://u:{secret}@h", "ab"])
    )
    hidden = found.says.replace(findings.HIDDEN, "")
    assert secret not in hidden or secret in before + after
    assert found.remedy == findings.HIDDEN


def test_secrets_of_urls() -> None:
    """Passwords and queries are secrets of their own; short ones and broken addresses are no reason to stop."""
    found = findings.secrets_of(
        ["redis://u:p4ssw0rd@h:1/0", "redis://:p%40ss@h", "http://h/?key=s3cr3t", "http://[", "", "abc"]
    )
    assert {"p4ssw0rd", "p%40ss", "p@ss"} <= {*found}
    assert "key=s3cr3t" in found
    assert "abc" not in found
    assert found == sorted(found, key=len, reverse=True)


def test_places() -> None:
    """Of an address only host and port are shown."""
    assert findings.place("redis://u:p@h:1/0") == "h:1"
    assert findings.place("https://h/v1?key=1") == "h"
    assert findings.place("http://[") == findings.place("") == "an address that is none"


LIST = b'{"data": [{"id": "a"}, {"id": "b:latest"}]}'


@pytest.mark.parametrize(
    ("status", "body", "name", "state", "text"),
    [
        (200, LIST, "a", State.OK, "h answers, model a"),
        (200, LIST, "b", State.OK, "h answers, model b"),
        (200, LIST, "c", State.PROBLEM, "does not have the model c; it has a, b:latest"),
        (200, b"{}", "c", State.OK, "it lists none"),
        (200, b"x", "c", State.OK, "it lists none"),
        (404, b"", "c", State.OK, "it lists none"),
        (401, b"", "c", State.PROBLEM, "refuses the key (401)"),
        (403, b"", "c", State.PROBLEM, "refuses the key (403)"),
        (302, b"", "c", State.PROBLEM, "redirects"),
        (500, b"", "c", State.PROBLEM, "answers 500"),
    ],
)
def test_models(status: int, body: bytes, name: str, state: State, text: str) -> None:
    """What a model server answers, and what to do about it."""
    found = findings.model(status, body, name, "h")
    assert found.state is state
    assert text in found.says
    assert bool(found.remedy) == (state is State.PROBLEM)


GOOD = {"maxmemory-policy": "noeviction", "appendonly": "yes", "appendfsync": "always"}


@pytest.mark.parametrize(
    ("name", "version", "settings", "problems"),
    [
        ("work", "7.0.15", GOOD, []),
        ("work", "7.2.4", {}, []),
        ("work", "6.2", GOOD, ["7.0 or newer"]),
        ("work", "x", GOOD, ["7.0 or newer"]),
        ("work", "8", {**GOOD, "appendfsync": "everysec"}, ["appendfsync always"]),
        ("work", "7.0", {"appendonly": "no", "maxmemory-policy": "allkeys-lru"}, ["noeviction", "appendonly yes"]),
        ("live", "7.0", {"appendonly": "no", "maxmemory-policy": "noeviction"}, []),
        ("live", "7.0", {"maxmemory-policy": "volatile-ttl"}, ["noeviction"]),
    ],
)
def test_brokers(name: str, version: str, settings: dict[str, str], problems: list[str]) -> None:
    """Age and promises; what a broker does not tell is no problem, and is said."""
    found = findings.broker(name, "h:1", version, settings)
    assert [each.state for each in found] == ([State.PROBLEM] * len(problems) or [State.OK])
    assert all(text in each.remedy for text, each in zip(problems, found, strict=False))
    assert ("does not tell" in found[0].says) == (not settings)


@pytest.mark.parametrize(
    ("host", "exposed", "local", "token", "state", "text"),
    [
        ("127.0.0.1", "", True, False, State.OK, "no token is needed"),
        ("127.0.0.1", "", True, True, State.OK, "this machine only (127.0.0.1)"),
        ("10.0.0.1", "", False, True, State.OK, "who has the token"),
        ("10.0.0.1", "loopback", False, False, State.OK, "published on 127.0.0.1 only"),
        ("10.0.0.1", "", False, False, State.PROBLEM, "without a token"),
        ("10.0.0.1", "network", False, False, State.PROBLEM, "without a token"),
        ("127.0.0.1", "world", True, True, State.PROBLEM, "GATEWAY_EXPOSED is 'world'"),
    ],
)
def test_exposure(host: str, exposed: str, local: bool, token: bool, state: State, text: str) -> None:  # noqa: FBT001  a table
    """Who may come in is said; an open door is a problem."""
    found = findings.exposure(host, exposed, local=local, token=token)
    assert found.state is state
    assert text in found.says


@pytest.mark.parametrize(
    ("wanted", "served", "lacks", "state", "text"),
    [
        (["a", "b"], ["a", "b"], {}, State.OK, "a → b"),
        (["a", "b"], ["b"], {"a": []}, State.OK, "spoken by b"),
        (["a"], ["a"], {"a": ["pkg"]}, State.PROBLEM, "a lacks pkg"),
        (["b", "a"], ["a"], {"a": ["pkg"]}, State.PROBLEM, "a lacks pkg"),
        (["a", "b"], [], {}, State.PROBLEM, "no worker speaks with a, b: TTS_ENGINES is empty"),
    ],
)
def test_voices(wanted: list[str], served: list[str], lacks: dict[str, list[str]], state: State, text: str) -> None:
    """A voice speaks if one of its engines is served and installed."""
    found: Finding = findings.voice("x", wanted, served, lacks)
    assert found.state is state
    assert text in found.says


def test_what_is_kept() -> None:
    """How long each is kept; a folder that is a link is named, with what to do."""
    terms = {"ledger": "365d", "audio": "7d"}
    assert findings.kept(terms, []) == ok("machine", "kept", "ledger 365d, audio 7d")
    found = findings.kept(terms, ["audio"])
    assert found.state is State.MISSING
    assert found.says.endswith("being a link: audio")
    assert "ONAIR_DATA" in found.remedy


def test_open_networks_are_named() -> None:
    """None is well; each that is open is said, with the remedy."""
    assert findings.opened([]) == ok("gateway", "open networks", "none")
    found = findings.opened(["192.168.0.0/16", "fd00::/8"])
    assert (found.state, "192.168.0.0/16, fd00::/8" in found.says) == (State.MISSING, True)
