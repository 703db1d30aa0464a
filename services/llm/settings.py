"""What llm takes from its environment."""

import os
from dataclasses import dataclass

from services.runtime.config import Config
from services.runtime.settings import Common, common, number, secret, web


@dataclass(frozen=True)
class Settings:
    """The machine's part and the configuration."""

    common: Common
    config: Config
    key: str = ""
    """OPENAI_API_KEY; never logged."""
    base_url: str = ""
    """OPENAI_BASE_URL, else engines.llm.openai.base_url."""
    workers: int = 4
    """LLM_WORKERS: turns that are answered at the same time."""


def read() -> Settings:
    """Settings of this process; raises Failure(BAD_CONFIG)."""
    machine = common("llm", os.environ)
    config = machine.config()
    base_url = web(os.environ.get("OPENAI_BASE_URL", "") or config.engines.openai.base_url, "OPENAI_BASE_URL")
    workers = number(os.environ, "LLM_WORKERS", 4, least=1, most=256)
    return Settings(machine, config, secret(os.environ, "OPENAI_API_KEY"), base_url, workers)
