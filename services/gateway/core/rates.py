"""How much at once and how much a second: one bucket for each thing that is counted."""

from dataclasses import dataclass


@dataclass
class Bucket:
    """So many units at once, and so many more each second."""

    size: float
    a_second: float
    left: float = -1
    at_ms: int = 0

    def take(self, units: float, now_ms: int) -> bool:
        """Take them; False if they are not there, and nothing is taken."""
        held = self.size if self.left < 0 else self.left
        held = min(self.size, held + max(0, now_ms - self.at_ms) * self.a_second / 1_000)
        self.left, self.at_ms = (held - units if units <= held else held), now_ms
        return units <= held
