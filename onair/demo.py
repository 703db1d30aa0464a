"""`onair demo`: plays a recorded room through all services, once for the record or in a loop to be watched."""

import shutil
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit

import yaml

from onair import brokers, services
from onair.drive import DONE, FAILED, say, tell
from onair.environment import machine
from onair.processes import Family
from onair.recorder import Recorder
from onair.show import kept
from onair.up import DEMO, load
from services.contract.failure import Code, Failure
from services.runtime.bus import Bus
from services.runtime.config import Config
from services.runtime.sessions import Sessions
from services.runtime.settings import common
from services.runtime.show import Show

ROOM = "demo"
PERSONA = "host"
PORT, TRIES = 8000, 20
RECORDING = Path("recordings/demo.jsonl.gz")
DATA = Path("data/demo")
OUT = Path("out")
HOME = Path(__file__).parents[1]


@dataclass(frozen=True)
class Wanted:
    """What the command line asked for."""

    out: Path = OUT
    recording: Path = RECORDING
    data: Path = DATA
    port: int | None = None
    """None: any free one where the room is played once, `PORT` or the next free one where it is watched."""
    once: bool = True
    speed: float = 1.0
    config: Path | None = None
    debug: bool = False


def shipped(path: Path) -> Path:
    """That path of this folder, else of the project's own."""
    return path.resolve() if path.exists() or path.is_absolute() else HOME / path


def room_config(
    base: Config, raw: dict[str, Any], room: str, recording: Path, speed: float, *, once: bool = True
) -> dict[str, Any]:
    """The configuration with one room only, which plays that recording once or lap after lap."""
    persona = PERSONA if PERSONA in base.personas else next(iter(base.personas), "")
    if not persona:
        raise Failure(Code.BAD_CONFIG, "the configuration has no persona; add one under `personas`")
    replay = {"path": str(recording), "once": once, "speed": speed}
    return {**raw, "rooms": {room: {"persona": persona, "sources": [{"replay": replay}]}}}


def write_config(base_path: Path, target: Path, room: str, recording: Path, speed: float, *, once: bool = True) -> None:
    """Write the configuration at `base_path`, with that room only; raises Failure if one of the files is not there."""
    base = load(base_path)
    if not recording.is_file():
        raise Failure(Code.NOT_FOUND, f"there is no recording at {recording}; name one by --recording")
    raw = cast("dict[str, Any]", yaml.safe_load(base_path.read_text(encoding="utf-8")) or {})
    data = room_config(base, raw, room, recording, speed, once=once)
    target.write_text(yaml.safe_dump(data, allow_unicode=True, sort_keys=False), encoding="utf-8")


def check_folder(data: Path) -> None:
    """Raise Failure(BAD_INPUT) if this folder holds a real show's work, which a demo would clear."""
    if (data / "work").exists() and not (data / DEMO).exists():
        raise Failure(Code.BAD_INPUT, f"{data} holds the work of a real show; name another folder by --data")


def choose_port(wanted: Wanted) -> int:
    """The gateway's port; another than people expect is told. Raises Failure(BUSY) if the one they named is taken."""
    if wanted.port:
        services.check_port(brokers.HOST, wanted.port)
    if wanted.port is not None or wanted.once:
        return wanted.port or 0
    for port in range(PORT, PORT + TRIES):
        if brokers.free_port(port) == port:
            if port != PORT:
                tell(f"port {PORT} is taken by another program; the page is at port {port} instead")
            return port
    return 0


async def demo(wanted: Wanted) -> int:
    """Play the recording: once, and 0 only if everything paid for was spoken or taken back; or until it is ended."""
    given = machine()
    data, config = wanted.data.resolve(), shipped(wanted.config or common("onair", given).config_path)
    services.check_extras(services.SERVICES)
    port = choose_port(wanted)
    check_folder(data)
    plan = services.Plan(config=data / DEMO, data=data, machine=given, port=port, debug=wanted.debug)
    async with Family(data, tell) as family:
        write_config(config, data / DEMO, ROOM, shipped(wanted.recording), wanted.speed, once=wanted.once)
        shutil.rmtree(data / "work", ignore_errors=True)
        if not wanted.once:
            await watch(family, plan)
            return DONE
        with Recorder(wanted.out, say) as recorder:
            found = await play(family, plan, recorder)
    report(found, wanted.out)
    return DONE if kept(found["paid"]) else FAILED


@asynccontextmanager
async def on_air(family: Family, plan: services.Plan) -> AsyncGenerator[tuple[Bus, brokers.Urls, str]]:
    """Everything started: the bus, the brokers' URLs, the page's address."""
    services.forget_notes(plan.data)
    tell(f"starting brokers and services; their logs are in {plan.data / 'logs'}")
    urls = await brokers.start(family)
    bus = Bus(urls.work, urls.lives)
    try:
        notes = await services.start(family, plan, urls, services.STAGE)
        address = f"{services.address(plan.host, notes['gateway-1'])}/"
        tell(f"on air; gateway at {address}")
        await services.start(family, plan, urls, ("ingest",))
        yield bus, urls, address
    finally:
        await bus.close()


async def play(family: Family, plan: services.Plan, recorder: Recorder) -> dict[str, Any]:
    """Start everything, record until the show has ended; the summary."""
    async with on_air(family, plan) as (bus, _, _):
        await recorder.follow(Sessions(bus), ROOM)
        return recorder.sum_up(await Show(bus.work).ledger(ROOM))


async def watch(family: Family, plan: services.Plan) -> None:
    """Start everything, show the room until cancelled."""
    # Late, because rich takes a moment to load and a recording needs none of it.
    from onair.live import show  # noqa: PLC0415  see above

    async with on_air(family, plan) as (bus, urls, address):
        say(f"watch and listen: {address}")
        for part in services.parts(plan, urls, [services.JOBS]):  # nobody waits for it: it makes reports when asked
            family.start(part)
        ports = {name: url_port(url) for name, url in (("work", urls.work), ("live", urls.lives[0]))}
        await show(family, Sessions(bus), ROOM, address, ports, say)


def url_port(url: str) -> int:
    """The port in a broker's URL."""
    return urlsplit(url).port or 0


def report(found: dict[str, Any], out: Path) -> None:
    """The summary for people."""
    paid, words = found["paid"], found["first_word_ms"]
    dropped = ", ".join(f"{reason} {count}" for reason, count in sorted(found["dropped"].items())) or "none"
    say("")
    say(f"received {found['received']}, answered {found['answered']}, dropped: {dropped}")
    say(
        f"paid: {paid['received']} received = {paid['spoken']} spoken + {paid['withdrawn']} withdrawn"
        f" + {paid['failed']} failed"
        + ("" if kept(paid) else f" + {paid['received'] - paid['spoken'] - paid['withdrawn'] - paid['failed']} open")
    )
    say(f"first word after {words['p50']} ms (p50), {words['p95']} ms (p95)")
    say(f"{found['turns']} turns, {found['sentences']} sentences, {found['duration_ms'] / 1_000:.1f} s of show")
    say(f"the show is in {out}: show.wav, show.srt, show.jsonl, summary.json")
