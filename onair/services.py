"""The services as processes: which, how many of each, what they need installed, in which order they start."""

import importlib.metadata
import re
import socket
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from onair import ready
from onair.brokers import Urls
from onair.environment import of_service
from onair.processes import Family, Part
from services.contract.failure import Code, Failure

STAGE = ("asr", "llm", "tts", "avatar", "gateway")
"""Started together."""
SERVICES = (*STAGE, "ingest")
"""ingest comes last: a room goes on air when all that answers it is ready."""
JOBS = "jobs"
"""The gateway's slow and scheduled work: a process beside the six."""
PROCESSES = (*SERVICES, JOBS)
MODULES = {JOBS: "gateway.jobs"}
SINGLE = {
    "gateway": "it has one port",
    "avatar": "there is one puppet",
}
MOST = 32
PACKAGE = "services"
_NEED = re.compile(r"^([A-Za-z0-9._-]+).*;.*\bextra\s*==\s*['\"]([\w-]+)['\"]")


@dataclass(frozen=True)
class Plan:
    """What is to be started, and with which settings."""

    config: Path
    data: Path
    machine: Mapping[str, str]
    """The environment of `onair` itself."""
    host: str = "127.0.0.1"
    port: int = 0
    """The gateway's; 0: any free one."""
    scale: Mapping[str, int] = field(default_factory=dict[str, int])
    debug: bool = False
    package: str = PACKAGE
    """Services are started as `python -m <package>.<service>`."""


def parse_scale(texts: Iterable[str]) -> dict[str, int]:
    """`tts=4` → {"tts": 4}; raises Failure(BAD_INPUT) which says what is possible."""
    found: dict[str, int] = {}
    for text in texts:
        name, _, number = text.partition("=")
        if name not in PROCESSES:
            known = ", ".join(PROCESSES)
            raise Failure(Code.BAD_INPUT, f"--scale {text}: there is no service {name!r}; known: {known}")
        if not (number.isascii() and number.isdecimal()) or not 1 <= int(number) <= MOST:
            raise Failure(Code.BAD_INPUT, f"--scale {text}: write {name}=N with N from 1 to {MOST}")
        if name in SINGLE and int(number) > 1:
            raise Failure(Code.BAD_INPUT, f"--scale {text}: {name} runs once on a machine, {SINGLE[name]}")
        found[name] = int(number)
    return found


def missing(needs: Sequence[str], installed: Iterable[str], extras: Iterable[str]) -> dict[str, list[str]]:
    """Extra → the packages of it that are not installed. `needs` are the distribution's requirement lines."""
    have, wanted = {_plain(name) for name in installed}, set(extras)
    found: dict[str, list[str]] = {}
    for line in needs:
        match = _NEED.match(line)
        if match and match[2] in wanted and "win32" not in line and _plain(match[1]) not in have:
            found.setdefault(match[2], []).append(match[1])
    return found


def _plain(name: str) -> str:
    """A distribution's name as indexes compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def check_extras(services: Iterable[str]) -> None:
    """Raise Failure(ENGINE_MISSING) which names the extra that must be installed for one of these services."""
    try:
        needs = importlib.metadata.requires("onair") or []
    except importlib.metadata.PackageNotFoundError:
        return
    installed = [found.name for found in importlib.metadata.distributions()]
    if lacks := missing(needs, installed, services):
        what = "; ".join(f"{extra} needs {', '.join(names)}" for extra, names in sorted(lacks.items()))
        remedy = f"run `make setup`, or install onair[{','.join(sorted(lacks))}]"
        raise Failure(Code.ENGINE_MISSING, f"something is not installed: {what}; {remedy}")


def check_port(host: str, port: int) -> None:
    """Raise Failure(BUSY) if the gateway could not listen there; BAD_INPUT if this machine has no such address."""
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        socket.create_server((host, port), family=family).close()
    except socket.gaierror as error:
        raise Failure(Code.BAD_INPUT, f"--host {host} is no address of this machine: {error.strerror}") from error
    except OSError as error:
        remedy = "end the program that has it, or choose another by --port (0: any free one)"
        raise Failure(Code.BUSY, f"cannot listen on {host} port {port} ({error.strerror}); {remedy}") from error


def parts(plan: Plan, urls: Urls, services: Iterable[str]) -> list[Part]:
    """One part for each process of these services."""
    given = of_service(
        plan.machine, work=urls.work, lives=urls.lives, config=plan.config, data=plan.data, debug=plan.debug
    )
    gateway = {"GATEWAY_HOST": plan.host, "GATEWAY_PORT": str(plan.port)}
    found: list[Part] = []
    for service in services:
        env = {**given, **gateway} if service == "gateway" else given
        for number in range(1, plan.scale.get(service, 1) + 1):
            name = f"{service}-{number}"
            argv = (sys.executable, "-m", f"{plan.package}.{MODULES.get(service, service)}")
            found.append(Part(name, argv, env, plan.data / "logs" / f"{name}.log"))
    return found


async def start(family: Family, plan: Plan, urls: Urls, services: Iterable[str]) -> dict[str, ready.Note]:
    """Start these services side by side and wait until all are ready; their notes by the names of their parts."""
    found = parts(plan, urls, services)
    for part in found:
        family.start(part)
    return await ready.wait(family, [part.name for part in found])


def forget_notes(data: Path) -> None:
    """Remove what earlier processes of this folder left in <data>/run."""
    for note in (data / "run").glob("*.json"):
        note.unlink(missing_ok=True)


def address(host: str, note: ready.Note) -> str:
    """Where people reach the gateway."""
    shown = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)  # noqa: S104  it is not bound here
    return f"http://{shown}:{note['port']}"
