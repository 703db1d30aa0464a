"""What answering needs: the brokers, the model, the configuration."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from services.contract import streams
from services.contract.failure import Code, Failure
from services.contract.ingest import TurnRequested
from services.contract.message import Message
from services.llm.core.ports import Model
from services.runtime import voices
from services.runtime.bus import Bus
from services.runtime.clock import now_ms
from services.runtime.config import Config, Persona, Voice
from services.runtime.sessions import Sessions
from services.runtime.work import Work

T = TypeVar("T")
LIVING_S = 1.0
"""How long it is believed that a pool has, or has no, living worker."""


@dataclass
class Desk:
    """What answering needs. `clock` gives Unix milliseconds."""

    bus: Bus
    work: Work
    sessions: Sessions
    model: Model
    config: Config
    clock: Callable[[], int] = now_ms
    _living: dict[str, tuple[bool, float]] = field(default_factory=dict[str, tuple[bool, float]])

    async def engine(self, voice: Voice) -> int:
        """The voice's first engine whose pool has a living worker."""
        names = {voices.pool(voice.engines, at) for at in range(len(voice.engines))}
        now = asyncio.get_running_loop().time()
        for name in names:
            if name not in self._living or now - self._living[name][1] > LIVING_S:
                self._living[name] = (bool(await self.bus.work.exists(streams.POOL.of(name))), now)
        return voices.first(voice.engines, [name for name in names if self._living[name][0]])

    async def tell(self, request: TurnRequested, message: Message) -> str:
        """Publish on the turn's session."""
        return await self.sessions.publish(request.session, message, room=request.kind == "room")

    def cast(self, request: TurnRequested) -> tuple[Persona, Voice]:
        """Who answers, in which voice; raises Failure(BAD_INPUT) for a name that the configuration does not know."""
        persona = _named(self.config.personas, request.persona, "persona")
        return persona, _named(self.config.voices, request.voice or persona.voice, "voice")


def _named(known: Mapping[str, T], name: str, what: str) -> T:
    if name in known:
        return known[name]
    names = ", ".join(sorted(known)) or "none"
    raise Failure(Code.BAD_INPUT, f"there is no {what} {name!r} in onair.yaml; known: {names}")
