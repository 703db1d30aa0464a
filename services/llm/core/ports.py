"""What answering needs from outside: a language model."""

from collections.abc import AsyncGenerator, Sequence
from typing import Protocol


class Model(Protocol):
    """A language model that streams."""

    @property
    def name(self) -> str:
        """The engine's name in the configuration."""
        ...

    def answer(
        self, messages: Sequence[tuple[str, str]], *, session: str, hurry: bool = False
    ) -> AsyncGenerator[str, None]:
        """The answer to (role, content) messages, in non-empty deltas as they come.

        `hurry`: a room waits, so that a model that says nothing is given up, retries included, within 5 s.

        A trailing assistant message is what was said already: the answer goes on after it. Closing the generator ends
        the request at the server. Raises Failure: what came before it still counts.
        """
        ...

    async def check(self) -> str:
        """'' if the model can be asked, otherwise the sentence with the remedy. Cheap: it is asked every second."""
        ...

    async def close(self) -> None:
        """Give up all connections."""
        ...
