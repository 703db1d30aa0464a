"""The door, health, settings, and how a gateway starts and stops."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import MutableMapping
from ipaddress import ip_network
from pathlib import Path
from typing import Any, cast

import httpx2
import pytest
from fastapi import FastAPI
from prometheus_client import REGISTRY
from structlog.testing import capture_logs

from services.contract.failure import Code, Failure
from services.gateway.adapters import files
from services.gateway.adapters.uvicorn_door import Door
from services.gateway.app import build, listen, listen_all, serve
from services.gateway.core.access import Rules
from services.gateway.core.caps import Caps
from services.gateway.handlers.desk import BusDesk
from services.gateway.settings import Settings, read
from services.runtime.config import Config, Gateway, Persona, Voice
from services.runtime.service import Service
from services.runtime.settings import Common
from tests.gateway.studio import running
from tests.gateway.test_chat import leave

ROOT = Path(__file__).parents[2]
DEAD = "redis://127.0.0.1:1"
CONFIG = """
personas: {friend: {language: zh, voice: plain}}
voices: {plain: {engines: [{scripted: {}}]}}
"""


def settings(host: str = "127.0.0.1", port: int = 0, rules: Rules | None = None, persona: str = "friend") -> Settings:
    config = Config(
        personas={"friend": Persona(voice="plain")},
        voices={"plain": Voice(engines=[{"scripted": {}}])},
        gateway=Gateway(persona=persona),
    )
    return Settings(Common(service="gateway"), config, host, port, rules or Rules())


async def test_health_is_told_on_the_gateways_own_port(broker_url: str, live_url: str) -> None:
    """Not ready before the first check, ready after a clean one; metrics are Prometheus' text."""
    async with running(broker_url, live_url) as gateway, gateway.client() as client:
        early = await client.get("/readyz")
        gateway.health.report({"bus": ""})
        ready, alive, metrics = [await client.get(path) for path in ("/readyz", "/healthz", "/metrics")]
    assert (early.status_code, ready.status_code, alive.status_code) == (503, 200, 200)
    assert ready.json() == {"service": "gateway", "ready": True, "problems": {}, "warnings": {}}
    assert metrics.headers["content-type"].startswith("text/plain; version=")
    assert "onair_rejected_total" in metrics.text


async def test_foreign_pages_and_hosts_stay_outside(broker_url: str, live_url: str) -> None:
    """A rebound name and a foreign page are refused before any route; health is open; the token opens all."""
    rules = Rules(token="correct horse")  # noqa: S106  a test's own
    async with running(broker_url, live_url, rules=rules) as gateway, gateway.client() as client:
        rebound = await client.get("/metrics", headers={"host": "evil.example"})
        foreign = await client.post("/api/chat", headers={"origin": "https://evil.example"}, content=b"{}")
        health = await client.get("/healthz", headers={"host": "evil.example"})
        bearer = {"host": "onair.example", "authorization": "Bearer correct horse"}
        known = await client.post("/api/chat", headers=bearer, content=b"{}")
    assert (rebound.status_code, foreign.status_code, health.status_code, known.status_code) == (401, 401, 200, 422)
    assert rebound.headers["www-authenticate"] == "Bearer"


async def test_the_routes_are_documented_without_pages(broker_url: str, live_url: str) -> None:
    """`/openapi.json` names every route and its body; no page that would load scripts from elsewhere."""
    async with running(broker_url, live_url) as gateway, gateway.client() as client:
        paths = (await client.get("/openapi.json")).json()["paths"]
        pages = [(await client.get(path)).status_code for path in ("/docs", "/redoc", "/nothing")]
        server = (await client.get("/healthz")).headers.get("server")
    assert {path for path in paths if not path.startswith("/api/console")} == {
        "/api/asr", "/api/call", "/api/chat", "/api/rooms/{room}/events", "/api/tickets", "/healthz", "/readyz",
        "/metrics",
    }  # fmt: skip
    assert paths["/api/chat"]["post"]["requestBody"]["content"]["application/json"]["schema"]["required"] == ["msg"]
    assert pages == [404, 404, 404]
    assert server is None


async def test_a_broker_that_is_gone_is_said_to_be(live_url: str) -> None:
    """503 with a sentence, for a chat and for a clip; the slots are free again each time."""
    wav = "UklGRiYAAABXQVZFZm10IBAAAAABAAEAgD4AAAB9AAACABAAZGF0YQIAAAAAAA=="
    async with running(DEAD, live_url) as gateway, gateway.client() as client:
        for _ in range(3):
            chat = await client.post("/api/chat", json={"msg": [{"role": "user", "content": "嗨"}]})
            clip = await client.post("/api/asr", json={"data": wav})
            assert (chat.status_code, clip.status_code) == (503, 503)
            assert chat.json()["code"] == clip.json()["code"] == "bus_down"
            assert "try again" in chat.json()["detail"]


class Deaf(BusDesk):
    """A desk whose interrupts nobody hears; it says when one was tried."""

    async def interrupt(self, session: str, by: str) -> None:
        await super().interrupt(session, by)
        raise Failure(Code.BUS_DOWN, "the broker is gone", retryable=True)


async def test_a_turn_that_cannot_be_ended_is_told_in_the_log(broker_url: str, live_url: str) -> None:
    """The gateway goes on; the turn ends by its own deadline."""
    with capture_logs() as logs:
        async with running(broker_url, live_url, desk=Deaf) as gateway:
            turn = await leave(gateway, gateway.studio)
            await gateway.studio.interrupted(turn.session)
            async with gateway.client() as client:
                assert (await client.get("/healthz")).status_code == 200
    assert [line["by"] for line in logs if line["event"] == "could not end a turn"] == ["disconnect"]


def test_a_taken_port_is_said_with_the_remedy() -> None:
    """Before anything is served."""
    with listen("127.0.0.1", 0) as taken, pytest.raises(Failure, match=r"taken by another program.*GATEWAY_PORT"):
        listen("127.0.0.1", int(taken.getsockname()[1]))


async def test_more_ports_serve_the_same(broker_url: str, live_url: str) -> None:
    """A client that was made for another server's port is answered there; a port that is named twice is one."""
    del broker_url, live_url
    with listen("127.0.0.1", 0) as free:
        extra = int(free.getsockname()[1])
    listeners = listen_all("127.0.0.1", 0, [extra])
    app = FastAPI()
    app.add_api_route("/here", lambda: "yes")
    server = asyncio.ensure_future(serve(app, listeners))
    async with httpx2.AsyncClient(trust_env=False) as client:
        ports = [listener.getsockname()[1] for listener in listeners]
        assert [(await client.get(f"http://127.0.0.1:{port}/here")).json() for port in ports] == ["yes", "yes"]
    server.cancel()
    await asyncio.wait([server])
    taken = listen_all("127.0.0.1", extra, [extra])
    assert [listener.getsockname()[1] for listener in taken] == [extra]
    taken[0].close()


def test_all_ports_or_none() -> None:
    """Where one cannot be had the others are let go of, and the setting is named."""
    with listen("127.0.0.1", 0) as taken, listen("127.0.0.1", 0) as free:
        port = int(free.getsockname()[1])
        free.close()
        with pytest.raises(Failure, match=r"taken by another program.*GATEWAY_EXTRA_PORTS"):
            listen_all("127.0.0.1", port, [int(taken.getsockname()[1])])
        listen("127.0.0.1", port).close()


@pytest.mark.parametrize("host", ["192.0.2.7", "no.such.host.invalid"])
def test_a_foreign_address_is_said_with_the_remedy(host: str) -> None:
    """An address that this machine does not have, a name that nobody knows."""
    with pytest.raises(Failure, match="GATEWAY_HOST"):
        listen(host, 0)


def test_six_is_an_address_too() -> None:
    """The loopback of IPv6, where the machine has it."""
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("no IPv6 here")
    with listen("::1", 0) as listener:
        assert listener.family is socket.AF_INET6


async def test_the_port_is_taken_and_noted_before_anything_runs() -> None:
    """0 is any free port; the note of the process names it."""
    service = build(settings())
    assert service.note["port"] > 0
    loop = service.loops[0]
    task = asyncio.ensure_future(loop())  # type: ignore[arg-type]
    _, writer = await asyncio.open_connection("127.0.0.1", service.note["port"])
    writer.close()
    await writer.wait_closed()
    task.cancel()
    await asyncio.wait([task])
    await service.bus.close()


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        (settings(host="0.0.0.0"), "ONAIR_TOKEN"),  # noqa: S104  refused
        (settings(persona="ghost"), "gateway.persona is 'ghost'.*known: friend"),
    ],
)
def test_a_wrong_configuration_is_refused_at_the_start(wrong: Settings, reason: str) -> None:
    """By name, with the remedy."""
    with pytest.raises(Failure, match=reason) as caught:
        build(wrong)
    assert caught.value.code is Code.BAD_CONFIG


def test_the_environment_wins_over_the_file(tmp_path: Path) -> None:
    """Host, port, token and exposure; without them, the file's port on this machine alone."""
    path = tmp_path / "onair.yaml"
    path.write_text(CONFIG + "gateway: {port: 8765}\n", encoding="utf-8")
    plain = read({"ONAIR_CONFIG": str(path)})
    assert (plain.host, plain.port, plain.rules) == ("127.0.0.1", 8765, Rules())
    told = {"GATEWAY_HOST": "0.0.0.0", "GATEWAY_PORT": "0", "GATEWAY_EXPOSED": "loopback", "ONAIR_TOKEN": "horse"}  # noqa: S104  as in a container
    given = read({"ONAIR_CONFIG": str(path), **told})
    assert (given.host, given.port, given.rules) == ("0.0.0.0", 0, Rules(token="horse", loopback=True))  # noqa: S104, S106  as above
    assert (plain.extra_ports, given.extra_ports) == ((), ())
    assert read({"ONAIR_CONFIG": str(path), "GATEWAY_EXTRA_PORTS": "8888, 8001,8888"}).extra_ports == (8888, 8001)
    path.write_text(CONFIG + "gateway: {extra_ports: [8888]}\n", encoding="utf-8")
    assert read({"ONAIR_CONFIG": str(path)}).extra_ports == (8888,)
    with pytest.raises(Failure, match="GATEWAY_EXPOSED is 'world'"):
        read({"ONAIR_CONFIG": str(path), "GATEWAY_EXPOSED": "world"})


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        (
            "GATEWAY_ORIGINS",
            "https://onair.example/talk",
            "'https://onair.example/talk'; write each origin as a browser",
        ),
        ("GATEWAY_ORIGINS", "https://onair.example, *", r"GATEWAY_ORIGINS names '\*'"),
        (
            "GATEWAY_OPEN_NETWORKS",
            "192.168.1.5/16",
            "'192.168.1.5/16', which is no network; write it as 192.168.0.0/16",
        ),
        ("GATEWAY_OPEN_NETWORKS", "10.0.0.0/8,::/0", "'::/0', which is everybody"),
        ("CALL_AUDIO", "ogg", "CALL_AUDIO is 'ogg'; say mp3 or wav"),
        ("TAVUS_API_KEY", "two words", "TAVUS_API_KEY has characters that no key has"),
        ("TAVUS_BASE_URL", "tavusapi.com", "TAVUS_BASE_URL must begin with http"),
    ],
)
def test_a_wrong_setting_is_refused(name: str, value: str, reason: str, tmp_path: Path) -> None:
    """By its name and its value, with the remedy."""
    path = tmp_path / "onair.yaml"
    path.write_text(CONFIG, encoding="utf-8")
    with pytest.raises(Failure, match=reason) as caught:
        read({"ONAIR_CONFIG": str(path), name: value})
    assert caught.value.code is Code.BAD_CONFIG


async def dropped(service: Service) -> None:
    """Built, and never run."""
    cast("Any", service.loops[0]).args[1][0].close()  # its port
    await service.bus.close()


async def test_open_networks_are_told_at_the_start() -> None:
    """Their names and how to close them; a gateway without any says nothing."""
    told: list[list[MutableMapping[str, Any]]] = []
    for networks in ((), (ip_network("192.168.0.0/16"), ip_network("fd00::/8"))):
        with capture_logs() as lines:
            await dropped(build(settings(rules=Rules(open_networks=networks))))
        told.append(lines)
    (line,) = told[1]
    assert told[0] == []
    assert (line["log_level"], line["networks"]) == ("warning", "192.168.0.0/16, fd00::/8")
    assert "GATEWAY_OPEN_NETWORKS" in line["remedy"]


def test_who_is_cut_off_is_told_once_a_second() -> None:
    """However many there are; each is counted, and the next line says how many were not told."""
    labels = {"source": "connection", "reason": "a test"}
    door = Door(Caps(), Rules())
    with capture_logs() as lines:
        for _ in range(20):
            door.cut("a test", "it is one", "10.0.0.9")
    assert [(line["event"], line["code"], line["client"]) for line in lines] == [("cut off", "a test", "10.0.0.9")]
    assert REGISTRY.get_sample_value("onair_rejected_total", labels) == 20


async def start(tmp_path: Path, broker_url: str, live_url: str, port: int) -> asyncio.subprocess.Process:
    """A gateway as a process."""
    (tmp_path / "onair.yaml").write_text(CONFIG, encoding="utf-8")
    environ = {
        **os.environ,
        "WORK_REDIS_URL": broker_url,
        "LIVE_REDIS_URLS": live_url,
        "ONAIR_CONFIG": str(tmp_path / "onair.yaml"),
        "ONAIR_DATA": str(tmp_path / "data"),
        "GATEWAY_PORT": str(port),
    }
    command = (sys.executable, "-m", "services.gateway")
    return await asyncio.create_subprocess_exec(*command, cwd=ROOT, env=environ, stderr=asyncio.subprocess.PIPE)


async def test_a_gateway_runs_as_a_process(tmp_path: Path, broker_url: str, live_url: str) -> None:
    """Its note names the port where it answers; a second one on it is told so and exits 2; a signal ends it with 0."""
    process = await start(tmp_path, broker_url, live_url, 0)
    stderr = process.stderr
    assert stderr is not None
    started = json.loads(await asyncio.wait_for(stderr.readline(), 30))
    note = json.loads((tmp_path / "data" / "run" / f"gateway-{process.pid}.json").read_text())
    reader, writer = await asyncio.open_connection("127.0.0.1", note["port"])
    writer.write(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    second = await start(tmp_path, broker_url, live_url, note["port"])
    _, complaint = await second.communicate()
    process.send_signal(signal.SIGTERM)
    await process.communicate()
    assert started["event"] == "started"
    assert answer.startswith(b"HTTP/1.1 200 OK")
    assert second.returncode == 2
    assert complaint.decode().startswith(f"port {note['port']} on 127.0.0.1 is taken by another program")
    assert len(complaint.decode().splitlines()) == 1
    assert process.returncode == 0


LIMITED = """
import resource
from services.gateway.adapters.files import allow
resource.setrlimit(resource.RLIMIT_NOFILE, (100, 200))
print(allow(90), allow(150), resource.getrlimit(resource.RLIMIT_NOFILE)[0], allow(300), allow(300))
"""


def test_as_many_files_may_be_open_as_connections_need() -> None:
    """The soft limit is raised to that, or as far as the hard one lets it, which is told; it is never lowered."""
    done = subprocess.run([sys.executable, "-c", LIMITED], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["90", "150", "150", "200", "200"]


async def test_too_few_files_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """With what is wanted and where to allow it."""

    def few(_: int) -> int:
        return 1_024

    monkeypatch.setattr(files, "allow", few)
    with capture_logs() as lines:
        await dropped(build(settings()))
    assert (lines[0]["log_level"], lines[0]["files"]) == ("warning", 1_024)
    assert "ulimit" in lines[0]["remedy"]
