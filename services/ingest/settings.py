"""What ingest takes from its environment."""

import os
from dataclasses import dataclass

from services.runtime.config import Config
from services.runtime.settings import Common, common


@dataclass(frozen=True)
class Settings:
    """The machine's part and the configuration."""

    common: Common
    config: Config


def read() -> Settings:
    """Settings of this process; raises Failure(BAD_CONFIG)."""
    machine = common("ingest", os.environ)
    return Settings(machine, machine.config())
