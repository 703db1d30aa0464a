"""What is created at Tavus is ended: by the last gateway that stops, or by the hourly job; as processes, on real brokers."""

import json
import signal
import time
from collections.abc import Generator
from pathlib import Path
from typing import Any, cast

import httpx2
import pytest
from redis import Redis

from services.contract import streams
from services.contract.failure import Failure
from services.gateway.jobs import hang_up
from tests.gateway.hands import Eyes, jobs, until
from tests.gateway.house import CONFIG, PATH, House, built
from tests.gateway.tavus import KEY, silent, status

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]


@pytest.fixture
def house(tmp_path: Path, broker_url: str, live_url: str) -> Generator[House]:
    with built(tmp_path, broker_url, live_url) as found:
        yield found


def hour(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment of the hourly job."""
    (house.folder / "onair.yaml").write_text(CONFIG, encoding="utf-8")
    told = {"ONAIR_CONFIG": str(house.folder / "onair.yaml"), "WORK_REDIS_URL": house.work, **house.env}
    for name, value in told.items():
        monkeypatch.setenv(name, value)


def test_the_only_gateway_ends_what_it_created(house: House) -> None:
    """At SIGTERM, within the three seconds that `onair up` gives it; what others created goes on."""
    gateway, other = house.gateway(), house.tavus.add("somebody else's")
    for _ in range(3):
        gateway.create()
    began = time.monotonic()
    assert gateway.stop() == 0
    assert time.monotonic() - began < 3
    assert house.tavus.active == [other]
    assert house.held == 0
    assert "ended what was created at Tavus" in gateway.log


def test_a_rolling_restart_ends_nothing(house: House) -> None:
    """While another gateway works on, conversations do too; the last one that stops ends them, whoever created them."""
    first = house.gateway()
    id_ = first.create()
    second = house.gateway()
    assert first.stop() == 0
    assert house.tavus.active == [id_]
    assert "another gateway works on" in first.log
    assert second.stop() == 0
    assert (house.tavus.active, house.tavus.ends(), house.held) == ([], 1, 0)


def test_gateways_that_stop_together_end_it_once(house: House) -> None:
    """At least one of them finds itself the last."""
    gateways = [house.gateway() for _ in range(2)]
    gateways[0].create()
    for gateway in gateways:
        gateway.process.send_signal(signal.SIGTERM)
    assert [gateway.process.wait(20) for gateway in gateways] == [0, 0]
    assert (house.tavus.active, house.tavus.ends(), house.held) == ([], 1, 0)


def test_a_killed_gateways_conversations_are_ended_by_the_job(house: House) -> None:
    """After kill -9 right behind the creation: the jobs' process ends it as soon as it is due, and counts it."""
    gateway, other = house.gateway(), house.tavus.add("somebody else's")
    gateway.create()
    gateway.kill()
    house.gone()
    data, eyes = house.folder / "jobs", Eyes(house.work)
    data.mkdir()
    with jobs(data, house.work, CONFIG, **house.env) as running:
        until(lambda: eyes.all().counts["finished"] == 2, lambda: (eyes.all(), running.log))
        done = {job.what: job.result for job in eyes.all().jobs if job.state == "finished"}
        log = (data / f"log-{running.process.pid}").read_text(encoding="utf-8")
    eyes.close()
    assert json.loads(done["hang_up"]) == {"ended": 1, "over": 0}
    assert (house.tavus.active, house.tavus.ends(), house.held) == ([other], 1, 0)
    assert KEY not in log


async def test_a_gateway_killed_while_it_creates(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tavus has created it, nobody was told: it is found by its name, and ended; the job may run twice."""
    hour(house, monkeypatch)
    gateway = house.gateway()
    house.tavus.created = gateway.kill
    with pytest.raises(httpx2.HTTPError):
        gateway.create()
    assert (len(house.tavus.active), house.held) == (1, 1)
    until(lambda: not house.living)
    assert await hang_up() == {"ended": 0, "over": 0}
    house.gone()
    assert [await hang_up() for _ in range(2)] == [{"ended": 1, "over": 0}, {"ended": 0, "over": 0}]
    assert (house.tavus.active, house.tavus.ends(), house.held) == ([], 1, 0)


async def test_the_job_leaves_alone_what_a_gateway_answers_for(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """Until it has lasted as long as `tavus.forget_after` says, though the gateway that created it was killed."""
    hour(house, monkeypatch)
    first, _ = house.gateway(), house.gateway()
    id_ = first.create()
    first.kill()
    assert await hang_up() == {"ended": 0, "over": 0}
    assert house.tavus.active == [id_]
    ((mark, body),) = house.redis.hgetall(streams.TAVUS).items()
    house.redis.hset(streams.TAVUS, mark, json.dumps({**json.loads(body), "at_ms": json.loads(body)["at_ms"] - 60_000}))
    (house.folder / "onair.yaml").write_text(f"{CONFIG}tavus: {{forget_after: 1m}}\n", encoding="utf-8")
    assert await hang_up() == {"ended": 1, "over": 0}


async def test_a_job_that_cannot_end_one_fails(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is shown as failed, with the reason; the next one ends it."""
    hour(house, monkeypatch)
    gateway = house.gateway()
    gateway.create()
    gateway.kill()
    house.gone()
    house.tavus.faults["POST"] = [status(500)]
    with pytest.raises(Failure, match=r"1 conversations may go on; c0000001: .* is in trouble \(500\)"):
        await hang_up()
    house.tavus.faults.clear()
    assert await hang_up() == {"ended": 1, "over": 0}


def test_a_stop_does_not_wait_for_ever(house: House) -> None:
    """Where Tavus is silent the gateway gives up within ten seconds, says so, and leaves it to the job."""
    gateway = house.gateway()
    gateway.create()
    house.tavus.faults[""] = [silent(15)]
    began = time.monotonic()
    assert gateway.stop() == 0
    assert time.monotonic() - began < 10
    assert "conversations at Tavus may go on" in gateway.log
    assert house.held == 1


def test_the_key_is_nowhere(house: House) -> None:
    """Neither in a log with every detail, an answer, the OpenAPI, a file, nor on a broker; also where Tavus repeats it."""
    gateway = house.gateway()
    gateway.create()
    house.tavus.faults["GET"] = [status(400, {"error": f"bad {KEY}"}), status(401, {"message": KEY})]
    urls = [f"{gateway.url}{path}" for path in (PATH, PATH, "/openapi.json", "/api/console", "/readyz", "/metrics")]
    answers = [httpx2.get(url, timeout=20, trust_env=False) for url in urls]
    assert [answer.status_code for answer in answers[:3]] == [422, 503, 200]
    assert "bad ***" in answers[0].json()["detail"]
    held: list[bytes | None] = [house.redis.dump(key) for key in house.redis.scan_iter()]
    with cast("Any", Redis).from_url(house.live) as live:
        held += [live.dump(key) for key in live.scan_iter()]
    gateway.stop()
    files = [path.read_bytes() for path in house.folder.rglob("*") if path.is_file()]
    found = [*(answer.content for answer in answers), *(body or b"" for body in held), *files]
    assert len(held) > 1
    assert not [body for body in found if KEY.encode() in body]
    assert any(KEY in asked.headers["x-api-key"] for asked in house.tavus.asked)
