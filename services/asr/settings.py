"""What asr takes from its environment."""

import os
from collections.abc import Mapping
from dataclasses import dataclass

from services.runtime.config import Config
from services.runtime.settings import Common, common, number, secret, web


@dataclass(frozen=True)
class Settings:
    """The machine's part and the configuration."""

    common: Common
    config: Config
    workers: int = 1
    """ASR_WORKERS: clips that are recognised at the same time."""
    key: str = ""
    """ASR_OPENAI_API_KEY, else OPENAI_API_KEY; never logged."""
    base_url: str = ""
    """engines.asr.openai.base_url, else OPENAI_BASE_URL."""
    calls: int = 16
    """ASR_CALLS: calls that are attended at the same time."""


def read(environ: Mapping[str, str] = os.environ) -> Settings:
    """Settings of this process; raises Failure(BAD_CONFIG)."""
    machine = common("asr", environ)
    config = machine.config()
    base_url = web(config.engines.hearing.base_url or environ.get("OPENAI_BASE_URL", ""), "engines.asr.openai.base_url")
    key = secret(environ, "ASR_OPENAI_API_KEY") or secret(environ, "OPENAI_API_KEY")
    workers = number(environ, "ASR_WORKERS", 1, least=1, most=64)
    return Settings(machine, config, workers, key, base_url, number(environ, "ASR_CALLS", 16, least=1, most=256))
