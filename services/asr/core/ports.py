"""What the handlers need from a voice detector and from a recogniser."""

from typing import Protocol


class Detector(Protocol):
    """Tells voice from everything else. It remembers what it heard: one for each utterance."""

    def probability(self, frame: bytes) -> float:
        """How surely there is a voice in this frame, 0 to 1: `FRAME_SAMPLES` of s16le mono at `HEARD_RATE`."""
        ...


class Hearing(Protocol):
    """One utterance that is heard while it is spoken."""

    async def feed(self, pcm16k: bytes) -> str:
        """More of it; the words so far, which may change. Raises Failure."""
        ...

    def close(self) -> None:
        """It is over."""
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

    @property
    def parallel(self) -> bool:
        """It hears several clips side by side: one that is asked for in vain holds up no other."""
        ...

    async def recognise(self, pcm16k: bytes, language: str) -> str:
        """What is said in s16le mono at `HEARD_RATE`; '' for silence. `language` is a hint, '' if unknown.

        Raises Failure with the remedy.
        """
        ...

    def listen(self, language: str) -> Hearing | None:
        """Follow an utterance while it is spoken; None if this engine cannot, or is busy with another.

        Its text is still what `recognise` says of the whole.
        """
        ...

    async def check(self) -> str:
        """'' if it can listen, otherwise the sentence with the remedy. Asked every second: cheap."""
        ...

    async def close(self) -> None:
        """Let go of what it holds."""
        ...
