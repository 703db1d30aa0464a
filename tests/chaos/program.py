"""What a program is: a promise, the faults that it survives, and how it is run. One stands in each `r<number>.py`."""

import importlib
import pkgutil
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

import tests.chaos


@dataclass(frozen=True)
class Setup:
    """How a program is run this time."""

    folder: Path
    """Empty; for all that the run writes."""
    seed: int = 1
    short: bool = False
    """With fewer faults, for `make test`."""
    sabotage: str = ""
    """The rule that is broken: the program must then fail."""
    broker: str = "valkey"
    """Or `docker`: `redis:7-bookworm` by testcontainers."""


@dataclass(frozen=True)
class Outcome:
    """What a run showed."""

    figure: str
    """One line: what was counted and measured."""
    landed: int
    """Faults that hit somebody inside a job."""
    needed: int
    """So many had to, or the run shows nothing."""
    problems: tuple[str, ...] = ()
    """What broke the promise; empty: it held."""
    numbers: dict[str, int] = field(default_factory=dict[str, int])

    @property
    def holds(self) -> bool:
        """The promise was kept, and it was put to the test."""
        return not self.problems and self.landed >= self.needed

    @property
    def why(self) -> str:
        """What is wrong, in one line; empty if it holds."""
        few = [f"only {self.landed} of {self.needed} faults landed"] if self.landed < self.needed else []
        return "; ".join([*self.problems[:5], *few])


@dataclass(frozen=True)
class Program:
    """One promise and how it is put to the test."""

    name: str
    promise: str
    fault: str
    run: Callable[[Setup], Awaitable[Outcome]]
    sabotages: tuple[str, ...] = ()
    """Broken rules that it must find."""
    whole: tuple[str, ...] = ()
    """Those of them that its short form may miss."""


def programs() -> dict[str, Program]:
    """Every program by its name, in their order."""
    names = sorted(m.name for m in pkgutil.iter_modules(tests.chaos.__path__) if re.fullmatch(r"r\d\d", m.name))
    found = [importlib.import_module(f"tests.chaos.{name}").PROGRAM for name in names]
    return {program.name: program for program in found}
