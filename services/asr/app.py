"""Puts asr together: the ears that the configuration names, behind the handlers."""

from typing import cast

import structlog

from services.asr.adapters.offline import Offline, SileroDetector
from services.asr.adapters.scripted import Scripted, ScriptedDetector
from services.asr.adapters.soxr import resample
from services.asr.core.patience import Rule
from services.asr.core.ports import Recogniser
from services.asr.handlers import calls, clips
from services.asr.handlers.call import Ears
from services.asr.handlers.calls import Calls
from services.asr.handlers.clips import Desk
from services.asr.settings import Settings
from services.contract import streams
from services.contract.failure import Code, Failure
from services.runtime.attend import Attend
from services.runtime.bus import Bus
from services.runtime.delivery import Delivery
from services.runtime.mic import Mic
from services.runtime.service import Service
from services.runtime.sessions import Sessions
from services.runtime.work import Work

log = structlog.get_logger(__name__)


def build(settings: Settings) -> Service:
    """The service."""
    bus = Bus(settings.common.work_url, settings.common.live_urls)
    work, sessions, recogniser = Work(bus.work), Sessions(bus), make_recogniser(settings)
    detector = ScriptedDetector if isinstance(recogniser, Scripted) else SileroDetector

    async def clip(session: str) -> bytes | None:
        return cast("bytes | None", await bus.live(session).get(streams.CLIP.of(session)))

    delivery = Delivery(bus, work, "asr")
    clips.attach(delivery, Desk(work, sessions, clip, detector, recogniser, resample), settings.workers)
    wanted = settings.config.asr
    rule, ahead = Rule(wanted.end_of_turn_ms, wanted.adaptive), wanted.ahead and recogniser.parallel
    ears = Ears(sessions, Mic(bus), detector, recogniser, rule, ahead)
    attended = Calls(work, ears, lambda session: Attend(bus.work, session, delivery.me), settings.calls)
    calls.attach(delivery, attended)
    return Service(
        settings.common,
        bus,
        delivery,
        loops=[attended.run],
        checks={f"recogniser {recogniser.name}": recogniser.check},
        closers=[recogniser.close],
    )


def make_recogniser(settings: Settings) -> Recogniser:
    """The recogniser that `engines.asr` names; offline if it names none."""
    wanted = settings.config.engines.asr
    if "scripted" in wanted:
        return Scripted([str(text) for text in wanted["scripted"].get("texts", [])])
    if "openai" in wanted:
        return make_openai(settings)
    log.warning("speech is recognised offline: English only, experimental")
    return Offline()


def make_openai(settings: Settings) -> Recogniser:
    """The OpenAI-compatible endpoint; raises Failure(BAD_CONFIG) where no model is named."""
    # Late, because its client takes a second and 30 MB to load, and not everybody has such an endpoint.
    from services.asr.adapters.openai import OFFICIAL, OpenAIEars, Options  # noqa: PLC0415  see above

    options = settings.config.engines.hearing
    if not options.model:
        what = "engines.asr.openai.model is empty: name the model that shall listen, as whisper-1"
        raise Failure(Code.BAD_CONFIG, what)
    proxy = settings.config.network.proxy_of("openai")
    return OpenAIEars(
        Options(options.model, settings.key, settings.base_url or OFFICIAL, proxy, total_s=options.timeout)
    )
