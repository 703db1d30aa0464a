"""Secrets that are looked for, and the search: whole or in part, in every spelling, also within what is packed."""

import base64
import gzip
import random
import string
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

NAMES = (
    "ONAIR_TOKEN", "OPENAI_API_KEY", "ASR_OPENAI_API_KEY", "TTS_OPENAI_API_KEY", "WORK_REDIS_URL", "LIVE_REDIS_URLS (first)",
    "LIVE_REDIS_URLS (second)", "network.proxies", "base_url", "ticket", "a key where none belongs", "REDIS_URL",
)  # fmt: skip
PART = 10
"""Letters of each of a canary's two halves: half of one is a leak too."""
SHIFTS = 3
"""Base64 of the same bytes differs by where they begin in what is coded."""
LAYERS = 3


@dataclass(frozen=True)
class Canary:
    """A secret; each of its halves stands nowhere else."""

    name: str
    value: str
    halves: tuple[str, ...]

    @classmethod
    def made(cls, name: str, dice: random.Random, sign: str = "") -> "Canary":
        """One by chance; `sign` between its halves is one that a URL cannot hold as it is."""
        halves = ["".join(dice.choices(string.ascii_letters + string.digits, k=PART)) for _ in range(2)]
        return cls(name, f"C{halves[0]}{sign}{halves[1]}", tuple(halves))

    @classmethod
    def found(cls, name: str, value: str) -> "Canary":
        """One that somebody else made."""
        return cls(name, value, (value[: len(value) // 2], value[len(value) // 2 :]))

    @property
    def quoted(self) -> str:
        """As it stands in a URL."""
        return quote(self.value, safe="")

    def spellings(self) -> dict[str, bytes]:
        """What is looked for: name of the spelling → its bytes."""
        found = {f"half {number}": half.encode() for number, half in enumerate(self.halves, 1)}
        found |= {f"reversed {number}": half[::-1].encode() for number, half in enumerate(self.halves, 1)}
        found |= {f"hex {number}": half.encode().hex().encode() for number, half in enumerate(self.halves, 1)}
        for shift in range(SHIFTS):
            coded = base64.b64encode(b"\0" * shift + self.halves[1].encode())
            found[f"base64 {shift}"] = coded[4 if shift else 0 : -4]
        return found


@dataclass
class Search:
    """Looks for canaries, and counts where it has looked."""

    canaries: list[Canary] = field(default_factory=list[Canary])
    leaks: dict[tuple[str, str], str] = field(default_factory=dict[tuple[str, str], str])
    """Canary and place → spelling and what stands from there on."""
    places: set[str] = field(default_factory=set[str])
    size: int = 0

    def look(self, where: str, data: bytes) -> None:
        """Look at what stands there."""
        self.places.add(where)
        self.size += len(data)
        for name, spelling, found in self.seen(data):
            self.leaks.setdefault((name, where), f"{spelling}: {found!r}")

    def seen(self, data: bytes) -> Iterator[tuple[str, str, bytes]]:
        """Every canary in these bytes: its name, the spelling, what stands from there on."""
        for body in unpacked(data):
            for canary in self.canaries:
                for spelling, looked in canary.spellings().items():
                    if (at := body.find(looked)) >= 0:
                        yield canary.name, spelling, body[at : at + 40]

    def folder(self, folder: Path) -> None:
        """Look at all its files, and their names."""
        for path in sorted(folder.rglob("*")):
            self.look(f"the name of {path.name}", str(path.relative_to(folder)).encode())
            if path.is_file():
                self.look(f"file {path.relative_to(folder)}", path.read_bytes())

    def processes(self) -> int:
        """Look at the words that every process of this machine was started with; how many there are."""
        count = 0
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                self.look("the command line of a process", path.read_bytes())
                count += 1
            except OSError:
                continue
        return count


def unpacked(data: bytes, layers: int = LAYERS) -> Iterator[bytes]:
    """The bytes, and what they hold if they are compressed, or base64 of something compressed: as rq keeps its jobs."""
    yield data
    ways: tuple[Callable[[bytes], bytes], ...] = (zlib.decompress, gzip.decompress, _decoded)
    for way in ways if layers and data else ():
        try:
            inside = way(data)
        except (ValueError, OSError, EOFError, zlib.error):
            continue
        yield from unpacked(inside, layers - 1)


def _decoded(data: bytes) -> bytes:
    return base64.b64decode(data, validate=True)
