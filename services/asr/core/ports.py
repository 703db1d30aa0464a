"""What the handlers need from a voice detector and from a recogniser."""

from typing import Protocol


class Detector(Protocol):
    """Tells voice from everything else. It remembers what it heard: one for each utterance."""

    def probability(self, frame: bytes) -> float:
        """How surely there is a voice in this frame, 0 to 1: `FRAME_SAMPLES` of s16le mono at `HEARD_RATE`."""
        ...


class Recogniser(Protocol):
    """Turns a voice into text."""

    @property
    def name(self) -> str:
        """What people call it; stands in `Transcribed.engine`."""
        ...

    @property
    def languages(self) -> tuple[str, ...]:
        """What it understands, as `zh` and `en`."""
        ...

    async def recognise(self, pcm16k: bytes, language: str) -> str:
        """What is said in s16le mono at `HEARD_RATE`; '' for silence. `language` is a hint, '' if unknown.

        Raises Failure with the remedy.
        """
        ...

    async def check(self) -> str:
        """'' if it can listen, otherwise the sentence with the remedy. Asked every second: cheap."""
        ...

    async def close(self) -> None:
        """Let go of what it holds."""
        ...
