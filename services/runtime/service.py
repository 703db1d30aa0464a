"""How a service runs: one process from its settings to its drain."""

import asyncio
import gc
import json
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn, Protocol, TypeVar

import structlog
import uvloop

from services.contract.failure import Code, Failure
from services.runtime import janitor, logs, settings
from services.runtime.bus import Bus
from services.runtime.delivery import Delivery
from services.runtime.health import Health, listen
from services.runtime.presence import DRAIN, Presence
from services.runtime.settings import Common
from services.runtime.trouble import TROUBLE, tell

log = structlog.get_logger(__name__)
CHECK_S = 1.0
USAGE = 2
"""Exit code: wrong use or configuration."""


class Settings(Protocol):
    """What every service's own settings hold."""

    @property
    def common(self) -> Common:
        """The part that all services share."""
        ...


S = TypeVar("S", bound=Settings)


@dataclass
class Service:
    """What `app.build` puts together."""

    common: Common
    bus: Bus
    delivery: Delivery | None = None
    loops: list[Callable[[], Awaitable[None]]] = field(default_factory=list[Callable[[], Awaitable[None]]])
    """Run from start to drain; one that ends by itself ends the service."""
    checks: dict[str, Callable[[], Awaitable[str]]] = field(default_factory=dict[str, Callable[[], Awaitable[str]]])
    """Part → '' or the sentence that keeps the service from being ready."""
    warns: dict[str, Callable[[], Awaitable[str]]] = field(default_factory=dict[str, Callable[[], Awaitable[str]]])
    """Part → '' or the sentence about what is wrong though the service works."""
    closers: list[Callable[[], Awaitable[None]]] = field(default_factory=list[Callable[[], Awaitable[None]]])
    note: dict[str, int] = field(default_factory=dict[str, int])
    """What the note of this process says besides its pid and its health port."""
    health: Health = field(init=False)
    presence: Presence | None = field(init=False, default=None)
    """There as soon as its loops run."""

    def __post_init__(self) -> None:
        self.health = Health(self.common.service)

    async def alone(self) -> bool:
        """Whether no other process of this service works on; False before this one says that it lives."""
        return self.presence is not None and await self.presence.alone()


def run(read: Callable[[], S], build: Callable[[S], Service]) -> NoReturn:
    """Build and run until SIGTERM or SIGINT; exits 0 after a clean drain, 1 on a fault, 2 on a wrong configuration."""
    try:
        wanted = read()
        common = wanted.common
        logs.configure(common.service, common.log_level, debug=common.debug)
        service = build(wanted)
    except Failure as failure:
        sys.stderr.write(f"{logs.discreet(failure.sentence)}\n")
        _end(USAGE)
    try:
        code = uvloop.run(serve(service))
    except Failure as failure:
        log.error("cannot run", code=failure.code, reason=failure.sentence)  # noqa: TRY400  the sentence says it all
        code = USAGE if failure.code is Code.BAD_CONFIG else 1
    _end(code)


def _end(code: int) -> NoReturn:
    """End; where that is wanted, a wrong configuration ends only when it is told to: ending would be starting again."""
    if code == USAGE and settings.waits():
        ends = {signal.SIGTERM, signal.SIGINT}
        signal.pthread_sigmask(signal.SIG_BLOCK, ends)
        signal.sigwait(ends)
    sys.exit(code)


async def serve(service: Service) -> int:
    """Start, run until a signal or until a loop ends by itself, drain; the exit code."""
    common, stop = service.common, asyncio.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(name, stop.set)
    server, port = listen(service.health, common.health_host, common.health_port)
    note = _note(service, port)
    tasks: list[asyncio.Task[None]] = []
    try:
        await service.bus.ready()
        if service.delivery:
            await service.delivery.start()
        _appear(service)
        tasks = [asyncio.ensure_future(loop()) for loop in [*service.loops, *_own_loops(service)]]
        _settle()
        log.info("started", health_port=port)
        ended = asyncio.ensure_future(stop.wait())
        await asyncio.wait([ended, *tasks], return_when=asyncio.FIRST_COMPLETED)
        ended.cancel()
        return _why(tasks)
    finally:
        service.health.report({DRAIN: "the service is draining"})
        await _drain(service, tasks)
        server.shutdown()
        note.unlink(missing_ok=True)
        log.info("stopped")


def _settle() -> None:
    """Leave what was made at the start out of all collections: to look through it stops the process for tens of milliseconds."""
    gc.collect()
    gc.freeze()


def _own_loops(service: Service) -> list[Callable[[], Awaitable[None]]]:
    """What every service does besides its own."""
    loops: list[Callable[[], Awaitable[None]]] = [lambda: _watch(service), lambda: _warn(service)]
    if delivery := service.delivery:
        loops.append(lambda: forever(delivery.sweep, janitor.EVERY_S))
    return loops


def _appear(service: Service) -> None:
    """Say who this is, until the drain is over."""
    delivery = service.delivery
    slots = {duty.stream: duty.workers for duty in delivery.duties} if delivery else {}
    here = Presence(service.bus.work, service.health, delivery.me if delivery else "", slots)
    service.closers.append(here.leave)
    here.start()
    service.presence = here


def _why(tasks: list[asyncio.Task[None]]) -> int:
    """0 after a signal; 1, said once, if a loop broke or ended."""
    for task in tasks:
        if task.done() and not task.cancelled():
            log.error("a part of the service ended", reason=repr(task.exception() or "it returned"))
            return 1
    return 0


async def _drain(service: Service, tasks: list[asyncio.Task[None]]) -> None:
    """Stop the loops, so that nobody counts on this worker any more; let jobs end or hand them back; close."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    if service.delivery:
        await service.delivery.drain()
    for close in [*service.closers, service.bus.close]:
        try:
            await close()
        except Exception as error:  # noqa: BLE001  the others shall be closed too
            log.warning("closing failed", error=str(error))


async def _watch(service: Service) -> None:
    """Ask every part once a second what keeps it from working."""
    while True:
        checks = {"bus": service.bus.check, **service.checks}
        answers = await asyncio.gather(*(_ask(check) for check in checks.values()))
        service.health.report(dict(zip(checks, answers, strict=True)))
        await asyncio.sleep(CHECK_S)


async def _warn(service: Service) -> None:
    """Ask once a second what is wrong though the service works; a slow answer holds nothing up."""
    while True:
        answers = await asyncio.gather(*(_ask(check) for check in service.warns.values()))
        service.health.warn(dict(zip(service.warns, answers, strict=True)))
        await asyncio.sleep(CHECK_S)


async def _ask(check: Callable[[], Awaitable[str]]) -> str:
    try:
        async with asyncio.timeout(5):
            return await check()
    except Failure as failure:
        return failure.sentence
    except Exception as error:  # noqa: BLE001  whatever it is, it is the answer
        return f"the check itself failed: {type(error).__name__}: {error}"


def _note(service: Service, port: int) -> Path:
    """Write where this process answers, for who started it: whole or not at all; removed at the end."""
    common = service.common
    folder = common.data / "run"
    folder.mkdir(parents=True, exist_ok=True)
    note = folder / f"{common.service}-{os.getpid()}.json"
    told = {"service": common.service, "pid": os.getpid(), "health_port": port, **service.note}
    half = note.with_suffix(".half")
    half.write_text(json.dumps(told))
    half.replace(note)
    return note


async def forever(step: Callable[[], Awaitable[None]], every_s: float) -> None:
    """Repeat `step` until cancelled; trouble with a broker is told and waited out."""
    while True:
        try:
            await step()
        except TROUBLE as error:
            tell(f"the periodic step {step.__qualname__}", error)
        await asyncio.sleep(every_s)
