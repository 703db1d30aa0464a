"""Paid events in a SQLite file: each is on the disk before `put` returns, and is there after a crash.

A process takes the first file of the folder that no other holds, and what lies in files that nobody holds. SQLite's own
exclusive lock says who holds a file; the system lets it go with the process, however that ends.
"""

import asyncio
import contextlib
import sqlite3
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from services.contract.failure import Code, Failure
from services.contract.ingest import LiveEvent

T = TypeVar("T")
LIMIT_BYTES = 256 * 1_048_576
"""Of a spool's file: at 1 KB an event, one a second for three days."""
PAGE_BYTES = 4_096
FILES = 64
"""Processes that may share a folder."""
TABLE = (
    "CREATE TABLE IF NOT EXISTS events "
    "(number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL, room TEXT NOT NULL, event BLOB NOT NULL, "
    "UNIQUE (room, id))"
)


class SqliteSpool:
    """One file, used from one thread of its own."""

    def __init__(self, folder: Path, limit_bytes: int = LIMIT_BYTES) -> None:
        self._limit = limit_bytes
        self._base, path = _first(folder, limit_bytes)
        self.name = str(path)
        _adopt(folder, self._base, path)
        self._rooms: Counter[str] = Counter(dict(self._base.execute("SELECT room, count(*) FROM events GROUP BY room")))
        self._thread = ThreadPoolExecutor(1, "spool")

    @property
    def count(self) -> int:
        """As the port says."""
        return self._rooms.total()

    def waiting(self, room: str) -> int:
        """As the port says."""
        return self._rooms[room]

    async def put(self, event: LiveEvent) -> bool:
        """As the port says."""
        row = (event.id, event.room, event.to_json())
        query = "INSERT OR IGNORE INTO events (id, room, event) VALUES (?, ?, ?)"
        fresh = await self._run(lambda: self._base.execute(query, row).rowcount == 1)
        self._rooms[event.room] += int(fresh)
        return fresh

    async def oldest(self, count: int) -> list[tuple[int, LiveEvent]]:
        """As the port says."""
        if not self.count:
            return []
        query = "SELECT number, event FROM events ORDER BY number LIMIT ?"
        found = await self._run(lambda: self._base.execute(query, (count,)).fetchall())
        return [(number, LiveEvent.from_json(body)) for number, body in found]

    async def done(self, number: int) -> None:
        """As the port says."""
        query = "DELETE FROM events WHERE number = ? RETURNING room"
        for (room,) in await self._run(lambda: self._base.execute(query, (number,)).fetchall()):
            self._rooms[room] -= 1

    async def close(self) -> None:
        """As the port says."""
        self._thread.shutdown()
        self._base.close()

    async def _run(self, step: Callable[[], T]) -> T:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, step)
        except sqlite3.Error as error:
            remedy = f"it holds {self._limit // 1_048_576} MiB at most, and its disk must have room"
            raise Failure(Code.BUSY, f"the spool {self.name} takes no more ({error}); {remedy}") from error


def _first(folder: Path, limit_bytes: int) -> tuple[sqlite3.Connection, Path]:
    """The first file that nobody holds; raises Failure(BAD_CONFIG) that says what to do."""
    for number in range(FILES):
        path = folder / f"spool-{number}.sqlite3"
        if base := _open(path):
            base.execute(f"PRAGMA max_page_count={limit_bytes // PAGE_BYTES}")
            return base, path
    raise Failure(Code.BAD_CONFIG, f"{FILES} spools in {folder} are in use: give each ingest an ONAIR_DATA of its own")


def _open(path: Path) -> sqlite3.Connection | None:
    """The file, held; None if another process holds it."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        base = sqlite3.connect(path, timeout=0, isolation_level=None, check_same_thread=False)
        for step in ("locking_mode=EXCLUSIVE", f"page_size={PAGE_BYTES}", "journal_mode=WAL", "synchronous=FULL"):
            base.execute(f"PRAGMA {step}")
        base.execute("BEGIN EXCLUSIVE")
        base.execute(TABLE)
        base.execute("COMMIT")
    except (sqlite3.Error, OSError) as error:
        if getattr(error, "sqlite_errorcode", 0) == sqlite3.SQLITE_BUSY:
            return None
        raise Failure(
            Code.BAD_CONFIG,
            f"the spool {path} cannot be used ({error}): make ONAIR_DATA a folder that can be written, "
            "and move the file away if it is damaged",
        ) from error
    return base


def _adopt(folder: Path, base: sqlite3.Connection, own: Path) -> None:
    """Take over what lies in files that nobody holds; the emptied files stay for whoever comes."""
    for path in sorted(folder.glob("spool-*.sqlite3")):
        if path == own or (other := _open(path)) is None:
            continue
        with contextlib.closing(other), contextlib.suppress(sqlite3.OperationalError):  # full: it stays where it is
            with base:
                base.execute("BEGIN")
                rows = other.execute("SELECT id, room, event FROM events ORDER BY number")
                base.executemany("INSERT OR IGNORE INTO events (id, room, event) VALUES (?, ?, ?)", rows)
            other.execute("DELETE FROM events")
