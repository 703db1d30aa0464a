"""Puts llm together: the model that the configuration names, behind the handlers."""

import structlog

from services.contract.failure import Code, Failure
from services.llm.adapters.openai import OFFICIAL, OpenAIModel, Options
from services.llm.adapters.scripted import ScriptedModel
from services.llm.core.ports import Model
from services.llm.handlers.answers import attach
from services.llm.handlers.desk import Desk
from services.llm.settings import Settings
from services.runtime.bus import Bus
from services.runtime.delivery import Delivery
from services.runtime.service import Service
from services.runtime.sessions import Sessions
from services.runtime.work import Work

log = structlog.get_logger(__name__)


def build(settings: Settings) -> Service:
    """The service; raises Failure(BAD_CONFIG) for a model that cannot be.

    It works without its model, too: what a template says by itself is spoken.
    """
    bus = Bus(settings.common.work_url, settings.common.live_urls)
    work, model = Work(bus.work), make_model(settings)
    delivery = Delivery(bus, work, "llm")
    attach(delivery, Desk(bus, work, Sessions(bus), model, settings.config), settings.workers)
    return Service(settings.common, bus, delivery, warns={f"model {model.name}": model.check}, closers=[model.close])


def make_model(settings: Settings) -> Model:
    """The OpenAI-compatible endpoint if there is a key or an address, otherwise the script."""
    engines, options = settings.config.engines, settings.config.engines.openai
    if "scripted" in engines.llm or not (settings.key or settings.base_url):
        if "openai" in engines.llm:
            log.warning("answers are scripted: for a model set OPENAI_API_KEY, or OPENAI_BASE_URL for one of your own")
        return ScriptedModel()
    if not options.model:
        raise Failure(Code.BAD_CONFIG, "engines.llm.openai.model is empty: name the model that shall answer")
    return OpenAIModel(
        Options(
            model=options.model,
            key=settings.key,
            base_url=settings.base_url or OFFICIAL,
            proxy=settings.config.network.proxy_of("openai"),
            token_s=options.timeout,
            room_s=options.room_timeout,
        )
    )
