"""`onair up`: brokers and services of this machine, until it is told to stop."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from onair import brokers, services
from onair.drive import tell
from onair.environment import machine
from onair.processes import Family
from services.contract.failure import Code, Failure
from services.runtime import config as configuration
from services.runtime.config import Config
from services.runtime.settings import common, number, secret

DEMO = "demo.yaml"
"""A data folder with this file is a demo's, which clears it at each start."""


@dataclass(frozen=True)
class Wanted:
    """What the command line asked for; None and empty: the environment, the configuration or the default says."""

    port: int | None = None
    host: str = ""
    data: Path | None = None
    config: Path | None = None
    scale: Sequence[str] = ()
    debug: bool = False


def settle(wanted: Wanted, given: Mapping[str, str]) -> tuple[services.Plan, Config]:
    """The plan and the configuration it rests on; raises Failure for everything that can be known to be wrong."""
    ours = common("onair", given)
    path = wanted.config or ours.config_path
    config = load(path)
    port = number(given, "GATEWAY_PORT", config.gateway.port) if wanted.port is None else wanted.port
    plan = services.Plan(
        config=path.resolve(),
        data=(wanted.data or ours.data).resolve(),
        machine=given,
        host=wanted.host or given.get("GATEWAY_HOST", "") or "127.0.0.1",
        port=port,
        scale=services.parse_scale(wanted.scale),
        debug=wanted.debug or ours.debug,
    )
    return plan, config


def load(path: Path) -> Config:
    """The configuration; raises Failure(BAD_CONFIG) which names file and line, or how to give one."""
    if not path.is_file():
        raise Failure(Code.BAD_CONFIG, f"there is no configuration at {path}; name one by --config or ONAIR_CONFIG")
    return configuration.load(path)


def keep_out(data: Path) -> None:
    """Raise Failure(BAD_INPUT) if this data folder is a demo's: what is put there would not be kept."""
    if (data / DEMO).exists():
        raise Failure(Code.BAD_INPUT, f"{data} belongs to the demo, which clears it; name another folder by --data")


async def up(wanted: Wanted) -> int:
    """Start everything, print the address, keep it running; ends by cancellation or by a Failure."""
    given = machine()
    plan, config = settle(wanted, given)
    services.check_extras(services.SERVICES)
    services.check_port(plan.host, plan.port)
    keep_out(plan.data)
    lives = tuple(filter(None, (secret(given, "LIVE_REDIS_URLS") or secret(given, "REDIS_URL")).split(",")))
    async with Family(plan.data, tell) as family:
        services.forget_notes(plan.data)
        tell(f"starting brokers and services; their logs are in {plan.data / 'logs'}")
        urls = await brokers.start(
            family, work=secret(given, "WORK_REDIS_URL") or secret(given, "REDIS_URL"), lives=lives
        )
        notes = await services.start(family, plan, urls, (*services.STAGE, services.JOBS))
        await services.start(family, plan, urls, ("ingest",))
        rooms = ", ".join(config.rooms) or "none is configured"
        tell(f"rooms on air: {rooms}")
        print(f"ready {services.address(plan.host, notes['gateway-1'])}", flush=True)
        return await asyncio.get_running_loop().create_future()
