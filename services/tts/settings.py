"""What tts takes from its environment."""

import os
from collections.abc import Mapping
from dataclasses import dataclass

from services.contract.failure import Code, Failure
from services.runtime.config import TTS_ENGINES, Config
from services.runtime.settings import Common, common, number


@dataclass(frozen=True)
class Settings:
    """The machine's part and the configuration."""

    common: Common
    config: Config
    engines: tuple[str, ...] = ("espeak",)
    """TTS_ENGINES: the pools that this worker serves."""
    workers: int = 2
    """TTS_WORKERS: sentences that each engine speaks at the same time."""


def read(environ: Mapping[str, str] = os.environ) -> Settings:
    """Settings of this process; raises Failure(BAD_CONFIG)."""
    machine = common("tts", environ)
    named = tuple(name.strip() for name in environ.get("TTS_ENGINES", "espeak").split(",") if name.strip())
    if not named or not set(named) <= set(TTS_ENGINES):
        wrong = ", ".join(sorted(set(named) - set(TTS_ENGINES))) or "none"
        raise Failure(Code.BAD_CONFIG, f"TTS_ENGINES names {wrong}; known: {', '.join(TTS_ENGINES)}")
    return Settings(machine, machine.config(), named, number(environ, "TTS_WORKERS", 2, least=1, most=64))
