"""`onair ledger ROOM`: what became of everything that was paid for, and whether nothing is missing."""

import asyncio
import json
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from redis.exceptions import RedisError
from rich.console import Console
from rich.table import Table
from rich.text import Text

from onair import brokers
from onair.brokers import Urls
from onair.drive import DONE, FAILED, say, tell
from onair.environment import machine
from onair.processes import Family, held
from onair.show import tame
from services.contract.failure import Code, Failure
from services.contract.ingest import LedgerRow, LiveEvent
from services.contract.tts import AIR_RATE
from services.runtime.archive import Archive, Books
from services.runtime.bus import connect
from services.runtime.clock import now_ms
from services.runtime.config import seconds
from services.runtime.law import FINAL, Law
from services.runtime.settings import common, secret

STATES = ("received", "chosen", "aired", *FINAL)
LOST = "lost"
"""Neither settled nor in the lane: what the law is broken by."""
COLUMNS = ("came", "event", "viewer", "CNY", "state", "at", "heard", "reason", "turn")
WIDE = 180
"""Characters of a line where it is no terminal that says how many it shows."""
RIGHT = {"CNY", "heard"}
COLOURS = {"spoken": "green", "failed": "bold red", "withdrawn": "dim", LOST: "bold red reverse"}


@dataclass(frozen=True)
class Wanted:
    """Which rows are shown; the law is always about all of them."""

    states: Sequence[str] = ()
    since: str = ""
    json: bool = False

    def check(self) -> int:
        """How far back is looked, in milliseconds, 0: all; raises Failure(BAD_INPUT) which says what is possible."""
        if unknown := [state for state in self.states if state not in (*STATES, LOST)]:
            known = ", ".join((*STATES, LOST))
            raise Failure(Code.BAD_INPUT, f"--state {unknown[0]}: there is no such state; known: {known}")
        try:
            return int(seconds(self.since) * 1_000) if self.since else 0
        except Failure as failure:
            raise Failure(Code.BAD_INPUT, f"--since {failure.sentence}") from failure


@dataclass(frozen=True)
class Line:
    """A paid event and what became of it."""

    row: LedgerRow
    state: str
    """As in the row, or `lost`."""


def lines(rows: Mapping[str, LedgerRow], lane: Mapping[str, LiveEvent]) -> list[Line]:
    """A line for every row, the oldest event first, and for each event of the lane that has none."""
    found = [Line(row, row.state if row.state in FINAL or id_ in lane else LOST) for id_, row in rows.items()]
    bare = (event for id_, event in lane.items() if id_ not in rows)
    found += [Line(LedgerRow(event=event, state="received", at_ms=event.at_ms), LOST) for event in bare]
    return sorted(found, key=lambda line: line.row.event.at_ms)


def table(room: str, found: Sequence[Line]) -> Table:
    """The lines for people. `heard` is what was aired for it."""
    shown = Table(title=Text(f"what was paid for in {tame(room)}"), title_justify="left")
    for name in COLUMNS:
        shown.add_column(
            name, justify="right" if name in RIGHT else "left", overflow="fold", no_wrap=name in {"came", "at"}
        )
    for line in found:
        row = line.row
        heard = f"{row.samples / AIR_RATE:.2f} s" if row.samples else ""
        who, amount = row.event.viewer.name, f"{row.event.amount_fen / 100:.2f}"
        cells = (
            clock(row.event.at_ms),
            row.event.id,
            who,
            amount,
            line.state,
            clock(row.at_ms),
            heard,
            row.reason,
            row.turn,
        )
        style = {"state": COLOURS.get(line.state, "")}
        shown.add_row(*(Text(tame(cell), style.get(name, "")) for name, cell in zip(COLUMNS, cells, strict=True)))
    return shown


def as_json(room: str, found: Sequence[Line], whole: Law) -> str:
    """The lines for a program."""
    rows = [{**line.row.model_dump(mode="json"), "state": line.state} for line in found]
    told = {"room": room, "rows": rows, "law": {**asdict(whole), "holds": whole.holds}}
    return json.dumps(told, ensure_ascii=False, indent=2)


def clock(ms: int) -> str:
    """Unix milliseconds by this machine's clock; a platform's time may be any number."""
    try:
        return time.strftime("%m-%d %H:%M:%S", time.localtime(ms / 1_000))
    except (ValueError, OverflowError, OSError):
        return "?"


async def ledger(room: str, data: Path | None, wanted: Wanted | None = None) -> int:
    """Print the ledger; 1 if the law does not hold."""
    wanted = wanted or Wanted()
    back_ms = wanted.check()
    given = machine()
    folder = (data or common("onair", given).data).resolve()
    url = "" if data else secret(given, "WORK_REDIS_URL") or secret(given, "REDIS_URL")
    url = url or await asyncio.to_thread(_noted, folder)
    books = await (read(url, room) if url else _from_disk(folder, room))
    whole, since_ms = books.law, now_ms() - back_ms if back_ms else 0
    found = [
        line
        for line in lines(books.rows, books.lane)
        if line.row.event.at_ms >= since_ms and (not wanted.states or line.state in wanted.states)
    ]
    if wanted.json:
        say(as_json(room, found, whole))
    else:
        console = Console(highlight=False, width=None if sys.stdout.isatty() or "COLUMNS" in given else WIDE)
        console.print(table(room, found))
        console.print(str(whole), markup=False)
    return DONE if whole.holds else FAILED


async def read(url: str, room: str) -> Books:
    """The room's rows and the events in its paid lane, of one moment; raises Failure(BUS_DOWN)."""
    redis = connect(url)
    try:
        return await Archive(redis).books(room)
    except (RedisError, OSError) as error:
        raise Failure(Code.BUS_DOWN, f"the work broker does not answer ({error}); is its URL right?") from error
    finally:
        await redis.aclose()


def _noted(folder: Path) -> str:
    """The work broker of the `onair` that works in this folder now; '' if none does: an old note may name another's."""
    if not held(folder):
        return ""
    try:
        noted = str(json.loads(brokers.note(folder).read_text(encoding="utf-8"))["work"])
    except (OSError, ValueError, KeyError) as error:
        raise Failure(Code.BUS_DOWN, f"the onair in {folder} has no broker yet; try again in a moment") from error
    if not noted:
        remedy = "name it by WORK_REDIS_URL, as that onair was started with"
        raise Failure(Code.NOT_FOUND, f"the onair in {folder} uses a work broker of yours; {remedy}")
    return noted


async def _from_disk(folder: Path, room: str) -> Books:
    """Start the folder's own work broker for the moment; raises Failure(NOT_FOUND) if nothing was ever kept there."""
    if not await asyncio.to_thread((folder / "work").is_dir):
        remedy = "name a folder by --data, or a broker by WORK_REDIS_URL"
        raise Failure(Code.NOT_FOUND, f"no show has kept anything in {folder}; {remedy}")
    async with Family(folder, tell) as family:
        urls: Urls = await brokers.start(family, lives=("none",))
        return await read(urls.work, room)
