"""`onair demo`: plays a recorded room through all services, records the show, says what became of it."""

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

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
    port: int = 0
    speed: float = 1.0
    config: Path | None = None
    debug: bool = False


def shipped(path: Path) -> Path:
    """That path of this folder, else of the project's own."""
    return path.resolve() if path.exists() or path.is_absolute() else HOME / path


def room_config(base: Config, raw: dict[str, Any], room: str, recording: Path, speed: float) -> dict[str, Any]:
    """The configuration with one room only, which plays that recording once."""
    persona = PERSONA if PERSONA in base.personas else next(iter(base.personas), "")
    if not persona:
        raise Failure(Code.BAD_CONFIG, "the configuration has no persona; add one under `personas`")
    replay = {"path": str(recording), "once": True, "speed": speed}
    return {**raw, "rooms": {room: {"persona": persona, "sources": [{"replay": replay}]}}}


def write_config(base_path: Path, target: Path, room: str, recording: Path, speed: float) -> None:
    """Write the configuration at `base_path`, with that room only; raises Failure if one of the files is not there."""
    base = load(base_path)
    if not recording.is_file():
        raise Failure(Code.NOT_FOUND, f"there is no recording at {recording}; name one by --recording")
    raw = cast("dict[str, Any]", yaml.safe_load(base_path.read_text(encoding="utf-8")) or {})
    data = room_config(base, raw, room, recording, speed)
    target.write_text(yaml.safe_dump(data, allow_unicode=True, sort_keys=False), encoding="utf-8")


def check_folder(data: Path) -> None:
    """Raise Failure(BAD_INPUT) if this folder holds a real show's work, which a demo would clear."""
    if (data / "work").exists() and not (data / DEMO).exists():
        raise Failure(Code.BAD_INPUT, f"{data} holds the work of a real show; name another folder by --data")


async def demo(wanted: Wanted) -> int:
    """Play the recording once; 0 only if everything paid for was spoken or taken back by the platform."""
    given = machine()
    data, config = wanted.data.resolve(), shipped(wanted.config or common("onair", given).config_path)
    services.check_extras(services.SERVICES)
    if wanted.port:
        services.check_port("127.0.0.1", wanted.port)
    check_folder(data)
    plan = services.Plan(config=data / DEMO, data=data, machine=given, port=wanted.port, debug=wanted.debug)
    async with Family(data, tell) as family:
        write_config(config, data / DEMO, ROOM, shipped(wanted.recording), wanted.speed)
        shutil.rmtree(data / "work", ignore_errors=True)
        with Recorder(wanted.out, say) as recorder:
            found = await play(family, plan, recorder)
    report(found, wanted.out)
    return DONE if kept(found["paid"]) else FAILED


async def play(family: Family, plan: services.Plan, recorder: Recorder) -> dict[str, Any]:
    """Start everything, record until the show has ended; the summary."""
    services.forget_notes(plan.data)
    tell(f"starting brokers and services; their logs are in {plan.data / 'logs'}")
    urls = await brokers.start(family)
    bus = Bus(urls.work, urls.lives)
    try:
        notes = await services.start(family, plan, urls, services.STAGE)
        tell(f"on air; gateway at {services.address(plan.host, notes['gateway-1'])}")
        await services.start(family, plan, urls, ("ingest",))
        await recorder.follow(Sessions(bus), ROOM)
        return recorder.sum_up(await Show(bus.work).ledger(ROOM))
    finally:
        await bus.close()


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
