"""What the environment says to every service; each service's own settings.py calls this with `os.environ`."""

import os
from collections.abc import Mapping, Sequence
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, ValidationError

from services.contract.failure import Code, Failure
from services.runtime import logs
from services.runtime.config import Config, demo_of, load

HEALTH_PORTS = {"asr": 8101, "llm": 8102, "tts": 8103, "ingest": 8104, "avatar": 8105, "jobs": 8106}
WORK_URL = "redis://127.0.0.1:16379/0"
BROKERS = {"redis", "rediss", "unix"}
"""Schemes of their addresses."""
LIVE_URL = "redis://127.0.0.1:16380/0"


class Common(BaseModel):
    """What every service needs to know of its machine."""

    model_config = ConfigDict(frozen=True)
    service: str
    work_url: str = WORK_URL
    live_urls: tuple[str, ...] = (LIVE_URL,)
    config_path: Path = Path("onair.yaml")
    data: Path = Path("data")
    log_level: str = "INFO"
    debug: bool = False
    demo: str = ""
    """The recording that plays while the configuration names no room."""
    health_host: str = "127.0.0.1"
    health_port: int = 0

    def config(self) -> Config:
        """The configuration; raises Failure(BAD_CONFIG)."""
        config = load(self.config_path)
        for proxy in (config.network.proxy, *config.network.proxies.values()):
            logs.hide_url(proxy)
        return demo_of(config, self.demo) if self.demo and not config.rooms else config


def waits(environ: Mapping[str, str] = os.environ) -> bool:
    """Whether a process that cannot run as it is configured stays, unready, instead of ending: for containers.

    A supervisor that starts it again and again would only repeat what its log said once.
    """
    return flag(environ, "ONAIR_WAIT")


def flag(environ: Mapping[str, str], name: str) -> bool:
    """Whether that is switched on: any word but 0."""
    return environ.get(name, "") not in {"", "0"}


def secret(environ: Mapping[str, str], name: str) -> str:
    """The secret in the file that NAME_FILE names, or else in NAME; '' if neither is set. It appears in no log.

    Raises Failure(BAD_CONFIG), which never repeats it.
    """
    value = environ.get(name, "")
    if path := environ.get(f"{name}_FILE"):
        try:
            value = Path(path).read_text(encoding="utf-8").strip()
        except OSError as error:
            raise Failure(
                Code.BAD_CONFIG, f"{name}_FILE names {path}, which cannot be read: {error.strerror}"
            ) from error
    logs.hide(value)
    if not value.isprintable():
        remedy = "it was cut or pasted wrongly: give it in one line"
        raise Failure(Code.BAD_CONFIG, f"{name} has a line break, or another character that no secret has; {remedy}")
    return value


def number(environ: Mapping[str, str], name: str, default: int, least: int = 0, most: int = 65_535) -> int:
    """A whole number; raises Failure(BAD_CONFIG) that names the variable and what it may be."""
    text = environ.get(name, "")
    if not text:
        return default
    if not text.isdecimal() or not least <= int(text) <= most:
        raise Failure(Code.BAD_CONFIG, f"{name} is {text!r}; it must be a number from {least} to {most}")
    return int(text)


def ports(environ: Mapping[str, str], name: str, default: Sequence[int] = ()) -> tuple[int, ...]:
    """Numbers of ports between commas, each once; raises Failure(BAD_CONFIG) that names the variable."""
    said = [part.strip() for part in environ.get(name, "").split(",") if part.strip()]
    found = [number({name: part}, name, 0, least=1) for part in said] or default
    return tuple(dict.fromkeys(found))


def web(url: str, name: str) -> str:
    """The address of a server, '' for none; raises Failure(BAD_CONFIG) that names where it stands. It may hold a password."""
    if url and not url.startswith(("http://", "https://")):
        example = "http://127.0.0.1:11434/v1"
        raise Failure(Code.BAD_CONFIG, f"{name} must begin with http:// or https://, as {example}")
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        host = None
    if url and not host:
        remedy = "write http://host:port/v1; in a name or a password / is %2F, @ is %40, : is %3A"
        raise Failure(Code.BAD_CONFIG, f"{name} is no address of a server; {remedy}")
    logs.hide_url(url)
    return url


def broker(url: str, name: str) -> str:
    """The address of a broker, which no error repeats; raises Failure(BAD_CONFIG) that names where it stands."""
    try:
        parts = urlsplit(url)
        good, _ = parts.scheme in BROKERS, parts.port
    except ValueError:
        good = False
    if not good:
        remedy = "write redis://:password@host:6379/0; in a password / is %2F, @ is %40, # is %23"
        raise Failure(Code.BAD_CONFIG, f"{name} is no address of a broker; {remedy}")
    return url


def networks(environ: Mapping[str, str], name: str) -> tuple[IPv4Network | IPv6Network, ...]:
    """Networks, separated by commas; raises Failure(BAD_CONFIG) for what is none, and for the whole world."""
    found: list[IPv4Network | IPv6Network] = []
    for text in (each.strip() for each in environ.get(name, "").split(",") if each.strip()):
        try:
            network = ip_network(text)
        except ValueError as error:
            raise Failure(
                Code.BAD_CONFIG, f"{name} names {text!r}, which is no network; write it as 192.168.0.0/16 ({error})"
            ) from error
        if not network.prefixlen:
            raise Failure(Code.BAD_CONFIG, f"{name} names {text!r}, which is everybody; name your own network")
        found.append(network)
    return tuple(found)


def common(service: str, environ: Mapping[str, str]) -> Common:
    """Settings that all services share; raises Failure(BAD_CONFIG)."""
    both = secret(environ, "REDIS_URL")
    work = secret(environ, "WORK_REDIS_URL")
    lives = secret(environ, "LIVE_REDIS_URLS")
    urls = [url.strip() for url in (lives or both or LIVE_URL).split(",") if url.strip()]
    port_name = f"{service.upper()}_HEALTH_PORT"
    try:
        return Common(
            service=service,
            work_url=broker(work or both or WORK_URL, "WORK_REDIS_URL" if work else "REDIS_URL"),
            live_urls=tuple(broker(url, "LIVE_REDIS_URLS" if lives else "REDIS_URL") for url in urls),
            config_path=Path(environ.get("ONAIR_CONFIG", "onair.yaml")),
            data=Path(environ.get("ONAIR_DATA", "data")),
            log_level=environ.get("LOG_LEVEL", "INFO"),
            debug=flag(environ, "ONAIR_DEBUG"),
            demo=environ.get("ONAIR_DEMO", ""),
            health_host=environ.get("HEALTH_HOST", "127.0.0.1"),
            health_port=number(environ, port_name, HEALTH_PORTS.get(service, 0)),
        )
    except ValidationError as error:
        raise Failure(Code.BAD_CONFIG, f"the environment: {error.errors()[0]['msg']}") from error
