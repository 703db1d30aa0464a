"""A source that gives the frames it was made with, conversations that are held in this process: needs nothing, the test double."""

import asyncio
import json
from collections.abc import Iterable, Mapping
from typing import Any

from services.contract.failure import Code, Failure
from services.ingest.core.ports import AppMessage, Emit, Frame


class Scripted:
    """Emits `frames` in order and ends."""

    def __init__(self, frames: Iterable[Frame], name: str = "scripted") -> None:
        self.name = name
        self._frames = tuple(frames)

    async def run(self, emit: Emit) -> None:
        """Emit all frames without a pause."""
        for frame in self._frames:
            await emit(frame)


class ScriptedStay:
    """One stay."""

    def __init__(self, place: "ScriptedConversations", conversation: str) -> None:
        self._place = place
        self._conversation = conversation
        self._news: asyncio.Queue[AppMessage | str] = asyncio.Queue()
        self._over = ""

    async def next(self) -> AppMessage | str:
        """See the port."""
        if self._over:
            return self._over
        news = await self._news.get()
        if isinstance(news, str):
            self._over = news
        return news

    async def send(self, message: Mapping[str, Any]) -> None:
        """See the port."""
        if self not in self._place.stays.get(self._conversation, ()):
            raise Failure(Code.ENGINE_REFUSED, "nobody sends anything to a conversation that he is not in")
        self._place.sent.append((self._conversation, dict(message)))

    async def leave(self) -> None:
        """See the port."""
        if self in (stays := self._place.stays.get(self._conversation, [])):
            stays.remove(self)

    def give(self, news: AppMessage | str) -> None:
        """Let this happen."""
        self._news.put_nowait(news)


class ScriptedConversations:
    """Everybody is let in, but where `refusal` says why not."""

    name = "scripted"

    def __init__(self) -> None:
        self.refusal = ""
        self.joins = 0
        self.stays: dict[str, list[ScriptedStay]] = {}
        """Who is in each conversation."""
        self.sent: list[tuple[str, dict[str, Any]]] = []

    async def join(self, conversation: str) -> ScriptedStay:
        """See the port."""
        self.joins += 1
        if self.refusal:
            raise Failure(Code.ENGINE_REFUSED, f"could not join {conversation}: {self.refusal}")
        stay = ScriptedStay(self, conversation)
        self.stays.setdefault(conversation, []).append(stay)
        return stay

    def say(self, conversation: str, message: object, sender: str = "someone") -> None:
        """Somebody in it sends this app-message."""
        body = json.dumps(message, ensure_ascii=False).encode()
        for stay in self.stays.get(conversation, ()):
            stay.give(AppMessage(sender, body))

    def close(self, conversation: str, why: str = "the meeting has ended") -> None:
        """The conversation is over."""
        for stay in self.stays.pop(conversation, []):
            stay.give(why)
