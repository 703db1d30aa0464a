"""What `onair doctor` judges: facts in, findings with a state and a remedy out. Pure."""

import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any
from urllib.parse import unquote, urlsplit

from services.runtime.bus import FLOOR
from services.runtime.words import clip

HIDDEN = "***"
LEAST_SECRET = 4
"""Characters: a shorter one would blank out ordinary words."""
SHARED = (
    "work and live are one broker: allowed, but every microphone frame is then written to its disk; "
    "name a second one by LIVE_REDIS_URLS"
)


class State(StrEnum):
    """How a part is."""

    OK = "ok"
    MISSING = "missing"
    """Not set up; what is configured works without it, as the text says."""
    PROBLEM = "problem"
    """Something that is configured cannot work."""


@dataclass(frozen=True)
class Finding:
    """One part and its state."""

    part: str
    name: str
    state: State
    says: str
    remedy: str = ""


def ok(part: str, name: str, says: str) -> Finding:
    """It can work."""
    return Finding(part, name, State.OK, says)


def missing(part: str, name: str, says: str, remedy: str) -> Finding:
    """It is not set up, and nothing that is configured needs it."""
    return Finding(part, name, State.MISSING, says, remedy)


def problem(part: str, name: str, says: str, remedy: str) -> Finding:
    """It is configured and cannot work."""
    return Finding(part, name, State.PROBLEM, says, remedy)


def well(findings: Iterable[Finding]) -> bool:
    """Whether all that is configured can work."""
    return all(finding.state is not State.PROBLEM for finding in findings)


def as_json(findings: Collection[Finding]) -> str:
    """For programs."""
    body = {"ok": well(findings), "findings": [asdict(finding) for finding in findings]}
    return json.dumps(body, ensure_ascii=False, indent=2)


def secrets_of(texts: Iterable[str]) -> list[str]:
    """What must not be shown of these keys, tokens and URLs: longest first, so that no part of one remains."""
    found: set[str] = set()
    for text in texts:
        found.add(text)
        try:
            parts = urlsplit(text)
            found.update(filter(None, (parts.password, unquote(parts.password or ""), parts.query)))
        except ValueError:
            continue
    return sorted((each for each in found if len(each) >= LEAST_SECRET), key=len, reverse=True)


def discreet(finding: Finding, secrets: Collection[str]) -> Finding:
    """The finding without any of the secrets."""
    says, remedy = finding.says, finding.remedy
    for each in secrets:
        says, remedy = says.replace(each, HIDDEN), remedy.replace(each, HIDDEN)
    return Finding(finding.part, finding.name, finding.state, clip(says, 400), remedy)


def place(url: str) -> str:
    """Host and port of a URL: all that may be shown of it."""
    host, port = endpoint(url)
    return f"{host}{f':{port}' if port else ''}" if host else "an address that is none"


def endpoint(url: str) -> tuple[str, int]:
    """Host and port of a URL, 0 where it names none; ('', 0) for what is no URL."""
    try:
        parts = urlsplit(url)
        found = parts.hostname or "", parts.port or 0
    except ValueError:
        found = "", 0
    return found


def model(status: int, body: bytes, name: str, where: str, engine: str = "llm") -> Finding:
    """What `GET <base_url>/models` says of the model that shall answer, listen or speak."""
    part, what = "engine", f"{engine} openai"
    address = "OPENAI_BASE_URL" if engine == "llm" else f"engines.{engine}.openai.base_url"
    if status == 401 or status == 403:  # noqa: PLR1714, PLR2004  HTTP's own numbers, here and below
        return problem(part, what, f"{where} refuses the key ({status})", "set OPENAI_API_KEY to a valid one")
    if 300 <= status < 400:  # noqa: PLR2004
        return problem(part, what, f"{where} redirects ({status})", f"set {address} to where it leads")
    if status >= 500:  # noqa: PLR2004
        return problem(part, what, f"{where} answers {status}", "look at that server's log")
    known = _models(body) if status == 200 else []  # noqa: PLR2004
    if known and not any(each in {name, f"{name}:latest"} for each in known):
        some = ", ".join(known[:5])
        remedy = f"set engines.{engine}.openai.model to one of its own"
        return problem(part, what, f"{where} does not have the model {name}; it has {some}", remedy)
    return ok(part, what, f"{where} answers, model {name}" + ("" if known else " (it lists none)"))


def _models(body: bytes) -> list[str]:
    """The ids in a list of models; none for anything else."""
    try:
        found: Any = json.loads(body)
        return [str(each["id"]) for each in found["data"]]
    except (ValueError, KeyError, TypeError, RecursionError):
        return []


def broker(name: str, where: str, version: str, settings: Mapping[str, str]) -> list[Finding]:
    """A broker that answers: is it new enough, does it keep what it must. Settings that it does not tell are left out."""
    if _version(version) < FLOOR:
        old = f"{where} is Redis {version}"
        return [problem("broker", name, old, "take Redis or Valkey 7.0 or newer")]
    found: list[Finding] = []
    wanted = {"maxmemory-policy": "noeviction"}
    if name == "work":
        wanted |= {"appendonly": "yes", "appendfsync": "always"}
    for key, value in wanted.items():
        if settings.get(key, value) != value:
            says = f"{where} has {key} {settings[key]}: what was taken over could be lost"
            found.append(problem("broker", name, says, f"set `{key} {value}` in its configuration"))
    untold = "" if settings else ", does not tell its settings"
    return found or [ok("broker", name, f"{where}, Redis {version}{untold}")]


def kept(terms: Mapping[str, str], links: Collection[str]) -> Finding:
    """How long is kept what piles up; a folder that is a link is nobody's to empty."""
    says = ", ".join(f"{name} {term}" for name, term in terms.items())
    if not links:
        return ok("machine", "kept", says)
    remedy = "let ONAIR_DATA itself lie where there is room, or empty what the link names by other means"
    return missing("machine", "kept", f"{says}; never deleted, being a link: {', '.join(links)}", remedy)


def _version(text: str) -> tuple[int, ...]:
    """Major and minor; (0, 0) for what is none."""
    parts = [*text.split("."), "0"][:2]
    return tuple(int(part) if part.isascii() and part.isdecimal() else 0 for part in parts)


def exposure(host: str, exposed: str, *, local: bool, token: bool) -> Finding:
    """Who may come in."""
    if exposed not in {"", "loopback", "network"}:
        says, remedy = f"GATEWAY_EXPOSED is {exposed!r}", "leave it out, or say loopback or network"
        return problem("gateway", "exposure", says, remedy)
    if local:
        more = "" if token else "; no token is needed"
        return ok("gateway", "exposure", f"this machine only ({host}){more}")
    if token:
        return ok("gateway", "exposure", f"everybody who has the token (it listens on {host})")
    if exposed == "loopback":
        return ok("gateway", "exposure", f"it listens on {host}, published on 127.0.0.1 only (GATEWAY_EXPOSED)")
    remedy = "set ONAIR_TOKEN, or GATEWAY_HOST=127.0.0.1"
    return problem("gateway", "exposure", f"it would listen on {host} without a token", remedy)


def opened(networks: Iterable[object]) -> Finding:
    """Whose clients need no token."""
    names = ", ".join(map(str, networks))
    if not names:
        return ok("gateway", "open networks", "none")
    remedy = "keep them as small as your original clients need, or empty GATEWAY_OPEN_NETWORKS"
    return missing("gateway", "open networks", f"clients of {names} come in without a token", remedy)


def voice(name: str, wanted: Collection[str], served: Collection[str], lacks: Mapping[str, Collection[str]]) -> Finding:
    """Whether one of the voice's engines can speak: `served` by a worker, and none of its packages lacking."""
    part = f"tts {name}"
    able = [engine for engine in wanted if engine in served and not lacks.get(engine)]
    if able:
        return ok("voice", part, " → ".join(wanted) if able[0] == next(iter(wanted)) else f"spoken by {able[0]}")
    for engine in wanted:
        if engine in served:
            return problem("voice", part, f"{engine} lacks {', '.join(lacks[engine])}", "install onair[tts]")
    names = ", ".join(wanted)
    remedy = f"set TTS_ENGINES={names.replace(' ', '')}, or give the voice another engine"
    return problem(
        "voice", part, f"no worker speaks with {names}: TTS_ENGINES is {', '.join(served) or 'empty'}", remedy
    )
