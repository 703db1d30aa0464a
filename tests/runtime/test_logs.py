"""What must never be told: in no spelling, in no depth of a log line, in no library's line, in no traceback."""

import base64
import subprocess
import sys
from pathlib import Path
from urllib.parse import quote

import pytest

from services.contract.failure import Failure
from services.runtime.bus import connect
from services.runtime.health import Health
from services.runtime.logs import discreet, hide, hide_url, redact
from services.runtime.settings import broker, common, secret, web

ROOT = Path(__file__).parents[2]
CANARY = "c4nary/7f@3a+"


def coded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


@pytest.mark.parametrize(
    "spelling", [CANARY, quote(CANARY), quote(CANARY, safe=""), coded(CANARY), coded("me:" + CANARY)]
)
def test_every_spelling_is_hidden(spelling: str) -> None:
    """As it is, as in a URL, as base64, and with its name as HTTP sends it."""
    hide(CANARY)
    hide(f"redis://me:{quote(CANARY, safe='')}@host:6379/0")
    said = discreet(f"before {spelling} after")
    assert said.startswith("before ***")
    assert CANARY[:6] not in said
    assert coded(CANARY)[:6] not in said


def test_of_a_url_only_the_password_is_hidden() -> None:
    """Where a server is may be told; a URL without a password hides nothing, nor does one that is none."""
    hide_url("http://me:canary-1@host:80/v1")
    assert discreet("http://me:canary-1@host:80/v1") == "http://***@host:80/v1"
    for url in ("http://host/v1", "http://me@host/v1", "http://[", ""):
        hide_url(url)
        assert discreet(f"at {url}") == f"at {url}"


def test_of_several_urls_each_password_is_hidden() -> None:
    """A list of brokers is a secret, and so is each of its passwords."""
    hide("redis://:canary-1@a:1/0, redis://:canary-2@b:2/0")
    assert (
        discreet("b lets nobody in with canary-2, nor a with canary-1") == "b lets nobody in with ***, nor a with ***"
    )


def test_a_longer_secret_goes_first() -> None:
    """No part of one remains where another is its beginning; what is as short as a word is not hidden."""
    for value in ("canary", "canary-7f3a", "abc"):
        hide(value)
    assert discreet("canary-7f3a, canary, abc") == "***, ***, abc"


@pytest.mark.parametrize("length", range(8, 12))
def test_a_secret_that_was_cut_off_is_hidden(length: int) -> None:
    """Of a text that ends within a secret its beginning is taken; less of it may be chance, and elsewhere it is none."""
    hide("can-can-c7f3")
    assert discreet(f"key: {'can-can-c7f3'[:length]}") == "key: ***"
    assert discreet("key: can-can-") == "key: ***"
    assert discreet("key: can-can") == "key: can-can"
    assert discreet("can-can-c is danced") == "can-can-c is danced"


def test_a_line_is_redacted_in_its_depth() -> None:
    """Tables, lists and what is told by its repr; numbers stay what they are."""
    hide("canary-7f3a")
    event = {
        "event": "x", "deep": {"canary-7f3a": [1, "canary-7f3a", {"api_key": "y"}]}, "pair": ("a", None), "n": 1.5,
        "error": ValueError("canary-7f3a"),
    }  # fmt: skip
    assert redact(None, "info", event) == {
        "event": "x", "deep": {"***": [1, "***", {"api_key": "***"}]}, "pair": ["a", None], "n": 1.5,
        "error": "ValueError('***')",
    }  # fmt: skip


def test_health_does_not_tell() -> None:
    """Whatever sentence a part gives, neither a problem nor a warning has a secret."""
    hide("canary-7f3a")
    health = Health("llm")
    health.report({"model": "it said canary-7f3a"})
    health.warn({"model": "it said canary-7f3a"})
    assert (health.problems, health.warnings) == ({"model": "it said ***"}, {"model": "it said ***"})


@pytest.mark.parametrize(
    "ends",
    [
        "raise ValueError(KEY)",
        "t = threading.Thread(target=int, args=(KEY,)); t.start(); t.join()",
        "logging.error(KEY)",
    ],
)
def test_nothing_uncaught_tells(ends: str) -> None:
    """What a process, a thread or a library leaves on standard error has no secret, and still says where it was."""
    code = f"import logging, threading\nfrom services.runtime import logs\nKEY = 'canary-7f3a'\nlogs.hide(KEY)\nlogs.configure('llm')\n{ends}\n"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert "canary-7f3a" not in done.stderr
    assert "***" in done.stderr
    assert ("Traceback" in done.stderr) is ("logging" not in ends)


def test_a_thread_that_ends_itself_says_nothing() -> None:
    """SystemExit is no fault."""
    code = "import sys, threading\nfrom services.runtime import logs\nlogs.configure('llm')\nthreading.Thread(target=sys.exit).start()\n"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("url", ["redis://:c4n/ary@host:1/0", "http://:c4nary@host", "redis://[c4nary"])
def test_a_broker_that_is_no_address_is_not_repeated(url: str) -> None:
    """The sentence names the variable and how it is written; what was written may be a password."""
    for environ, name in (
        ({"WORK_REDIS_URL": url}, "WORK_REDIS_URL"),
        ({"LIVE_REDIS_URLS": f"redis://good:1, {url}"}, "LIVE_REDIS_URLS"),
        ({"REDIS_URL": url}, "REDIS_URL"),
    ):
        with pytest.raises(Failure, match=f"^bad_config: {name} is no address") as caught:
            common("llm", environ)
        assert "c4n" not in caught.value.sentence
        assert caught.value.__cause__ is None
    assert broker("unix:///run/work.sock", "WORK_REDIS_URL") == "unix:///run/work.sock"


def test_an_option_of_a_broker_is_not_repeated() -> None:
    """Redis' own error says what was written behind the address; ours does not."""
    with pytest.raises(Failure, match="has an option that Redis does not know") as caught:
        connect("redis://h:1/0?socket_timeout=c4nary")
    assert "c4n" not in caught.value.sentence
    assert caught.value.__suppress_context__


def test_a_server_that_is_no_address_is_not_repeated() -> None:
    """So with the address of an engine, whose password is hidden where it is one."""
    for url in ("http://me:c4n/ary@host/v1", "http://", "http://[c4nary"):
        with pytest.raises(Failure, match="OPENAI_BASE_URL is no address") as caught:
            web(url, "OPENAI_BASE_URL")
        assert "c4n" not in caught.value.sentence
    assert web("http://me:c4nary@host/v1", "OPENAI_BASE_URL") == "http://me:c4nary@host/v1"
    assert discreet("c4nary") == "***"


@pytest.mark.parametrize("name", ["OPENAI_API_KEY", "ONAIR_TOKEN", "WORK_REDIS_URL"])
def test_a_secret_in_two_lines_is_not_repeated(name: str) -> None:
    """No header and no URL can hold it: it is refused at the start, not told in the error of each request."""
    with pytest.raises(Failure, match=f"{name} has a line break") as caught:
        secret({name: "c4nary-1\nc4nary-2"}, name)
    assert "c4n" not in caught.value.sentence


def test_proxies_of_the_configuration_are_hidden(tmp_path: Path) -> None:
    """Whoever reads the file hides the passwords that stand in it."""
    path = tmp_path / "onair.yaml"
    path.write_text("network: {proxy: 'http://me:canary-1@h:1', proxies: {openai: 'http://me:canary-2@h:1'}}")
    common("llm", {"ONAIR_CONFIG": str(path)}).config()
    assert discreet("canary-1 canary-2") == "*** ***"
