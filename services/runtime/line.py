"""What one attendance may say on its session: nothing, once another has the lease."""

import asyncio

from services.contract.message import Message
from services.contract.streams import LEASE_MS
from services.runtime.attend import Attend
from services.runtime.sessions import Sessions
from services.runtime.trouble import HEAL_S, TROUBLE, passes, tell

RENEW_S = 1.0


class LeaseLostError(Exception):
    """Another has the session, or nobody can tell."""


class Line:
    """The session of a call or a conversation, while its lease is ours."""

    def __init__(self, session: str, lease: Attend, sessions: Sessions) -> None:
        self.session = session
        self._lease = lease
        self._sessions = sessions

    async def tell(self, message: Message, blob: bytes = b"") -> None:
        """Publish it as soon as the brokers let us. Raises LeaseLostError.

        Whoever is frozen between the question and the publication says an old thing late: utterances have the same
        names whoever hears them, so that readers know it.
        """
        while True:
            try:
                if not await self._lease.ours():
                    raise LeaseLostError
                await self._sessions.publish(self.session, message, blob)
            except TROUBLE as error:
                if not passes(error):
                    raise
                tell(f"attending {self.session}", error)
                await asyncio.sleep(HEAL_S)
            else:
                return

    async def keep(self) -> None:
        """Renew the lease for ever; raises LeaseLostError as soon as it may be another's."""
        clock = asyncio.get_running_loop().time
        until = clock() + LEASE_MS / 1_000
        while True:
            await asyncio.sleep(RENEW_S)
            asked = clock()
            try:
                if not await self._lease.renew():
                    raise LeaseLostError
                until = asked + LEASE_MS / 1_000
            except TROUBLE as error:
                tell(f"attending {self.session}", error)
            if clock() > until:
                raise LeaseLostError
