"""`onair doctor`: looks at everything that OnAir needs, side by side, and says what to do where something is not right."""

import queue
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from onair import findings, probes
from onair.configuration import sense
from onair.drive import DONE, FAILED, say, tame
from onair.environment import machine
from onair.findings import Finding, State, missing, ok, problem
from onair.probes import Probe
from onair.up import load
from services.contract.failure import Failure
from services.runtime.config import Config
from services.runtime.engines import Hearing, OpenAI, Speaking
from services.runtime.settings import HEALTH_PORTS, networks, number, ports, secret

LIMIT_S = 4.5
"""For all probes together."""
COLOURS = {State.OK: "green", State.MISSING: "yellow", State.PROBLEM: "red"}
HOSTS = {"", "localhost", "::1"}
AMBIENT = ("https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY", "http_proxy", "HTTP_PROXY")
AVATARS = ("scripted",)
TTS_PACKAGES = {"espeak": ("espeakng_loader", "soxr"), "openai": ("openai", "httpx2", "soxr")}
"""What an engine needs installed; the others need nothing."""


@dataclass
class Ground:
    """What the environment and the configuration say, as far as they can be read."""

    data: Path
    environ: Mapping[str, str] = field(default_factory=dict[str, str])
    config: Config = field(default_factory=Config)
    found: list[Finding] = field(default_factory=list[Finding])
    """What is wrong with themselves."""

    def secret(self, name: str) -> str:
        """A secret; '' with a finding where its file cannot be read."""
        try:
            return secret(self.environ, name)
        except Failure as failure:
            self.found.append(
                problem("settings", name, failure.sentence, "correct the path, or set the variable itself")
            )
            return ""

    def number(self, name: str, default: int, least: int = 0, most: int = 65_535) -> int:
        """A number; the default with a finding where it is none."""
        try:
            return number(self.environ, name, default, least, most)
        except Failure as failure:
            self.found.append(problem("settings", name, failure.sentence, f"correct {name}, or leave it out"))
            return default


def doctor(config: Path | None, data: Path | None, *, json: bool) -> int:
    """Print every finding; 1 if something that is configured cannot work."""
    ground = survey(config, data)
    asked = plan(ground)
    found = [*ground.found, *together(asked)]
    hidden = findings.secrets_of(secrets(ground))
    found = [findings.discreet(each, hidden) for each in found]
    if json:
        say(findings.as_json(found))
    else:
        Console(highlight=False).print(table(found))
        bad = sum(each.state is State.PROBLEM for each in found)
        say(f"{bad} of {len(found)} cannot work as configured" if bad else "all that is configured can work")
    return DONE if findings.well(found) else FAILED


def survey(config: Path | None, data: Path | None) -> Ground:
    """Read the environment and the configuration; what cannot be read is a finding."""
    ground = Ground(data or Path("data"))
    try:
        ground.environ = machine()
    except Failure as failure:
        ground.found.append(problem("settings", ".env", failure.sentence, "correct that line"))
    ground.data = data or Path(ground.environ.get("ONAIR_DATA", "") or "data")
    path = config or Path(ground.environ.get("ONAIR_CONFIG", "") or "onair.yaml")
    try:
        ground.config = load(path)
        sense(path, ground.config)
        ground.found.append(ok("settings", "configuration", str(path)))
    except Failure as failure:
        remedy = "correct it; `onair config check` says when it is right"
        ground.found.append(problem("settings", "configuration", failure.sentence, remedy))
    return ground


def plan(ground: Ground) -> list[tuple[str, Probe]]:
    """All probes, with the names of what they look at."""
    found: list[tuple[str, Probe]] = [
        ("python", probes.python),
        ("extras", probes.extras),
        ("data", partial(probes.disk, ground.data)),
        *_engines(ground),
        *_daily(ground.config),
        *_brokers(ground),
        *_ports(ground),
    ]
    if proxy := ground.config.network.proxy:
        found.append(("proxy", partial(probes.proxy, proxy)))
    elif any(ground.environ.get(name) for name in AMBIENT):
        remedy = "if the model is reached through it, write network.proxy in onair.yaml"
        ground.found.append(missing("network", "proxy", "the environment names one, which OnAir does not use", remedy))
    keep = ground.config.keep.model_dump()
    ground.found.append(findings.kept(keep, [name for name in keep if (ground.data / name).is_symlink()]))
    ground.found += rooms(ground.config)
    return found


def _engines(ground: Ground) -> list[tuple[str, Probe]]:
    config, environ = ground.config, ground.environ
    served = [name.strip() for name in environ.get("TTS_ENGINES", "espeak").split(",") if name.strip()]
    lacks = {engine: probes.lacking(*packages) for engine, packages in TTS_PACKAGES.items()}
    for name, voice in config.voices.items():
        ground.found.append(findings.voice(name, [next(iter(each)) for each in voice.engines], served, lacks))
    for puppet in config.avatar or {"scripted": {}}:
        if puppet in AVATARS:
            ground.found.append(ok("engine", f"avatar {puppet}", "a puppet that needs nothing"))
        else:
            says, remedy = "it is not in this version", f"take it out of onair.yaml; known: {', '.join(AVATARS)}"
            ground.found.append(problem("engine", f"avatar {puppet}", says, remedy))
    ears = next(iter(config.engines.asr), "offline")
    llm, asr, tts = _servers(ground)
    found: list[tuple[str, Probe]] = [("llm", partial(probes.model, "scripted" in config.engines.llm, llm))]
    found.append(("asr", partial(probes.remote, asr) if ears == "openai" else partial(probes.ears, ears)))
    return [*found, ("tts", partial(probes.remote, tts))] if tts.models and "openai" in served else found


def _servers(ground: Ground) -> tuple[probes.Server, probes.Server, probes.Server]:
    """The OpenAI-compatible servers that answer, listen and speak."""
    config, url = ground.config, ground.environ.get("OPENAI_BASE_URL", "")
    key, proxy = ground.secret("OPENAI_API_KEY"), config.network.proxy_of("openai")
    try:
        llm, asr, tts = config.engines.openai, config.engines.hearing, config.engines.speaking
    except Failure:  # told with its line when the configuration was read
        llm, asr, tts = OpenAI(), Hearing(), Speaking()
    spoken = [each["openai"] for voice in config.voices.values() for each in voice.engines if "openai" in each]
    models = sorted({str(options.get("model") or tts.model) for options in spoken})
    own = [ground.secret(f"{service}_OPENAI_API_KEY") or key for service in ("ASR", "TTS")]
    return (
        probes.Server("llm", [llm.model], key, url or llm.base_url, proxy),
        probes.Server("asr", [asr.model], own[0], asr.base_url or url, proxy),
        probes.Server("tts", models, own[1], tts.base_url or url, proxy),
    )


def _daily(config: Config) -> list[tuple[str, Probe]]:
    """Conversations of Daily, where the configuration speaks of them."""
    wanted = config.daily
    who = f"answered by {config.answers_daily}, by {wanted.by}" if wanted.answer else "listened to"
    return [("daily", partial(probes.daily, wanted.domain, who))] if "daily" in config.model_fields_set else []


def _brokers(ground: Ground) -> list[tuple[str, Probe]]:
    both = ground.secret("REDIS_URL")
    work = ground.secret("WORK_REDIS_URL") or both
    lives = [url.strip() for url in (ground.secret("LIVE_REDIS_URLS") or both).split(",") if url.strip()]
    if work and work in lives:
        ground.found.append(ok("broker", "work and live", findings.SHARED))
    found: list[tuple[str, Probe]] = [("work", partial(probes.redis, "work", work))] if work else []
    found += [("live", partial(probes.redis, "live", url)) for url in lives]
    return found if work and lives else [*found, ("brokers", probes.embedded)]


def _ports(ground: Ground) -> list[tuple[str, Probe]]:
    host = ground.environ.get("GATEWAY_HOST", "") or "127.0.0.1"
    local = host in HOSTS or host.startswith("127.")
    token, exposed = bool(ground.secret("ONAIR_TOKEN")), ground.environ.get("GATEWAY_EXPOSED", "")
    ground.found.append(findings.exposure(host, exposed, local=local, token=token))
    try:
        ground.found.append(findings.opened(networks(ground.environ, "GATEWAY_OPEN_NETWORKS")))
    except Failure as failure:
        ground.found.append(
            problem("settings", "GATEWAY_OPEN_NETWORKS", failure.sentence, "correct it, or leave it out")
        )
    found = _gateway_ports(ground, host)
    for service, usual in HEALTH_PORTS.items():
        name = f"{service.upper()}_HEALTH_PORT"
        number = ground.number(name, usual)
        at = ground.environ.get("HEALTH_HOST", "") or "127.0.0.1"
        found.append((f"health {service}", partial(probes.port, f"health {service}", at, number, ground.data, name)))
    return found


def _gateway_ports(ground: Ground, host: str) -> list[tuple[str, Probe]]:
    named = [("GATEWAY_PORT", ground.number("GATEWAY_PORT", ground.config.gateway.port))]
    extra = "GATEWAY_EXTRA_PORTS"
    try:
        named += [(extra, port) for port in ports(ground.environ, extra, ground.config.gateway.extra_ports)]
    except Failure as failure:
        ground.found.append(problem("settings", extra, failure.sentence, "correct it, or leave it out"))
    return [("gateway", partial(probes.port, "gateway", host, port, ground.data, name)) for name, port in named]


def rooms(config: Config) -> list[Finding]:
    """Each room, and whether what it plays is there."""
    found: list[Finding] = []
    for name, room in config.rooms.items():
        says = ", ".join(next(iter(source)) for source in room.sources)
        for source in room.sources:
            options = source.get("replay", "")
            path = Path(str(options.get("path", "")) if isinstance(options, dict) else str(options))  # pyright: ignore[reportUnknownArgumentType, reportUnknownMemberType]  read as text
            if "replay" in source and not path.is_file():
                remedy = "correct its path, or record one"
                found.append(problem("room", name, f"there is no recording at {path}", remedy))
                break
        else:
            found.append(ok("room", name, f"{room.persona}, events from {says}"))
    return found


def secrets(ground: Ground) -> list[str]:
    """Everything that must not be shown."""
    keys = ("OPENAI_API_KEY", "ASR_OPENAI_API_KEY", "TTS_OPENAI_API_KEY", "TAVUS_API_KEY", "ONAIR_TOKEN")
    names = (*keys, "WORK_REDIS_URL", "LIVE_REDIS_URLS", "REDIS_URL", "OPENAI_BASE_URL")
    found = [part for name in names for part in ground.secret(name).split(",")]
    config = ground.config
    engines = [each.get("openai", {}) for each in (config.engines.llm, config.engines.asr, config.engines.tts)]
    found += [str(ground.environ.get(name, "")) for name in AMBIENT]
    found += [str(options.get("base_url", "")) for options in engines]
    return [*found, config.network.proxy, *config.network.proxies.values()]


def together(asked: Sequence[tuple[str, Probe]], limit_s: float = LIMIT_S) -> list[Finding]:
    """What all probes found, in the order in which they were asked; one that takes too long is a finding itself."""
    answers: queue.Queue[tuple[int, list[Finding]]] = queue.Queue()
    for place, (name, probe) in enumerate(asked):
        # A thread that hangs in the resolver cannot be ended; a daemon does not hold the command back.
        threading.Thread(target=_ask, args=(answers, place, name, probe), daemon=True).start()
    until, found = time.monotonic() + limit_s, dict[int, list[Finding]]()
    while len(found) < len(asked):
        try:
            place, each = answers.get(timeout=max(0.0, until - time.monotonic()))
        except queue.Empty:
            break
        found[place] = each
    late = f"no answer within {limit_s:g} s"
    return [
        finding
        for place, (name, _) in enumerate(asked)
        for finding in found.get(place, [problem("probe", name, late, "look at the network and at that server")])
    ]


def _ask(
    answers: "queue.Queue[tuple[int, list[Finding]]]", place: int, name: str, probe: Callable[[], list[Finding]]
) -> None:
    try:
        answers.put((place, probe()))
    except Exception as error:  # noqa: BLE001  a probe that breaks is told like any other problem
        says = f"the look at it failed: {type(error).__name__}: {error}"
        answers.put((place, [problem("probe", name, says, "this should not happen; ONAIR_DEBUG=1 shows more")]))


def table(found: Sequence[Finding]) -> Table:
    """The findings, each with its remedy below."""
    shown = Table(show_header=False, box=None, pad_edge=False)
    for name in ("what", "state", "says"):
        shown.add_column(name, overflow="fold", no_wrap=name == "state")
    for each in found:
        name = f"{each.part} {each.name}" if each.part in {"broker", "port", "room"} else each.name
        says = Text(tame(each.says))
        if each.remedy:
            says.append(f"\n→ {tame(each.remedy)}", style="bold")
        shown.add_row(Text(tame(name)), Text(each.state.value, style=COLOURS[each.state]), says)
    return shown
