"""What the gateway takes from its environment."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from services.contract.failure import Code, Failure
from services.gateway.core.access import Rules
from services.gateway.core.origin import listed
from services.runtime.config import Config
from services.runtime.settings import Common, common, networks, number, ports, secret, web

EXPOSURES = ("", "loopback", "network")
FORMATS = ("mp3", "wav")
TAVUS = "https://tavusapi.com/v2"
_KEY = re.compile(r"[\x21-\x7e]*")


@dataclass(frozen=True)
class TavusSettings:
    """The account at Tavus."""

    key: str = field(default="", repr=False)
    """TAVUS_API_KEY; never logged. Empty: there is none."""
    base_url: str = TAVUS


@dataclass(frozen=True)
class Settings:
    """The machine's part and the configuration."""

    common: Common
    config: Config
    host: str
    port: int
    """0: any free one."""
    rules: Rules
    extra_ports: tuple[int, ...] = ()
    """Where the same is served besides."""
    call_audio: Literal["mp3", "wav"] = "mp3"
    """As what a sentence of a call is sent."""
    tavus: TavusSettings = TavusSettings()
    english_url: str = ""
    """The database of the English partner's rows; '' is a file in ONAIR_DATA."""


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
    audio = environ.get("CALL_AUDIO", "") or "mp3"
    if audio not in FORMATS:
        raise Failure(Code.BAD_CONFIG, f"CALL_AUDIO is {audio!r}; say mp3 or wav")
    return Settings(
        common=machine,
        config=config,
        host=environ.get("GATEWAY_HOST", "") or "127.0.0.1",
        port=number(environ, "GATEWAY_PORT", config.gateway.port),
        extra_ports=ports(environ, "GATEWAY_EXTRA_PORTS", config.gateway.extra_ports),
        rules=Rules(
            token=secret(environ, "ONAIR_TOKEN"),
            loopback=exposed == "loopback",
            origins=listed(environ.get("GATEWAY_ORIGINS", "")),
            open_networks=networks(environ, "GATEWAY_OPEN_NETWORKS"),
        ),
        call_audio="wav" if audio == "wav" else "mp3",
        tavus=tavus(environ),
        english_url=secret(environ, "ENGLISH_DATABASE_URL"),
    )


def tavus(environ: Mapping[str, str]) -> TavusSettings:
    """The account at Tavus; raises Failure(BAD_CONFIG)."""
    key = secret(environ, "TAVUS_API_KEY")
    if not _KEY.fullmatch(key):
        raise Failure(Code.BAD_CONFIG, "TAVUS_API_KEY has characters that no key has; copy it again")
    base_url = web(environ.get("TAVUS_BASE_URL", ""), "TAVUS_BASE_URL") or TAVUS
    return TavusSettings(key, base_url.rstrip("/"))


@dataclass(frozen=True)
class JobsSettings:
    """The machine's part: what a job decides by is read when it begins."""

    common: Common
    tavus: TavusSettings = TavusSettings()


def jobs(environ: Mapping[str, str] = os.environ) -> JobsSettings:
    """Settings of the process that does the gateway's jobs; raises Failure(BAD_CONFIG)."""
    return JobsSettings(common("jobs", environ), tavus(environ))
