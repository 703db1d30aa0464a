"""All services on brokers that refuse, load, freeze, die or are emptied: they say so, keep quiet, and come back."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from services.contract import streams
from tests.conftest import LIVE, WORK
from tests.redis.broker import Broker
from tests.redis.test_service import CONFIG, ROOT, SERVICES, get, note, until

pytestmark = [pytest.mark.slow, pytest.mark.e2e]
HOLD_S = 6.0
UNREADY_S = 5.0
"""A service whose broker is in trouble is not ready after so long."""
HEALED_S = 3.0
"""All are ready so long after the relief; the check itself runs once a second."""
LINES = 2
"""Lines besides one a second: what a job that was under way has to say."""
CORE = 0.1


class House:
    """Six services and their brokers."""

    def __init__(self, folder: Path) -> None:
        self.work, self.live = Broker(folder / "work", *WORK), Broker(folder / "live", *LIVE)
        self._folder = folder
        self._processes: dict[str, subprocess.Popen[str]] = {}
        self._ports: dict[str, int] = {}
        self.web = 0

    def start(self) -> None:
        self.work.start()
        self.live.start()
        (self._folder / "onair.yaml").write_text(CONFIG + "rooms: {demo: {persona: host, sources: [{api: {}}]}}\n")
        for service in SERVICES:
            given = {
                "PATH": os.environ["PATH"],
                "ONAIR_CONFIG": str(self._folder / "onair.yaml"),
                "ONAIR_DATA": str(self._folder),
                "WORK_REDIS_URL": self.work.url,
                "LIVE_REDIS_URLS": self.live.url,
                "GATEWAY_PORT": "0",
                f"{service.upper()}_HEALTH_PORT": "0",
            }
            command = [sys.executable, "-m", f"services.{service}"]
            with self._log(service).open("w") as log:
                self._processes[service] = subprocess.Popen(
                    command, cwd=ROOT, env=given, stdout=log, stderr=subprocess.STDOUT, text=True
                )
        for service, process in self._processes.items():
            told = note(self._folder, process)
            self._ports[service] = told["health_port"]
            self.web = told.get("port", self.web)
        self.until_ready(30)

    def stop(self) -> None:
        for process in self._processes.values():
            process.kill()
            process.wait()
        for broker in (self.work, self.live):
            broker.signal(signal.SIGCONT)
            broker.kill()

    def _log(self, service: str) -> Path:
        return self._folder / f"{service}.log"

    def problems(self, service: str) -> dict[str, str]:
        """What /readyz names, which answers 200 exactly if that is nothing."""
        status, body = get(self._ports[service], "/readyz")
        problems: dict[str, str] = json.loads(body)["problems"]
        assert (status == 200) == (not problems)
        return problems

    def until(self, good: Callable[[str], bool], limit_s: float) -> None:
        end, left = time.monotonic() + limit_s, set(SERVICES)
        while left := {service for service in left if not good(service)}:
            assert time.monotonic() < end, {service: self.problems(service) for service in left}
            time.sleep(0.05)

    def until_ready(self, limit_s: float) -> None:
        self.until(lambda service: not self.problems(service), limit_s)

    def until_unready(self, broker: str) -> None:
        """Each says which broker does not do its part."""
        self.until(lambda service: f"the {broker} broker" in self.problems(service).get("bus", ""), UNREADY_S)

    def lines(self) -> dict[str, int]:
        return {service: len(self._log(service).read_text().splitlines()) for service in SERVICES}

    def cpu_s(self) -> dict[str, float]:
        """Seconds of a core that each has used; fails if one has ended."""
        used: dict[str, float] = {}
        for service, process in self._processes.items():
            assert process.poll() is None, f"{service} ended"
            fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
            used[service] = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
        return used

    def spoken(self) -> bool:
        """Whether a chat is answered with sound: by the gateway, llm and tts."""
        asked = json.dumps({"msg": [{"role": "user", "content": 'say "hello"'}]}).encode()
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.web}/api/chat", asked, {"content-type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            events = [json.loads(line[5:]) for line in answer.read().decode().splitlines() if line.startswith("data:")]
        return (
            bool(events)
            and bool(events[-1].get("done"))
            and any(event.get("file") not in {None, "None"} for event in events)
        )

    def pay(self, name: str) -> tuple[int, dict[str, Any]]:
        """The answer to a super chat by the API."""
        body = {"kind": "super_chat", "text": "hi", "amount_fen": 100, "id": name}
        url = f"http://127.0.0.1:{self.web}/api/rooms/demo/events"
        request = urllib.request.Request(url, json.dumps(body).encode(), {"content-type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=20) as answer:
                return answer.status, json.loads(answer.read())
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.loads(error.read()) | {"retry": error.headers["retry-after"]}


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    house = House(tmp_path_factory.mktemp("house"))
    try:
        house.start()
        yield house
    finally:
        house.stop()


State = Callable[[House], object]
STATES: dict[str, tuple[str, State, State]] = {
    "out of memory": (
        "work",
        lambda house: house.work.ask("CONFIG", "SET", "maxmemory", 1),
        lambda house: house.work.ask("CONFIG", "SET", "maxmemory", 0),
    ),
    "read only": (
        "work",
        lambda house: house.work.ask("REPLICAOF", "127.0.0.1", 1),
        lambda house: house.work.ask("REPLICAOF", "NO", "ONE"),
    ),
    "frozen": (
        "work",
        lambda house: house.work.signal(signal.SIGSTOP),
        lambda house: house.work.signal(signal.SIGCONT),
    ),
    "down": ("work", lambda house: house.work.kill(), lambda house: house.work.start()),
    "live down": ("live", lambda house: house.live.kill(), lambda house: house.live.start()),
    "live frozen": (
        "live",
        lambda house: house.live.signal(signal.SIGSTOP),
        lambda house: house.live.signal(signal.SIGCONT),
    ),
    "live out of memory": (
        "live",
        lambda house: house.live.ask("CONFIG", "SET", "maxmemory", 1),
        lambda house: house.live.ask("CONFIG", "SET", "maxmemory", 0),
    ),
}


@pytest.mark.parametrize("state", STATES)
def test_trouble_is_said_quietly_and_waited_out(house: House, state: str) -> None:
    """Not ready within 5 s and by name; a line a second and a tenth of a core at most; ready and at work 3 s after."""
    broker, enter, leave = STATES[state]
    lines, used, began = house.lines(), house.cpu_s(), time.monotonic()
    enter(house)
    house.until_unready(broker)
    time.sleep(max(0.0, began + HOLD_S - time.monotonic()))  # what is measured is how they behave in that time
    lasted = time.monotonic() - began
    said = {service: count - lines[service] for service, count in house.lines().items()}
    busy = {service: (spent - used[service]) / lasted for service, spent in house.cpu_s().items()}
    leave(house)
    house.until_ready(HEALED_S)
    assert max(said.values()) <= lasted + LINES, said
    assert max(busy.values()) <= CORE, busy
    assert house.spoken()


def test_a_payment_that_work_refuses_is_refused(house: House) -> None:
    """503, with when to come again; the same id is new when work takes writes again, and known after that."""
    lines = house.lines()["gateway"]
    house.work.ask("CONFIG", "SET", "maxmemory", 1)
    try:
        status, told = [house.pay("one") for _ in range(50)][-1]
    finally:
        house.work.ask("CONFIG", "SET", "maxmemory", 0)
    assert (status, told["code"], bool(told["retry"])) == (503, "bus_down", True)
    assert house.lines()["gateway"] - lines <= LINES, "fifty callers are one trouble"
    assert house.pay("one") == (202, {"id": "api:super_chat:one", "new": True})
    assert house.pay("one") == (200, {"id": "api:super_chat:one", "new": False})
    house.until_ready(HEALED_S)


def test_a_payment_that_work_keeps_is_taken_without_live(house: House) -> None:
    """That the session cannot be told is no reason to be paid twice."""
    house.live.kill()
    try:
        assert house.pay("two")[0] == 202
    finally:
        house.live.start()
    assert house.pay("two")[0] == 200
    house.until_ready(HEALED_S)


def test_lost_groups_and_an_emptied_broker_are_made_good(house: House) -> None:
    """Groups are made again at once, also those of an empty broker whose scripts are forgotten."""
    house.until_ready(HEALED_S)
    for stream in (streams.TURNS.key(), streams.speak("espeak", "chat"), streams.speak("espeak", "room")):
        assert house.work.ask("XGROUP", "DESTROY", stream, "llm" if stream == streams.TURNS.key() else "tts") == 1
    assert house.spoken()
    house.work.ask("FLUSHALL")
    house.work.ask("SCRIPT", "FLUSH")
    assert house.spoken()
    until(lambda: house.work.ask("EXISTS", streams.LEASE.of("demo")) == 1)
    assert house.pay("three")[0] == 202
    until(lambda: _state(house, "three") in {"aired", "spoken"})


def _state(house: House, name: str) -> str:
    row = house.work.ask("HGET", streams.LEDGER.of("demo"), f"api:super_chat:{name}")
    return str(json.loads(row)["state"]) if row else ""


def test_a_broker_that_loads_its_data_is_waited_for(house: House) -> None:
    """LOADING is trouble like any other: named, and over when it is over."""
    house.until_ready(HEALED_S)
    house.work.ask("DEBUG", "POPULATE", 600)
    house.work.ask("BGREWRITEAOF")
    until(lambda: house.work.ask("INFO", "persistence")["aof_rewrite_in_progress"] == 0)
    house.work.kill()
    lines, began = house.lines(), time.monotonic()
    house.work.launch("--key-load-delay", "10000", "--loading-process-events-interval-bytes", "1024")
    try:
        house.until(lambda service: "loading" in house.problems(service).get("bus", "").lower(), UNREADY_S)
    finally:
        until(lambda: house.work.ask_line("PING") == "+PONG")
    lasted = time.monotonic() - began
    said = {service: count - lines[service] for service, count in house.lines().items()}
    house.until_ready(HEALED_S)
    assert max(said.values()) <= lasted + LINES, said
    assert house.spoken()
