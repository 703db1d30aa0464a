"""What the avatar needs from outside."""

from typing import Protocol

from services.contract.avatar import Posed


class Puppet(Protocol):
    """Something that can be posed."""

    @property
    def name(self) -> str:
        """The name it has in the configuration."""
        ...

    async def check(self) -> str:
        """'' if it can be posed, otherwise the sentence with the remedy."""
        ...

    async def pose(self, pose: Posed) -> None:
        """Stand like this now. Raises Failure: then the next pose is tried, this one is not."""
        ...

    async def close(self) -> None:
        """Let go of it."""
        ...
