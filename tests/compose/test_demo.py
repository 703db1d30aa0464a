"""`docker compose up`: the recorded room, in containers, as a new user starts it. The tests of this file follow each other."""

import json
import re
import urllib.request
from collections import Counter

from tests.compose.stack import BROKERS, SERVICES, Stack, docker, inspect, until

LAP_S = 240
PAID = {"spoken": 23, "withdrawn": 1}
"""What becomes of what was paid for in the recording."""


def test_it_starts(demo: Stack) -> None:
    """Everything is healthy; the page and the gateway's health answer on 127.0.0.1."""
    took = demo.up()
    print(f"healthy {took:.1f} s after `up`\n{demo.compose('ps')}")
    with urllib.request.urlopen(f"http://{demo.address('gateway', 8000)}/readyz", timeout=5) as answer:
        assert json.load(answer)["ready"] is True
    with urllib.request.urlopen(f"http://{demo.address('gateway', 8000)}/rooms/demo", timeout=5) as answer:
        assert "<html" in answer.read().decode()


def test_each_container_is_fenced_in(demo: Stack) -> None:
    """No root, no capability, no new privilege, a read-only root, bounded memory, processes and logs."""
    found = {each["Config"]["Labels"]["com.docker.compose.service"]: each for each in inspect(demo.ids())}
    assert set(found) == {*SERVICES, *BROKERS, "jobs"}
    for service, each in found.items():
        limits = each["HostConfig"]
        assert each["Config"]["User"] == ("redis" if service in BROKERS else "10001:10001"), service
        assert limits["ReadonlyRootfs"], service
        assert not limits["Privileged"], service
        assert limits["CapDrop"] == ["ALL"], service
        assert limits["CapAdd"] is None, service
        assert limits["SecurityOpt"] == ["no-new-privileges:true"], service
        assert 0 < limits["Memory"] <= 1 << 30, service
        assert 0 < limits["PidsLimit"] <= 128, service
        assert limits["LogConfig"]["Config"]["max-size"] == "10m", service
        assert limits["RestartPolicy"]["Name"] == "unless-stopped", service
        assert {each["HostIp"] for ports in limits["PortBindings"].values() for each in ports} <= {"127.0.0.1"}, service
    assert found["avatar"]["HostConfig"]["NetworkMode"] == "host"


def test_the_kernel_says_the_same(demo: Stack) -> None:
    """In each container the process has no effective capability, cannot get any, and cannot write to its root."""
    for container in demo.ids():
        status = docker("exec", container, "cat", "/proc/1/status")
        facts = dict(re.findall(r"^(Uid|CapEff|CapBnd|NoNewPrivs):\s+(\S+)", status, re.MULTILINE))
        assert int(facts["CapEff"], 16) == int(facts["CapBnd"], 16) == 0
        assert facts["NoNewPrivs"] == "1"
        assert facts["Uid"] != "0"
        wrote = docker("exec", container, "sh", "-c", "touch /etc/x /x 2>/dev/null && echo yes || echo no", check=False)
        assert wrote == "no"


def test_a_rolling_restart_loses_nothing(demo: Stack) -> None:
    """Every service is restarted while the recording plays, each ends with 0; what was paid for is spoken all the same."""
    for service in (*SERVICES, "jobs"):
        (container,) = demo.ids(service)
        docker("stop", "-t", "30", container)
        assert inspect([container])[0]["State"]["ExitCode"] == 0, service
        docker("start", container)
        demo.healthy(service)

    def settled() -> bool:
        rows = demo.ledger("demo").values()
        return Counter(row.state for row in rows if row.state in PAID) == PAID or any(
            row.state == "failed" for row in rows
        )

    until(settled, LAP_S, lambda: Counter(row.state for row in demo.ledger("demo").values()))
    states = Counter(row.state for row in demo.ledger("demo").values())
    print(dict(states))
    assert states["failed"] == 0
    assert (states["spoken"], states["withdrawn"]) == (23, 1)


def test_a_report_is_made_by_the_jobs(demo: Stack) -> None:
    """It is asked for at the gateway, made in another container, and served by the gateway."""
    asked = demo.post("/api/rooms/demo/reports", {})

    def page() -> str:
        with urllib.request.urlopen(f"http://{demo.address('gateway', 8000)}{asked['url']}", timeout=5) as answer:
            return answer.read().decode()

    until(lambda: page().startswith("<!doctype html>"))
    assert "23" in page()


def test_down_leaves_nothing(demo: Stack) -> None:
    """After `down -v` there is no container, network or volume of the project."""
    demo.compose("down", "-v")
    label = f"label=com.docker.compose.project={demo.project}"
    assert demo.ids() == []
    assert docker("volume", "ls", "-q", "--filter", label) == ""
    assert docker("network", "ls", "-q", "--filter", label) == ""
