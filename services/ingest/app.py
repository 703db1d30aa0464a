"""Puts ingest together: a director for each room, with the sources that the configuration names; conversations of Daily."""

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from services.contract.failure import Code, Failure
from services.ingest.adapters.daily import DailyConversations
from services.ingest.adapters.replay import Replay
from services.ingest.adapters.spool import SqliteSpool
from services.ingest.core.policy import Policy
from services.ingest.core.ports import Source
from services.ingest.core.requests import Cast
from services.ingest.handlers import conversations
from services.ingest.handlers.answers import Answers, Voice
from services.ingest.handlers.conversations import Meetings
from services.ingest.handlers.keeper import Keeper
from services.ingest.handlers.room import Desk
from services.ingest.handlers.standby import direct
from services.ingest.settings import Settings
from services.runtime.archive import Archive
from services.runtime.bus import Bus
from services.runtime.config import Config, Direction, seconds
from services.runtime.delivery import Delivery
from services.runtime.line import Line
from services.runtime.service import Service
from services.runtime.sessions import Sessions
from services.runtime.show import Show
from services.runtime.wanted import Stay
from services.runtime.work import Work

MOST = 32
"""Conversations of Daily that one process is in."""


class ReplayOptions(BaseModel):
    """Options of the source `replay`."""

    model_config = ConfigDict(extra="forbid")
    path: Path
    speed: float = Field(default=1, gt=0, le=1_000)
    once: bool = False


def build(settings: Settings) -> Service:
    """The service; raises Failure(BAD_CONFIG) for a source whose options are wrong."""
    bus = Bus(settings.common.work_url, settings.common.live_urls)
    desk = Desk(Show(bus.work), Archive(bus.work), Work(bus.work), Sessions(bus))
    spool = SqliteSpool(settings.common.data)
    keeper = Keeper(desk.show, desk.sessions, spool)
    delivery = Delivery(bus, desk.work, "ingest")
    meetings = meetings_of(settings.config, bus, desk, delivery.me)
    conversations.attach(delivery, meetings)
    loops: list[Callable[[], Awaitable[None]]] = [keeper.replay, meetings.run]
    for name in settings.config.rooms:
        given = settings.config.rooms[name].sources
        make_sources(given)
        loops.append(
            partial(direct, cast_of(settings.config, name), desk, keeper, partial(make_sources, given), bus.healed)
        )
    return Service(settings.common, bus, delivery, loops=loops, warns={"spool": keeper.warning}, closers=[spool.close])


def meetings_of(config: Config, bus: Bus, desk: Desk, me: str) -> Meetings:
    """The conversations of Daily that this process joins. The SDK is loaded when the first one is."""
    place = DailyConversations(config.daily.domain, config.network.proxy_of("daily"))

    def answering(line: Line, conversation: str) -> Answers | None:
        if not config.daily.answer:
            return None
        persona = config.personas[config.answers_daily]
        voice = Voice(config.answers_daily, persona.language, config.daily.by)
        return Answers(bus.work, desk.sessions, line, conversation, voice)

    return Meetings(desk.work, desk.sessions, lambda session: Stay(bus.work, session, me), MOST, place, answering)


def cast_of(config: Config, room: str) -> Cast:
    """Who is on air in that room."""
    persona = config.personas[config.rooms[room].persona]
    return Cast(
        room=room,
        persona=config.rooms[room].persona,
        voice=persona.voice,
        language=persona.language,
        spoken=persona.spoken,
        templates={kind: template.model_dump(exclude_unset=True) for kind, template in persona.templates.items()},
        policy=policy_of(config.rooms[room].director),
    )


def policy_of(direction: Direction) -> Policy:
    """The director's figures, in milliseconds."""
    limits = direction.deadlines
    return Policy(
        chat_lane=direction.chat_lane,
        welcome_lane=direction.welcome_lane,
        paid_deadline_ms=int(seconds(limits.paid) * 1_000),
        chat_deadline_ms=int(seconds(limits.chat) * 1_000),
        welcome_deadline_ms=int(seconds(limits.welcome) * 1_000),
        chat_every=direction.chat_every,
    )


def make_sources(given: Sequence[dict[str, Any]]) -> list[Source]:
    """The sources that the configuration names; `api` has none of its own, its events come to the lanes by POST."""
    return [_replay(source["replay"]) for source in given if "replay" in source]


def _replay(options: object) -> Source:
    try:
        found = ReplayOptions.model_validate({"path": options} if isinstance(options, str) else options)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise Failure(Code.BAD_CONFIG, f"source replay: {where}: {first['msg']}") from error
    return Replay(found.path, speed=found.speed, once=found.once)
