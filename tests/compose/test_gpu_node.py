"""The speaking worker on a machine of its own: a second project on its own network, its link cut. They follow each other."""

import json
import secrets
import subprocess
import time
from collections.abc import Iterator
from ipaddress import ip_network
from pathlib import Path

import pytest

from tests.compose.stack import Stack, docker, inspect, stack, until
from tests.compose.test_stage import ROOMS, STREAM, TEXT

CUT_S = 10
PASSWORD = "long-enough-for-a-test"  # noqa: S105  of brokers that live for this test


@pytest.fixture(scope="module")
def first(images: None) -> Iterator[Stack]:  # noqa: ARG001  it has to be there
    """The first machine, whose own tts is stopped; its brokers want a password and are published on the engine's bridge."""
    subnet = json.loads(docker("network", "inspect", "bridge"))[0]["IPAM"]["Config"][0]["Subnet"]
    bridge = str(next(ip_network(subnet).hosts()))
    more = {"REDIS_PUBLISHED_ADDRESS": bridge, "REDIS_PASSWORD": PASSWORD}
    with stack(ONAIR_CONFIG="tests/compose/stage.yaml", TTS_ENGINES="scripted", **more) as made:
        made.up()
        made.compose("stop", "tts")
        yield made


@pytest.fixture(scope="module")
def node(first: Stack) -> Iterator[Stack]:
    """The second machine, which comes in as a user of the brokers that may do no administration."""
    for name in ("work", "live"):
        with first.broker(name, PASSWORD) as broker:
            rules = ["on", f">{PASSWORD}", "~*", "&*", "+@all", "-@admin", "-@dangerous", "+info", "+xautoclaim"]
            assert broker.execute_command("ACL", "SETUSER", "gpu", *rules)
    urls = {name: f"redis://gpu:{PASSWORD}@{first.address(name, 6379)}/0" for name in ("work", "live")}
    env = {"WORK_REDIS_URL": urls["work"], "LIVE_REDIS_URLS": urls["live"], "TTS_ENGINES": "scripted"}
    made = Stack(
        f"onair-node-{secrets.token_hex(4)}",
        {**env, "ONAIR_CONFIG": "tests/compose/stage.yaml", "TTS_WORKERS": "4"},
        "docker-compose.gpu-node.yml",
    )
    try:
        made.up()
        yield made
    finally:
        made.compose("down", "-v", "-t", "10", check=False)


def states(first: Stack) -> list[str]:
    """What became of each paid message, in all rooms."""
    return [row.state for room in ROOMS for row in first.ledger(room, PASSWORD).values()]


def test_it_speaks_for_the_first_machine(first: Stack, node: Stack) -> None:
    """The node alone speaks what the first machine's rooms ask for."""
    assert inspect(node.ids())[0]["NetworkSettings"]["Networks"].keys() == {f"{node.project}_default"}
    first.super_chat("one", "far", "Hello from far away.")
    until(lambda: states(first) == ["spoken"], told=lambda: node.compose("logs", "--tail", "20"))


def test_a_cut_link_loses_nothing(first: Stack, node: Stack) -> None:
    """The link is cut for 10 s in mid-sentence: everything is spoken, once, and nothing is left behind."""
    for room in ROOMS:
        for number in range(2):
            first.super_chat(room, f"cut-{number}", TEXT.format(number))
    (worker,) = node.ids()

    def speaking() -> bool:
        with first.broker(password=PASSWORD) as work:
            return bool(work.exists(STREAM)) and work.xpending(STREAM, "tts")["pending"] >= 3

    until(speaking)
    docker("network", "disconnect", "-f", f"{node.project}_default", worker)
    time.sleep(CUT_S)
    assert "spoken" in states(first), "the sentence of the test before"
    assert states(first).count("spoken") < 7
    docker("network", "connect", f"{node.project}_default", worker)
    until(lambda: states(first) == ["spoken"] * 7, 180, lambda: (states(first), node.compose("logs", "--tail", "20")))
    node.healthy()
    with first.broker(password=PASSWORD) as work:
        assert work.xpending(STREAM, "tts")["pending"] == 0
        assert work.xlen(STREAM) == 0
        assert work.xlen("dead") == 0
        rows = [row for room in ROOMS for row in first.ledger(room, PASSWORD).values()]
        made = {row.turn: work.hvals(f"spoken:{row.turn}") for row in rows}
    print([(row.state, row.reason, row.samples) for row in rows])
    assert len(made) == 7, "each was spoken in a turn of its own"
    assert all(row.samples > 0 for row in rows)
    whole = [row for row in rows if not row.reason]
    assert all(any(value.startswith(b"spoken:") for value in made[row.turn]) for row in whole)
    assert {row.reason for row in rows} <= {"", "in_part"}
    assert len(rows) - len(whole) <= len(ROOMS), "at most the sentence that was in the air in each room"


def test_a_private_broker_by_tls(node: Stack, tmp_path: Path) -> None:
    """`rediss://` with a certificate of one's own: the same worker gets ready on a broker that speaks nothing else."""
    folder = tmp_path / "tts"
    folder.mkdir()
    certificate(folder)
    name = f"{node.project}-tls"
    files = [
        "--tls-cert-file",
        "/tls/cert.pem",
        "--tls-key-file",
        "/tls/key.pem",
        "--tls-ca-cert-file",
        "/tls/cert.pem",
    ]
    command = ["redis-server", "--port", "0", "--tls-port", "6379", "--tls-auth-clients", "no", *files]
    place = ["--network", f"{node.project}_default", "--network-alias", "vault", "-v", f"{folder}:/tls:ro"]
    docker("run", "-d", "--rm", "--name", name, *place, "redis:7-bookworm", *command, "--protected-mode", "no")
    url = "rediss://vault:6379/0?ssl_ca_certs=/run/secrets/cert.pem"
    try:
        secure = Stack(node.project, {**node.env, "ONAIR_SECRETS": str(tmp_path)}, node.file)
        secure.env.update(WORK_REDIS_URL=url, LIVE_REDIS_URLS=url)
        secure.up()
        held = docker("exec", name, "redis-cli", "--tls", "--cacert", "/tls/cert.pem", "EXISTS", "pool:scripted")
        assert held == "1"
    finally:
        docker("rm", "-f", name)


def certificate(folder: Path) -> None:
    """A certificate for the host `vault`, signed by itself, readable by every user of a container."""
    subject = ["-subj", "/CN=vault", "-addext", "subjectAltName=DNS:vault", "-days", "2"]
    files = ["-keyout", str(folder / "key.pem"), "-out", str(folder / "cert.pem")]
    made = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", *files, *subject]
    subprocess.run(made, check=True, capture_output=True)
    for path in (folder, *folder.parents[:3]):
        path.chmod(0o755)
    for file in ("key.pem", "cert.pem"):
        (folder / file).chmod(0o644)
