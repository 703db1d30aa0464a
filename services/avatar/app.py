"""Puts the avatar together: a puppet for each room."""

from services.avatar.adapters.scripted import Scripted
from services.avatar.core.ports import Puppet
from services.avatar.handlers import Player
from services.avatar.settings import Settings
from services.contract.failure import Code, Failure
from services.runtime.bus import Bus
from services.runtime.config import Config
from services.runtime.service import Service
from services.runtime.sessions import Sessions

KNOWN = ("scripted",)


def build(settings: Settings) -> Service:
    """The service; raises Failure(BAD_CONFIG) for a puppet that is not known."""
    names = settings.config.avatar or {KNOWN[0]: {}}
    if wrong := sorted(set(names) - set(KNOWN)):
        raise Failure(Code.BAD_CONFIG, f"avatar: unknown puppet {wrong[0]!r}; known: {', '.join(KNOWN)}")
    bus = Bus(settings.common.work_url, settings.common.live_urls)
    service = Service(settings.common, bus)
    for room, puppet in puppets(settings.config).items():
        service.loops.append(Player(Sessions(bus), room, puppet).run)
        service.checks[f"puppet of {room}"] = puppet.check
        service.closers.append(puppet.close)
    return service


def puppets(config: Config) -> dict[str, Puppet]:
    """Room → its puppet."""
    return {room: Scripted(room) for room in config.rooms}
