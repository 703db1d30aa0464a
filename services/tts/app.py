"""Puts tts together: the engines that this worker serves, behind the handlers."""

import secrets
from collections.abc import Sequence

from services.runtime.bus import Bus
from services.runtime.delivery import Delivery
from services.runtime.service import Service, forever
from services.runtime.sessions import Sessions
from services.runtime.work import Work
from services.tts.adapters.espeak import Espeak
from services.tts.adapters.scripted import Scripted
from services.tts.core.ports import Engine, Voice
from services.tts.handlers.janitor import Janitor, Pools
from services.tts.handlers.speak import Desk, attach
from services.tts.settings import Settings

EVERY_S = 1.0


def build(settings: Settings) -> Service:
    """The service; raises Failure(BAD_CONFIG) for a voice that an engine cannot have."""
    bus = Bus(settings.common.work_url, settings.common.live_urls)
    work = Work(bus.work)
    engines = [make_engine(name, settings) for name in settings.engines]
    known = {name: voice.engines for name, voice in settings.config.voices.items()}
    named = {name for voice in known.values() for engine in voice for name in engine}
    pools = Pools(bus.work, f"tts-{secrets.token_hex(4)}", sorted(named | set(settings.engines)))
    desk = Desk(work, Sessions(bus), known, pools.living)
    delivery = Delivery(bus, work, "tts")
    for engine in engines:
        attach(delivery, desk, engine, settings.workers)
    janitor = Janitor(desk, pools, settings.engines)

    async def beat() -> None:
        await pools.beat(engines)

    async def able() -> str:
        """'' if one of the engines can speak; a voice whose own cannot is spoken by its next."""
        said = [await engine.check() for engine in engines]
        return "" if "" in said else "; ".join(said)

    return Service(
        settings.common,
        bus,
        delivery,
        loops=[lambda: forever(beat, EVERY_S), lambda: forever(janitor.sweep, EVERY_S)],
        checks={"engines": able},
        warns={f"engine {engine.name}": engine.check for engine in engines},
        closers=[engine.close for engine in engines],
    )


def make_engine(name: str, settings: Settings) -> Engine:
    """The engine of that pool; raises Failure(BAD_CONFIG) for a voice whose settings it does not understand."""
    if name == "scripted":
        return Scripted()
    voices = [
        Voice(voice, engine[name])
        for voice, wanted in settings.config.voices.items()
        for engine in wanted.engines
        if name in engine
    ]
    return Espeak(voices) if name == "espeak" else make_openai(voices, settings)


def make_openai(voices: Sequence[Voice], settings: Settings) -> Engine:
    """The OpenAI-compatible endpoint."""
    # Late, because its client takes a second and 30 MB to load, and not everybody has such an endpoint.
    from services.tts.adapters.openai import OFFICIAL, OpenAISpeech, Options  # noqa: PLC0415  see above

    options, proxy = settings.config.engines.speaking, settings.config.network.proxy_of("openai")
    return OpenAISpeech(
        Options(
            options.model,
            settings.key,
            settings.base_url or OFFICIAL,
            proxy,
            format=options.format,
            sound_s=options.timeout,
        ),
        voices,
    )
