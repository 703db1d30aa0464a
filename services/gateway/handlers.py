"""Hands clients' wishes to the bus and follows sessions."""

from collections.abc import AsyncGenerator
from contextlib import aclosing, asynccontextmanager

from redis.exceptions import RedisError

from services.contract import streams
from services.contract.failure import Code, Failure
from services.contract.gateway import ClipHeard
from services.contract.ingest import TurnAired, TurnRequested
from services.contract.message import Message
from services.runtime import envelope
from services.runtime.bus import Bus
from services.runtime.sessions import Sessions
from services.runtime.work import Work


@asynccontextmanager
async def _told() -> AsyncGenerator[None]:
    """What the brokers fail at is said in one sentence."""
    try:
        yield
    except (RedisError, OSError) as error:
        raise Failure(
            Code.BUS_DOWN, f"the broker does not take this now ({error}); try again", retryable=True
        ) from error


class BusDesk:
    """The desk of one gateway."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._work = Work(bus.work)
        self._sessions = Sessions(bus)

    async def ask(self, request: TurnRequested) -> None:
        """Have the turn answered, and heard as it is made. The order comes first: a turn on air is always answered."""
        aired = TurnAired(turn=request.turn, no=request.no, epoch=request.epoch)
        async with _told():
            await self._order(streams.TURNS.key(), request)
            await self._sessions.publish(request.session, request)
            await self._sessions.publish(request.session, aired)

    async def listen(self, clip: ClipHeard, wav: bytes) -> None:
        """Have the clip recognised: its bytes lie on live for as long as anybody may want them."""
        async with _told():
            await self._bus.live(clip.session).set(streams.CLIP.of(clip.session), wav, ex=streams.CLIP_KEPT_S)
            await self._order(streams.LISTEN.key(), clip)

    async def follow(self, session: str) -> AsyncGenerator[tuple[Message, bytes]]:
        """Entries of a session from its beginning."""
        items = self._sessions.read(session, "0-0")
        async with aclosing(items):
            async for item in items:
                yield item.message, item.blob

    async def interrupt(self, session: str, by: str) -> None:
        """End all that the session asked for so far."""
        async with _told():
            await self._sessions.interrupt(self._work, session, by)

    async def _order(self, stream: str, message: Message) -> None:
        await self._bus.work.xadd(stream, {"__data__": envelope.encode(message)})
