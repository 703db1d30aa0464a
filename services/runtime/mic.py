"""The microphone of a call: what the caller says, on the live broker, with its place in the call."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass

from services.contract import streams
from services.contract.gateway import AudioHeard
from services.runtime import tail
from services.runtime.bus import Bus
from services.runtime.follow import follow
from services.runtime.sessions import parse
from services.runtime.tail import RawEntry


@dataclass(frozen=True)
class MicItem:
    """One frame of a call, of any length."""

    id: str
    ms: int
    """The broker's clock when it was written, Unix milliseconds."""
    at_sample: int
    """Position of its first sample in the call."""
    pcm: bytes
    """s16le mono at 16 kHz."""
    language: str = ""
    """What is spoken now; empty: as the order says."""

    @property
    def until_sample(self) -> int:
        """Position of the first sample after it."""
        return self.at_sample + len(self.pcm) // 2


class Mic:
    """Writes and reads what callers say."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus

    async def write(self, session: str, at_sample: int, pcm: bytes, language: str = "") -> str:
        """Add a frame of the call; its id. What is older than `MIC_KEPT_MS` is trimmed."""
        redis, heard = self._bus.live(session), AudioHeard(at_sample=at_sample, language=language)
        kept_ms, idle_s = streams.MIC_KEPT_MS, streams.MIC_IDLE_S
        return await tail.append(redis, streams.MIC.of(session), heard, pcm, kept_ms=kept_ms, idle_s=idle_s)

    async def range(self, session: str, after: str = "-") -> list[MicItem]:
        """What is kept of the call after that id."""
        entries = await tail.beyond(self._bus.live(session), streams.MIC.of(session), after)
        return [item for entry in entries if (item := _frame(entry))]

    async def last(self, session: str) -> MicItem | None:
        """The newest frame; None if none is kept."""
        entry = await tail.newest(self._bus.live(session), streams.MIC.of(session))
        return _frame(entry) if entry else None

    async def read(self, session: str, after: str) -> AsyncGenerator[MicItem]:
        """Frames after that id, as they come, for ever; heals by itself when the broker goes and comes back."""
        async with aclosing(follow(self._bus.live(session), streams.MIC.of(session), after)) as entries:
            async for entry in entries:
                if item := _frame(entry):
                    yield item


def _frame(entry: RawEntry) -> MicItem | None:
    item = parse(entry)
    if item is None or not isinstance(item.message, AudioHeard):
        return None
    pcm = item.blob[: len(item.blob) // 2 * 2]
    return MicItem(item.id, item.ms, item.message.at_sample, pcm, item.message.language)
