"""What a container says when it cannot work: one line, and it stays, unhealthy, instead of starting again and again."""

import json
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from redis.exceptions import AuthenticationError

from tests.compose.stack import Stack, inspect, stack, until


@pytest.fixture(scope="module")
def brokers(images: None) -> Iterator[Stack]:  # noqa: ARG001  it has to be there
    """The two brokers alone; what is wrong is wrong with the service that comes to them."""
    with stack(REDIS_PASSWORD="sesame") as made:  # noqa: S106  of brokers that live for this test
        made.compose("up", "-d", "--no-build", "work", "live")
        made.healthy()
        yield made


WRONG: dict[str, tuple[dict[str, str], str]] = {
    "tts": ({"TTS_ENGINES": "opera"}, "TTS_ENGINES names opera; known: espeak, openai, scripted"),
    "llm": ({"REDIS_PASSWORD": "wrong"}, "the work broker lets nobody in like this"),
    "asr": ({"ONAIR_CONFIG": "tests/compose/broken.yaml"}, "/config/onair.yaml:4: voics: unknown key"),
    "ingest": ({"WORK_REDIS_URL_FILE": "/run/secrets/none"}, "WORK_REDIS_URL_FILE names /run/secrets/none"),
    "gateway": ({"GATEWAY_EXPOSED": "network"}, "open to everybody who can reach it: set ONAIR_TOKEN"),
}
"""Service → its wrong setting and what it says."""


@pytest.fixture(scope="module")
def wrong(brokers: Stack) -> Stack:
    """Each of these services with its wrong setting."""
    for service, (setting, _) in WRONG.items():
        Stack(brokers.project, {**brokers.env, **setting}).compose("up", "-d", "--no-build", "--no-deps", service)
    return brokers


@pytest.mark.parametrize("service", WRONG)
def test_a_wrong_setting_is_said_once(wrong: Stack, service: str) -> None:
    """The log holds one line, which names the remedy; the container is unhealthy and was not started again."""
    (container,), said = wrong.ids(service), WRONG[service][1]
    until(lambda: inspect([container])[0]["State"]["Health"]["Status"] == "unhealthy")
    state = inspect([container])[0]
    assert (state["State"]["Running"], state["RestartCount"]) == (True, 0)
    lines = [line for line in wrong.compose("logs", "--no-color", service).splitlines() if "|" in line]
    assert len([line for line in lines if said in line]) == 1, lines
    assert not any("Traceback" in line or "sesame" in line for line in lines), lines
    assert "unhealthy" in wrong.compose("ps", service)
    assert "nothing runs here yet" in json.dumps(state["State"]["Health"]["Log"])


def test_brokers_are_not_published_without_a_password(images: None) -> None:  # noqa: ARG001  it has to be there
    """Published beyond this machine and without REDIS_PASSWORD, a broker says so and does not start."""
    with stack(REDIS_PUBLISHED_ADDRESS="0.0.0.0") as made:  # noqa: S104  it must not come to that
        made.compose("up", "-d", "--no-build", "work", check=False)
        until(lambda: "set REDIS_PASSWORD" in made.compose("logs", "--no-color", "work"))
        assert "healthy" not in set(made.states("work").values())


def test_the_password_may_lie_in_a_file(images: None, tmp_path: Path) -> None:  # noqa: ARG001  it has to be there
    """REDIS_PASSWORD_FILE is what a broker asks for; its health check knows it, too."""
    (tmp_path / "brokers").mkdir()
    (tmp_path / "brokers" / "password").write_text("open sesame\n")
    for folder in (tmp_path, *tmp_path.parents[:3]):
        folder.chmod(0o755)
    with stack(ONAIR_SECRETS=str(tmp_path), REDIS_PASSWORD_FILE="/run/secrets/password") as made:  # noqa: S106  a path
        made.compose("up", "-d", "--no-build", "live")
        made.healthy("live")
        with made.broker("live", "open%20sesame") as live:
            assert live.ping()
        with made.broker("live", "wrong") as live, pytest.raises(AuthenticationError):
            live.ping()


def test_a_taken_port_is_named(brokers: Stack) -> None:
    """`up` fails and names the port that another program has."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        bad = Stack(brokers.project, {**brokers.env, "GATEWAY_PUBLISHED_PORTS": port})
        told = bad.compose("up", "-d", "--no-build", "--no-deps", "gateway", check=False)
    assert port in told
    assert "in use" in told or "already allocated" in told


def test_the_node_wants_to_know_its_brokers(images: None) -> None:  # noqa: ARG001  it has to be there
    """Without their URLs the second machine's project says which variable is missing, and how it may look."""
    node = Stack("onair-nowhere", {"WORK_REDIS_URL": ""}, "docker-compose.gpu-node.yml")
    assert "say where the broker work is, as redis://" in node.compose("up", "-d", check=False)
