"""What asr takes from its environment."""

import os
from collections.abc import Mapping
from dataclasses import dataclass

from services.runtime.config import Config
from services.runtime.settings import Common, common, number


@dataclass(frozen=True)
class Settings:
    """The machine's part and the configuration."""

    common: Common
    config: Config
    workers: int = 1
    """ASR_WORKERS: clips that are recognised at the same time."""


def read(environ: Mapping[str, str] = os.environ) -> Settings:
    """Settings of this process; raises Failure(BAD_CONFIG)."""
    machine = common("asr", environ)
    return Settings(machine, machine.config(), number(environ, "ASR_WORKERS", 1, least=1, most=64))
