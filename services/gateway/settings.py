"""What the gateway takes from its environment."""

import os
from collections.abc import Mapping
from dataclasses import dataclass

from services.contract.failure import Code, Failure
from services.gateway.core.access import Rules
from services.gateway.core.origin import listed
from services.runtime.config import Config
from services.runtime.settings import Common, common, networks, number, secret

EXPOSURES = ("", "loopback", "network")


@dataclass(frozen=True)
class Settings:
    """The machine's part and the configuration."""

    common: Common
    config: Config
    host: str
    port: int
    """0: any free one."""
    rules: Rules


def read(environ: Mapping[str, str] = os.environ) -> Settings:
    """Settings of this process; raises Failure(BAD_CONFIG)."""
    machine = common("gateway", environ)
    config = machine.config()
    exposed = environ.get("GATEWAY_EXPOSED", "")
    if exposed not in EXPOSURES:
        raise Failure(
            Code.BAD_CONFIG,
            f"GATEWAY_EXPOSED is {exposed!r}; say loopback if the port is published on 127.0.0.1 only, else network",
        )
    return Settings(
        common=machine,
        config=config,
        host=environ.get("GATEWAY_HOST", "") or "127.0.0.1",
        port=number(environ, "GATEWAY_PORT", config.gateway.port),
        rules=Rules(
            token=secret(environ, "ONAIR_TOKEN"),
            loopback=exposed == "loopback",
            origins=listed(environ.get("GATEWAY_ORIGINS", "")),
            open_networks=networks(environ, "GATEWAY_OPEN_NETWORKS"),
        ),
    )


@dataclass(frozen=True)
class JobsSettings:
    """The machine's part: what a job decides by is read when it begins."""

    common: Common


def jobs(environ: Mapping[str, str] = os.environ) -> JobsSettings:
    """Settings of the process that does the gateway's jobs; raises Failure(BAD_CONFIG)."""
    return JobsSettings(common("jobs", environ))
