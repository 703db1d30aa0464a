"""Health over real HTTP."""

import json
import urllib.error
import urllib.request

import pytest

from services.contract.failure import Failure
from services.runtime import health as module
from services.runtime.health import Health, listen


def get(port: int, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def test_a_service_is_ready_when_nothing_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each problem is named; a loop that does not move is not alive; metrics count the problems."""
    health = Health("llm")
    server, port = listen(health, "127.0.0.1", 0)
    try:
        assert get(port, "/readyz")[0] == 503
        health.report({"bus": "", "model": "no key; set OPENAI_API_KEY"})
        status, body = get(port, "/readyz")
        assert (status, json.loads(body)["problems"]) == (503, {"model": "no key; set OPENAI_API_KEY"})
        assert "onair_problems 1.0" in get(port, "/metrics")[1]
        health.report({"bus": "", "model": ""})
        assert get(port, "/readyz")[0] == 200
        assert get(port, "/healthz")[0] == 200
        assert get(port, "/other")[0] == 404
        monkeypatch.setattr(module, "STALLED_S", -1)
        assert get(port, "/healthz")[0] == 503
    finally:
        server.shutdown()
        server.server_close()


def test_a_warning_keeps_nothing_from_working() -> None:
    """What is wrong though the service works is told beside the problems, and the service stays ready."""
    health = Health("llm")
    health.report({})
    health.warn({"model": "no key; set OPENAI_API_KEY", "other": ""})
    assert health.ready
    assert json.loads(health.body())["warnings"] == {"model": "no key; set OPENAI_API_KEY"}


def test_a_taken_port_means_the_next_free_one() -> None:
    """Several workers of a service find room by themselves; with none left the range is named."""
    first, port = listen(Health("tts"), "127.0.0.1", 0)
    second, other = listen(Health("tts"), "127.0.0.1", port)
    try:
        assert other > port
        with pytest.raises(Failure, match=f"no free port for health between {port} and {port}"):
            listen(Health("tts"), "127.0.0.1", port, tries=1)
    finally:
        for server in (first, second):
            server.shutdown()
            server.server_close()
