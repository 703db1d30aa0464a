"""What the handlers need from an engine."""

from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True)
class Voice:
    """A voice as one engine knows it."""

    name: str
    settings: Mapping[str, object] = field(default_factory=dict[str, object])
    """The engine's own settings of this voice, as they stand in the configuration."""


class Engine(Protocol):
    """Turns text into sound."""

    @property
    def name(self) -> str:
        """What people call it; stands in `SpeechStarted.engine`."""
        ...

    @property
    def pool(self) -> str:
        """Whose sentences it speaks: `speak:<pool>:call` and `speak:<pool>:show`."""
        ...

    def speak(self, text: str, voice: Voice, emotion: str) -> AsyncGenerator[bytes, None]:
        """Sound of `text` as it is made: s16le mono at `AIR_RATE`, in pieces of any size.

        The same text in the same voice should give the same rendition, to within some hundredths of a second: a
        sentence whose worker died goes on in the middle of it. Closing the generator stops the engine within a tenth of a second.
        Raises Failure with the remedy.
        """
        ...

    async def check(self) -> str:
        """'' if it can speak, otherwise the sentence with the remedy. Asked every second: cheap."""
        ...

    async def close(self) -> None:
        """Let go of what it holds."""
        ...
