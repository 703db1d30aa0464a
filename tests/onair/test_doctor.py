"""`onair doctor` on a real machine: real ports, brokers and servers, within its time."""

import json
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from onair import probes
from onair.doctor import doctor, together
from onair.findings import State, ok
from onair.processes import take
from services.runtime.settings import HEALTH_PORTS
from tests.conftest import broker
from tests.onair.gateway import Answer, serving
from tests.onair.helpers import CONFIG

CANARIES = ("c4nary-key", "c4nary-token", "c4nary-word", "c4nary-proxy")
Ask = Callable[..., dict[str, dict[str, Any]]]


@pytest.fixture
def ask(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Ask:
    """The doctor's findings by name, for that configuration and that environment; its exit code under `exit`."""
    monkeypatch.chdir(tmp_path)
    for name in (
        "OPENAI_API_KEY",
        "OPENAI_BASE_URL",
        "REDIS_URL",
        "WORK_REDIS_URL",
        "LIVE_REDIS_URLS",
        "TTS_ENGINES",
        "TTS_OPENAI_API_KEY",
    ):
        monkeypatch.delenv(name, raising=False)

    def run(config: str = CONFIG, **environ: str) -> dict[str, dict[str, Any]]:
        (tmp_path / "onair.yaml").write_text(config, encoding="utf-8")
        free = {f"{service.upper()}_HEALTH_PORT": "0" for service in HEALTH_PORTS}
        for name, value in {"GATEWAY_PORT": "0", **free, **environ}.items():
            monkeypatch.setenv(name, value)
        code = doctor(None, None, json=True)
        said = capsys.readouterr().out
        assert not [canary for canary in CANARIES if canary in said]
        told = json.loads(said)
        assert told["ok"] == (code == 0)
        return {**{each["name"]: each for each in told["findings"]}, "exit": {"code": code}}

    return run


def test_out_of_the_box(ask: Ask) -> None:
    """Nothing configured: all can work, and the missing key is named with its remedy."""
    found = ask()
    assert found["exit"]["code"] == 0
    assert (found["llm openai"]["state"], "OPENAI_API_KEY" in found["llm openai"]["remedy"]) == ("missing", True)
    names = ("python", "extras", "data", "configuration", "tts plain", "asr offline", "avatar scripted", "embedded")
    assert {found[name]["state"] for name in names} == {"ok"}


def test_a_table_for_people(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without --json there is a line for each part, its remedy below it, and the verdict."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GATEWAY_HOST", "0.0.0.0")  # noqa: S104  nothing is bound
    assert doctor(Path("none.yaml"), None, json=False) == 1
    said = capsys.readouterr().out
    assert "→ set ONAIR_TOKEN, or GATEWAY_HOST=127.0.0.1" in said
    assert "there is no configuration at none.yaml" in " ".join(said.split())
    assert "cannot work as configured" in said


@pytest.mark.parametrize(
    ("answer", "state", "text"),
    [
        (Answer(b'{"data": [{"id": "m"}]}'), "ok", "model m"),
        (Answer(b'{"data": [{"id": "x"}]}'), "problem", "does not have the model m; it has x"),
        (Answer(b"", 401), "problem", "refuses the key"),
        (Answer(b"half", cut=True), "problem", "cannot be reached"),
    ],
)
def test_the_model(ask: Ask, answer: Answer, state: str, text: str) -> None:
    """The server is really asked, with the key, which is not shown."""
    config = CONFIG + "engines: {llm: {openai: {model: m}}}\n"
    with serving(answer) as gateway:
        found = ask(config, OPENAI_BASE_URL=f"{gateway.url}/v1/", OPENAI_API_KEY=CANARIES[0])
    assert (found["llm openai"]["state"], found["exit"]["code"]) == (state, int(state == "problem"))
    assert text in found["llm openai"]["says"]
    assert gateway.asked[0][0] == "/v1/models"
    assert gateway.asked[0][2] == f"Bearer {CANARIES[0]}"


def test_a_model_that_cannot_be(ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    """No model, no address, no server, a silent one, a script: each has its word."""
    named = CONFIG + "engines: {llm: {openai: {model: m}}}\n"
    assert "no model is named" in ask(OPENAI_API_KEY=CANARIES[0])["llm openai"]["says"]
    assert "http://" in ask(named, OPENAI_BASE_URL="ollama")["llm openai"]["says"]
    assert "cannot be reached" in ask(named, OPENAI_BASE_URL="http://127.0.0.1:1/v1")["llm openai"]["says"]
    monkeypatch.setattr(probes, "PATIENCE_S", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as mute:
        url = f"http://127.0.0.1:{mute.getsockname()[1]}"
        assert "does not answer within" in ask(named, OPENAI_BASE_URL=url)["llm openai"]["says"]
    assert ask(CONFIG + "engines: {llm: {scripted: {}}, asr: {scripted: {}}}\n")["llm scripted"]["state"] == "ok"
    monkeypatch.setattr(probes, "lacking", lambda *names: list(names))  # pyright: ignore[reportUnknownArgumentType, reportUnknownLambdaType]  any names
    assert "lacks openai" in ask(named)["llm openai"]["says"]
    assert "lacks pocketsphinx" in ask(CONFIG)["asr offline"]["says"]


EARS = CONFIG + "engines: {asr: {openai: {model: m, base_url: %s}}}\n"
MOUTH = """
personas: {host: {voice: plain}}
voices: {plain: {engines: [{openai: {voice: alloy, model: o}}, {espeak: {}}]}, other: {engines: [{openai: {voice: a}}]}}
engines: {tts: {openai: {model: m, base_url: %s}}}
gateway: {persona: host}
"""


@pytest.mark.parametrize(
    ("answer", "state", "text"),
    [
        (Answer(b'{"data": [{"id": "m"}, {"id": "o"}]}'), "ok", "answers, model"),
        (Answer(b'{"data": [{"id": "x"}, {"id": "o"}]}'), "problem", "does not have the model m"),
        (Answer(b"", 401), "problem", "refuses the key"),
    ],
)
def test_ears_and_voices_of_a_server(ask: Ask, answer: Answer, state: str, text: str) -> None:
    """Both servers are really asked, each with its key; every model that a voice names is looked for."""
    with serving(answer, answer) as gateway:
        heard = ask(EARS % f"{gateway.url}/v1", OPENAI_API_KEY=CANARIES[0])["asr openai"]
        keys = {"TTS_OPENAI_API_KEY": CANARIES[1], "TTS_ENGINES": "openai,espeak"}
        spoken = ask(MOUTH % f"{gateway.url}/v1", **keys)["tts openai"]
    assert (heard["state"], spoken["state"]) == (state, state)
    assert text in heard["says"]
    assert text in spoken["says"]
    assert [asked[2] for asked in gateway.asked] == [f"Bearer {CANARIES[0]}", f"Bearer {CANARIES[1]}"]


def test_ears_and_voices_that_cannot_be(ask: Ask) -> None:
    """No key, no model, no address: each has its word, and a voice that no worker serves is named."""
    found = ask(EARS % "''")["asr openai"]
    assert found["says"] == "no key and no server"
    assert "engines.asr.openai.base_url" in found["remedy"]
    assert "no model is named" in ask(CONFIG + "engines: {asr: {openai: {}}}\n")["asr openai"]["says"]
    assert "engines.asr.openai.base_url" in ask(EARS % "whisper")["asr openai"]["remedy"]
    found = ask(MOUTH % "http://127.0.0.1:1/v1", TTS_ENGINES="espeak")
    assert "tts openai" not in found
    assert "set TTS_ENGINES=openai" in found["tts other"]["remedy"]
    wrong = "engines: {tts: {openai: {timeout: 9}}}\n"
    assert "engines.tts.openai.timeout" in ask(CONFIG + wrong)["configuration"]["says"]


def test_brokers(ask: Ask, tmp_path: Path) -> None:
    """Real brokers are asked for their promises; one for both is allowed, and its cost is named."""
    (tmp_path / "b").mkdir()
    with broker(tmp_path / "b", "--appendonly", "yes", "--appendfsync", "everysec") as url:
        found = ask(REDIS_URL=url)
        assert "appendfsync everysec" in found["work"]["says"]
        assert found["live"]["state"] == "ok"
        assert "every microphone frame" in found["work and live"]["says"]
        found = ask(REDIS_URL="", LIVE_REDIS_URLS=url)
        assert (found["live"]["state"], found["embedded"]["state"]) == ("ok", "ok")
    found = ask(WORK_REDIS_URL=f"redis://u:{CANARIES[2]}@127.0.0.1:1/0", LIVE_REDIS_URLS="nothing")
    assert "does not answer" in found["work"]["says"]
    assert "its URL is none" in found["live"]["says"]


def test_a_broker_that_tells_nothing(tmp_path: Path, ask: Ask) -> None:
    """Where CONFIG is forbidden, the settings are not guessed."""
    with broker(tmp_path, "--rename-command", "CONFIG", "") as url:
        assert "does not tell its settings" in ask(WORK_REDIS_URL=url)["work"]["says"]


def test_no_broker_on_this_machine(ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a program to start, the remedy names the ways to one."""
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)  # pyright: ignore[reportUnknownLambdaType, reportUnknownArgumentType]  nothing is installed
    monkeypatch.setenv("PATH", "")
    found = ask()
    assert "there is no broker" in found["embedded"]["says"]
    assert found["tts plain"]["state"] == "problem"


def test_ports(ask: Ask, tmp_path: Path) -> None:
    """A taken gateway port is a problem, unless an onair of this folder has it; health gives way."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        found = ask(GATEWAY_PORT=port, LLM_HEALTH_PORT=port)
        assert found[f"gateway {port}"]["state"] == "problem"
        assert "the next free one" in found[f"health llm {port}"]["says"]
        assert ask(GATEWAY_EXTRA_PORTS=port)[f"gateway {port}"]["state"] == "problem"
        with take(tmp_path / "data"):
            assert "an onair runs in this folder" in ask(GATEWAY_PORT=port)[f"gateway {port}"]["says"]
    assert "any free one" in ask(GATEWAY_PORT="0")["gateway 0"]["says"]
    assert ask(GATEWAY_PORT="http")["GATEWAY_PORT"]["state"] == "problem"
    assert ask(GATEWAY_EXTRA_PORTS="http")["GATEWAY_EXTRA_PORTS"]["state"] == "problem"


def test_the_proxy(ask: Ask) -> None:
    """It is really reached; its password is not shown; the environment's own is named as not used."""
    with socket.create_server(("127.0.0.1", 0)) as there:
        port = there.getsockname()[1]
        config = CONFIG + f"network: {{proxy: 'socks5://u:{CANARIES[3]}@127.0.0.1:{port}'}}\n"
        assert ask(config)["proxy"]["says"] == f"127.0.0.1:{port} answers"
    assert "does not answer" in ask(config)["proxy"]["says"]
    for wrong in ("127.0.0.1:7890", "http://[", "http://"):
        assert "no address" in ask(CONFIG + f"network: {{proxy: '{wrong}'}}\n")["proxy"]["says"]
    assert ask(HTTPS_PROXY="http://x:1")["proxy"]["state"] == "missing"


def test_settings_that_cannot_be(ask: Ask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A wrong line, a lost secret file, a wrong option: each is a finding, and the others are still looked at."""
    (tmp_path / ".env").write_text("what\n")
    assert ".env:1" in ask()[".env"]["says"]
    (tmp_path / ".env").write_text("")
    assert "cannot be read" in ask(OPENAI_API_KEY_FILE=str(tmp_path))["OPENAI_API_KEY"]["says"]
    monkeypatch.delenv("OPENAI_API_KEY_FILE")
    found = ask(CONFIG + "engines: {llm: {openai: {timeout: 0}}}\n")
    assert "onair.yaml:6: engines.llm.openai.timeout" in found["configuration"]["says"]
    assert found["llm openai"]["state"] == "missing"


def test_rooms_and_puppets(ask: Ask) -> None:
    """A recording that is not there and a puppet of another version are problems."""
    rooms = "rooms: {a: {persona: host, sources: [replay: x.gz]}, b: {persona: host, sources: [api: ]}}\n"
    found = ask(CONFIG + rooms + "avatar: {vtube_studio: {}}\n")
    assert (found["a"]["state"], found["b"]["state"]) == ("problem", "ok")
    assert found["avatar vtube_studio"]["state"] == "problem"
    path = "rooms: {a: {persona: host, sources: [replay: {path: onair.yaml}]}}\n"
    assert ask(CONFIG + path)["a"]["state"] == "ok"


def test_the_data_folder(ask: Ask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file in its place, a folder that cannot be written, a full disk."""
    (tmp_path / "file").touch()
    assert "is no folder" in ask(ONAIR_DATA=str(tmp_path / "file"))["data"]["says"]
    assert "cannot be written" in ask(ONAIR_DATA="/proc/onair")["data"]["says"]
    monkeypatch.setattr(probes, "SPACE", 1 << 60)
    assert "make room" in ask(ONAIR_DATA="data")["data"]["remedy"]


def test_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """An old Python and a package that is not installed."""
    monkeypatch.setattr("importlib.metadata.requires", lambda _name: ["unheard-of>=1; extra == 'tts'"])  # pyright: ignore[reportUnknownLambdaType, reportUnknownArgumentType]  its argument is not looked at
    found = probes.extras()
    assert [(each.name, each.state) for each in found] == [("extra tts", State.PROBLEM)]
    monkeypatch.setattr("sys.version_info", (3, 9, 1))
    assert probes.python()[0].state is State.PROBLEM


def test_time_is_limited() -> None:
    """A probe that hangs or breaks is a finding; the others keep their places."""
    hang = threading.Event()

    def broken() -> list[Any]:
        raise RuntimeError("x")

    def hanging() -> list[Any]:
        hang.wait(60)
        return []

    found = together([("a", hanging), ("b", lambda: [ok("p", "b", "")]), ("c", broken)], 0.3)
    hang.set()
    assert [(each.name, each.state.value) for each in found] == [("a", "problem"), ("b", "ok"), ("c", "problem")]


@pytest.mark.parametrize(("networks", "says"), [("10.0.0.1/8", "is no network"), ("0.0.0.0/0", "is everybody")])
def test_networks_that_are_none(ask: Ask, networks: str, says: str) -> None:
    """Told with the setting's name; a network that is one is named as open."""
    found = ask(GATEWAY_OPEN_NETWORKS=networks)
    assert (found["GATEWAY_OPEN_NETWORKS"]["state"], found["exit"]["code"]) == ("problem", 1)
    assert says in found["GATEWAY_OPEN_NETWORKS"]["says"]
    opened = ask(GATEWAY_OPEN_NETWORKS="10.0.0.0/8")["open networks"]
    assert (opened["state"], "10.0.0.0/8" in opened["says"]) == ("missing", True)


def test_conversations_of_daily(ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is said of them unless the configuration speaks of them; then whether the SDK is there, and who answers."""
    assert "daily" not in ask()
    found = ask(f"{CONFIG}daily: {{domain: my-team}}\n")["daily"]
    assert (found["state"], "pip install 'onair[daily]'" in found["remedy"]) == ("problem", True)
    monkeypatch.syspath_prepend(str(Path(__file__).parents[1] / "ingest" / "fake_daily"))  # pyright: ignore[reportUnknownMemberType]  pytest leaves it untyped
    found = ask(f"{CONFIG}daily: {{answer: true, persona: host}}\n")["daily"]
    assert (found["state"], "answered by host, by echo" in found["says"]) == ("ok", True)
