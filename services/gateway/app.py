"""Puts the gateway together: its routes, its port, its server."""

import asyncio
import errno
import socket
from collections.abc import Generator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial

import structlog
import uvicorn
from fastapi import APIRouter, FastAPI

from services.contract.failure import Code, Failure
from services.gateway.adapters import files, mp3
from services.gateway.adapters.disk import Shelf, Tapes
from services.gateway.adapters.rows import SqlRows
from services.gateway.adapters.rq import Rq
from services.gateway.adapters.tavus import Options, TavusApi
from services.gateway.adapters.uvicorn import protocols
from services.gateway.api import (
    asr,
    call,
    chat,
    console,
    english,
    events,
    health,
    listener,
    pages,
    reports,
    stage,
    tavus,
    tickets,
    users,
)
from services.gateway.api.console import Booth
from services.gateway.api.cors import Cors
from services.gateway.api.guard import Guard
from services.gateway.api.http import on_failure
from services.gateway.api.teacher import Teacher
from services.gateway.core.access import Rules, may_listen
from services.gateway.core.backchannel import Backchannels
from services.gateway.core.call_words import Menu
from services.gateway.core.caps import Caps
from services.gateway.core.ports import Desk, Tickets
from services.gateway.handlers.call import BusExchange
from services.gateway.handlers.conversations import BusConversations
from services.gateway.handlers.desk import BusDesk
from services.gateway.handlers.hands import BusHands
from services.gateway.handlers.panel import BusPanel
from services.gateway.handlers.tavus import TavusConversations
from services.gateway.handlers.tickets import BusTickets
from services.gateway.settings import Settings
from services.runtime.bus import Bus
from services.runtime.config import Config
from services.runtime.health import Health
from services.runtime.service import Service
from services.runtime.sound import write_wav

log = structlog.get_logger(__name__)
GRACE_S = 2
"""A stop waits so long for answers that are being streamed, then cuts them short."""
UPLINK_BYTES = 128 * 1_024
"""Of a WebSocket message: more than a frame of a call may have, whose sender is told so."""
PING_S = 10.0
"""A WebSocket is asked so often whether its client is there, who has as long to answer."""
SPARE_CONNECTIONS = 32
"""Connections to a broker besides one for each session that is followed."""
SPARE_FILES = 256
"""Open files besides connections: the log, the port, what is read and written."""


def build(settings: Settings, caps: Caps | None = None) -> Service:
    """The service, its port taken; raises Failure(BAD_CONFIG) that names the remedy."""
    caps = caps or Caps()
    may_listen(settings.host, settings.rules)
    persona = _persona(settings.config)
    bus = Bus(settings.common.work_url, settings.common.live_urls)
    followed = caps.streams + caps.clips + caps.calls + SPARE_CONNECTIONS
    for redis in (bus.work, *bus.lives):
        redis.connection_pool.max_connections = followed
    _allow_files(caps.connections + followed * (1 + len(bus.lives)) + SPARE_FILES)
    rows = SqlRows(settings.english_url, settings.common.data)
    sockets = listen_all(settings.host, settings.port, settings.extra_ports)
    _tell_open(settings.rules)
    service = Service(settings.common, bus, note={"port": int(sockets[0].getsockname()[1])})
    rooms, pools = tuple(settings.config.rooms), _pools(settings.config)
    jobs = Rq(settings.common.work_url)
    booth = Booth(BusPanel(bus, rooms, pools), BusHands(bus, rooms), settings.rules, jobs)
    desk = BusDesk(bus)
    app = web(desk, service.health, persona, settings.rules, caps, rooms, booth, BusTickets(bus))
    app.include_router(listeners(bus, caps, rooms))
    app.include_router(reports.router(jobs, Shelf(settings.common.data), caps, _languages(settings.config)))
    app.include_router(_tavus(service, booth, settings, caps))
    app.include_router(lessons(Teacher(desk, rows, Tapes(settings.common.data), caps), settings.rules))
    app.include_router(calls(bus, caps, settings.config, settings.call_audio))
    service.warns["rows"] = rows.check
    service.closers += [jobs.close, rows.close]
    service.loops.append(partial(serve, app, sockets, caps, settings.rules))
    return service


def web(
    desk: Desk,
    state: Health,
    persona: str,
    rules: Rules,
    caps: Caps,
    rooms: Sequence[str] = (),
    booth: Booth | None = None,
    passes: Tickets | None = None,
) -> FastAPI:
    """The routes behind their door; with a booth also those of the console."""
    app = FastAPI(title="OnAir", docs_url=None, redoc_url=None)
    app.add_exception_handler(Failure, on_failure)
    app.add_middleware(Guard, rules=rules, tickets=passes)
    app.add_middleware(Cors, rules=rules)
    shows = (stage.router(desk, caps, rooms), events.router(desk, caps, rooms), pages.router(rooms))
    for routes in (asr.router(desk, caps), chat.router(desk, caps, persona), *shows, health.router(state)):
        app.include_router(routes)
    if booth:
        app.include_router(console.router(booth, caps))
    if passes:
        app.include_router(tickets.router(passes))
    return app


def lessons(teacher: Teacher, rules: Rules) -> APIRouter:
    """The routes of the English partner, and of its users' tokens."""
    routes = APIRouter()
    routes.include_router(english.router(teacher, rules))
    routes.include_router(users.router(rules))
    return routes


def listeners(bus: Bus, caps: Caps, rooms: Sequence[str]) -> APIRouter:
    """The routes of who listens to a room, or to a conversation of Daily."""
    return listener.router(BusDesk(bus), BusConversations(bus, caps.conversations), caps, frozenset(rooms))


def calls(bus: Bus, caps: Caps, config: Config, audio: str = "mp3") -> APIRouter:
    """The routes of calls, which come last: they take every WebSocket path that is nobody else's."""
    personas = {name: persona.language for name, persona in config.personas.items()}
    persona = config.gateway.persona
    opens = {name: persona.opens for name, persona in config.personas.items() if persona.opens}
    menu = Menu(personas, tuple(sorted(config.voices)), persona, Backchannels(config.gateway.backchannels), opens)
    choices = {
        "voices": menu.voices,
        "personas": [
            {"name": name, "language": language, "opens": opens.get(name, "")}
            for name, language in sorted(personas.items())
        ],
        "languages": sorted({"en", "zh", *personas.values()}),
        "persona": persona,
        "voice": config.personas[persona].voice,
        "asr": {"engine": next(iter(config.engines.asr), "offline")},
    }
    encode = mp3.encode if audio == "mp3" else write_wav
    return call.router(BusExchange(bus), caps, menu, encode, choices)


def _tavus(service: Service, booth: Booth, settings: Settings, caps: Caps) -> APIRouter:
    """The routes of Tavus; where there is a key, what was created is ended with the last gateway."""
    config, account = settings.config, settings.tavus
    prompts = {name: persona.prompt_in(persona.language) for name, persona in config.personas.items()}
    if not account.key:
        return tavus.router(None, booth, caps, prompts)
    api = TavusApi(Options(account.key, account.base_url, config.network.proxy_of("tavus")))
    conversations = TavusConversations(service.bus.work, api)
    service.loops.append(partial(conversations.until_the_end, service.alone))
    service.closers.append(api.close)
    return tavus.router(tavus.Studio(conversations, api), booth, caps, prompts)


def _pools(config: Config) -> tuple[str, ...]:
    """Every engine that a voice names."""
    return tuple(sorted({name for voice in config.voices.values() for engine in voice.engines for name in engine}))


def _persona(config: Config) -> str:
    """Who answers chats; raises Failure(BAD_CONFIG) if nobody has that name."""
    name = config.gateway.persona
    if name not in config.personas:
        known = ", ".join(sorted(config.personas)) or "none"
        raise Failure(Code.BAD_CONFIG, f"gateway.persona is {name!r}, who is not among the personas; known: {known}")
    return name


def _languages(config: Config) -> dict[str, str]:
    """Room → the language of who is on air there."""
    return {name: config.personas[room.persona].language for name, room in config.rooms.items()}


def _allow_files(need: int) -> None:
    if (may := files.allow(need)) < need:
        remedy = f"raise the limit of open files (ulimit -Hn, LimitNOFILE) to {need}"
        log.warning("fewer connections than wanted can be open", files=may, wanted=need, remedy=remedy)


def _tell_open(rules: Rules) -> None:
    if rules.open_networks:
        names = ", ".join(map(str, rules.open_networks))
        log.warning(
            "clients come in without a token", networks=names, remedy="empty GATEWAY_OPEN_NETWORKS to close them"
        )


def listen_all(host: str, port: int, extra: Sequence[int]) -> list[socket.socket]:
    """The port and those besides it, all of them taken or none; raises as `listen`."""
    with ExitStack() as opened:
        listeners = [opened.enter_context(listen(host, port))]
        taken = listeners[0].getsockname()[1]
        listeners += [
            opened.enter_context(listen(host, other, "GATEWAY_EXTRA_PORTS")) for other in extra if other != taken
        ]
        opened.pop_all()
    return listeners


def listen(host: str, port: int, variable: str = "GATEWAY_PORT") -> socket.socket:
    """The port, taken; raises Failure(BAD_CONFIG) that says why it cannot be had and what to do."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family)
    except OSError as error:
        raise Failure(Code.BAD_CONFIG, _why(host, port, variable, error)) from error


def _why(host: str, port: int, variable: str, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"port {port} on {host} is taken by another program: end it, or choose another port with {variable}"
    if error.errno == errno.EACCES:
        return f"port {port} needs privileges: choose one above 1023 with {variable}"
    return f"cannot listen on {host} port {port} ({error.strerror or error}): set GATEWAY_HOST to an address of this machine"


class Server(uvicorn.Server):
    """A server that leaves signals to the service it is part of."""

    @contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Take none."""
        yield


async def serve(
    app: FastAPI, listeners: list[socket.socket], caps: Caps | None = None, rules: Rules | None = None
) -> None:
    """Serve until cancelled; answers in the making then have `GRACE_S` to end."""
    caps = caps or Caps()
    config = uvicorn.Config(
        app,
        **protocols(caps, rules or Rules()),
        lifespan="off",
        ws_max_size=UPLINK_BYTES,
        ws_per_message_deflate=False,
        ws_ping_interval=PING_S,
        ws_ping_timeout=PING_S,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=GRACE_S,
    )
    server = Server(config)
    task = asyncio.ensure_future(server.serve(sockets=listeners))
    try:
        await asyncio.shield(task)
    finally:
        server.should_exit = True
        await task
        if server.server_state.tasks:
            await asyncio.wait(server.server_state.tasks, timeout=GRACE_S)
