"""A call's way to the bus: its session, its microphone, what it asks for and who attends it."""

from collections.abc import AsyncGenerator
from contextlib import aclosing

from services.contract import streams
from services.contract.asr import Transcribed
from services.contract.failure import Code, Failure
from services.contract.gateway import CallJoined, CallOpened
from services.contract.ingest import TurnRequested
from services.gateway.core.call_words import HEARD_RATE, Ask, Hear, Interrupt, Order, Tell
from services.gateway.core.ports import Entry, Line, Stand
from services.gateway.handlers.desk import entry
from services.gateway.handlers.trouble import told
from services.runtime import envelope
from services.runtime.bus import Bus
from services.runtime.clock import now_ms
from services.runtime.mic import Mic
from services.runtime.scripts import Scripts
from services.runtime.sessions import Sessions
from services.runtime.trouble import TROUBLE, tell
from services.runtime.work import Work

CALL = "a call"
BEGIN_MS = 40_000
"""An answer that has not begun by then is not begun."""
LOOK_MS = 250
"""How often it is asked, while sound comes, whether somebody listens."""
PER_MS = HEARD_RATE // 1_000
ORDER_MS = 1_000
"""An order to listen is given anew after this time."""

# KEYS asked, turns, epoch; ARGV the turn as JSON, the same encoded for the stream, seconds kept, its epoch;
# what was asked before, the session's epoch if it is another, or nothing
ASK = """
local asked = redis.call('GET', KEYS[1])
if asked then return asked end
local epoch = redis.call('GET', KEYS[3]) or '0'
if epoch ~= ARGV[4] then return tonumber(epoch) end
redis.call('SET', KEYS[1], ARGV[1], 'EX', ARGV[3])
redis.call('XADD', KEYS[2], '*', '__data__', ARGV[2])
return false
"""


class BusExchange:
    """The exchange of one gateway."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus

    def line(self, session: str) -> Line:
        """See the port."""
        return BusLine(self._bus, session)


class BusLine:
    """The line of one connection."""

    def __init__(self, bus: Bus, session: str) -> None:
        self._bus = bus
        self._session = session
        self._work = Work(bus.work)
        self._scripts = Scripts(bus.work)
        self._sessions = Sessions(bus)
        self._mic = Mic(bus)
        self._epoch = 0
        """The session's, as far as it is known here: asking finds out."""
        self._look_ms = 0
        self._order_ms = 0
        self._asked_ms = now_ms()
        """When it was known last whether somebody listens."""

    async def join(self, connection: str) -> Stand:
        """See the port. The microphone's place counts on, whatever of it is kept.

        Where nothing is kept it counts from the clock: an utterance's name is its place, and names are remembered longer.
        """
        async with told(CALL):
            await self._sessions.publish(self._session, CallJoined(connection=connection))
            kept = [entry(item) for item in await self._sessions.range(self._session)]
            last = await self._mic.last(self._session)
        done = [each.message.until_sample for each in kept if isinstance(each.message, Transcribed)]
        heard = max([*done, last.until_sample if last else 0])
        return Stand(tuple(kept), heard or now_ms() * PER_MS)

    async def coming(self, after: str) -> AsyncGenerator[Entry]:
        """See the port."""
        async with aclosing(self._sessions.read(self._session, after)) as items:
            async for item in items:
                yield entry(item)

    async def carry_out(self, order: Order) -> None:
        """See the port."""
        async with told(CALL):
            match order:
                case Hear():
                    await self._mic.write(self._session, order.at_sample, order.pcm, order.language)
                    await self._attend(order.language)
                case Ask():
                    await self._ask(order)
                case Interrupt(by=by):
                    self._epoch = await self._sessions.interrupt(self._work, self._session, by)
                case Tell(message=message):
                    await self._sessions.publish(self._session, message)

    async def _attend(self, language: str) -> None:
        """Have somebody listen where nobody does; an order is given anew when it has not been taken for a while.

        A work broker that is away for less than a lease costs nothing: who listens goes on, and the sound is kept.
        """
        now = now_ms()
        if now < self._look_ms:
            return
        self._look_ms = now + LOOK_MS
        try:
            if now >= self._order_ms and not await self._bus.work.exists(streams.ATTEND.of(self._session)):
                order = CallOpened(session=self._session, language=language, deadline_ms=now + ORDER_MS)
                await self._bus.work.xadd(streams.CALLS.key(), {"__data__": envelope.encode(order)})
                self._order_ms = now + ORDER_MS
            self._asked_ms = now
        except TROUBLE as error:
            if now - self._asked_ms >= streams.LEASE_MS:
                raise
            tell(CALL, error)

    async def _ask(self, ask: Ask) -> None:
        """Ask once, whoever asks; then tell the session, also what another asked and may not have told.

        The kill switch is asked for last, when the session is there to be found by who throws it.
        """
        await self._sessions.air(await self._asked(ask))
        if await self._bus.work.exists(streams.SILENCE):
            await self._sessions.interrupt(self._work, self._session, "silence")
            raise Failure(Code.BUSY, "an operator has silenced the show; try again when it goes on", retryable=True)

    async def _asked(self, ask: Ask) -> TurnRequested:
        """The turn that is asked for by now. No question for the epoch goes before: as a rule it is known."""
        keys = [streams.ASKED.of(ask.key), streams.TURNS.key(), streams.EPOCH.of(self._session)]
        while True:
            request = self._request(ask, self._epoch)
            args = [request.to_json(), envelope.encode(request), streams.TURN_KEPT_S, self._epoch]
            match await self._scripts.run(ASK, keys, args):
                case None:
                    return request
                case int(epoch):
                    self._epoch = epoch
                case before:
                    return TurnRequested.from_json(before)

    def _request(self, ask: Ask, epoch: int) -> TurnRequested:
        config = ask.config
        return TurnRequested(
            turn=f"{self._session}-{ask.no}",
            no=ask.no,
            session=self._session,
            epoch=epoch,
            kind="call",
            causes=(ask.key,),
            ask=ask.text,
            persona=config.persona,
            voice=config.voice,
            language=config.language,
            prompt=config.prompt,
            requested_ms=ask.at_ms,
            deadline_ms=ask.at_ms + BEGIN_MS,
        )
