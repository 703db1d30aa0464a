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
from services.runtime.work import Answer, Work, found, look

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
        if unsure := self._unsure(voice):
            self._learn(unsure, [await self.bus.work.exists(streams.POOL.of(name)) for name in unsure])
        return voices.first(voice.engines, [name for name in _pools(voice) if self._living[name][0]])

    async def look(self, request: TurnRequested, voice: Voice) -> tuple[Answer, list[bytes]]:
        """All that work knows of a turn when it comes, in one round trip: its answer, and the lines of its session's history.

        Which of the voice's pools live is asked with it: its first sentence need not wait for that.
        """
        pipe, unsure = self.bus.work.pipeline(transaction=False), self._unsure(voice)
        look(pipe, request.turn)
        pipe.lrange(streams.HISTORY.of(request.session), 0, -1)
        for name in unsure:
            pipe.exists(streams.POOL.of(name))
        said, spoken, lines, *living = await pipe.execute()
        self._learn(unsure, living)
        return found(said, spoken), lines

    def _unsure(self, voice: Voice) -> list[str]:
        """Its pools of which nothing was heard lately."""
        since = asyncio.get_running_loop().time() - LIVING_S
        return [name for name in _pools(voice) if self._living.get(name, (False, -LIVING_S))[1] < since]

    def _learn(self, names: list[str], living: list[int]) -> None:
        now = asyncio.get_running_loop().time()
        self._living |= {name: (bool(alive), now) for name, alive in zip(names, living, strict=True)}

    async def tell(self, request: TurnRequested, message: Message) -> str:
        """Publish on the turn's session."""
        return await self.sessions.publish(request.session, message, room=request.kind == "room")

    def cast(self, request: TurnRequested) -> tuple[Persona, Voice]:
        """Who answers, in which voice; raises Failure(BAD_INPUT) for a name that the configuration does not know."""
        persona = _named(self.config.personas, request.persona, "persona")
        return persona, _named(self.config.voices, request.voice or persona.voice, "voice")


def _pools(voice: Voice) -> set[str]:
    return {voices.pool(voice.engines, at) for at in range(len(voice.engines))}


def _named(known: Mapping[str, T], name: str, what: str) -> T:
    if name in known:
        return known[name]
    names = ", ".join(sorted(known)) or "none"
    raise Failure(Code.BAD_INPUT, f"there is no {what} {name!r} in onair.yaml; known: {names}")
