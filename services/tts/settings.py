"""What tts takes from its environment."""

import os
from collections.abc import Mapping
from dataclasses import dataclass

from services.contract.failure import Code, Failure
from services.runtime.config import Config
from services.runtime.engines import TTS_ENGINES
from services.runtime.settings import Common, common, number, secret, web


@dataclass(frozen=True)
class Settings:
    """The machine's part and the configuration."""

    common: Common
    config: Config
    engines: tuple[str, ...] = ("espeak",)
    """TTS_ENGINES: the pools that this worker serves."""
    workers: int = 2
    """TTS_WORKERS: sentences that each engine speaks at the same time."""
    key: str = ""
    """TTS_OPENAI_API_KEY, else OPENAI_API_KEY; never logged."""
    base_url: str = ""
    """engines.tts.openai.base_url, else OPENAI_BASE_URL."""


def read(environ: Mapping[str, str] = os.environ) -> Settings:
    """Settings of this process; raises Failure(BAD_CONFIG)."""
    machine = common("tts", environ)
    named = tuple(name.strip() for name in environ.get("TTS_ENGINES", "espeak").split(",") if name.strip())
    if not named or not set(named) <= set(TTS_ENGINES):
        wrong = ", ".join(sorted(set(named) - set(TTS_ENGINES))) or "none"
        raise Failure(Code.BAD_CONFIG, f"TTS_ENGINES names {wrong}; known: {', '.join(TTS_ENGINES)}")
    config = machine.config()
    base_url = web(
        config.engines.speaking.base_url or environ.get("OPENAI_BASE_URL", ""), "engines.tts.openai.base_url"
    )
    key = secret(environ, "TTS_OPENAI_API_KEY") or secret(environ, "OPENAI_API_KEY")
    return Settings(machine, config, named, number(environ, "TTS_WORKERS", 2, least=1, most=64), key, base_url)
