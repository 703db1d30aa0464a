"""What the avatar takes from its environment."""

import os
from collections.abc import Mapping
from dataclasses import dataclass

from services.runtime.config import Config
from services.runtime.settings import Common, common


@dataclass(frozen=True)
class Settings:
    """The machine's part and the configuration."""

    common: Common
    config: Config


def read(environ: Mapping[str, str] = os.environ) -> Settings:
    """Settings of this process; raises Failure(BAD_CONFIG)."""
    machine = common("avatar", environ)
    return Settings(machine, machine.config())
