"""Tickets on the work broker, so that any gateway takes what another one gave."""

import secrets

from services.contract import streams
from services.gateway.core import tickets
from services.gateway.handlers.trouble import told
from services.runtime.bus import Bus

WISH = "a ticket"


class BusTickets:
    """The tickets of all gateways."""

    def __init__(self, bus: Bus) -> None:
        self._work = bus.work

    async def issue(self) -> str:
        """A new one, good for `KEPT_MS`; raises Failure BUS_DOWN."""
        ticket = secrets.token_urlsafe(tickets.BYTES)
        async with told(WISH):
            await self._work.set(streams.TICKET.of(tickets.key_of(ticket)), b"1", px=tickets.KEPT_MS)
        return ticket

    async def take(self, ticket: str) -> bool:
        """Whether it is good: once; raises Failure BUS_DOWN."""
        if not (key := tickets.key_of(ticket)):
            return False
        async with told(WISH):
            return bool(await self._work.getdel(streams.TICKET.of(key)))
