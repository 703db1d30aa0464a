"""`onair ledger ROOM`: what became of everything that was paid for, and whether nothing is missing."""

import asyncio
import json
from collections.abc import Mapping
from pathlib import Path

from redis.exceptions import RedisError
from rich.console import Console
from rich.table import Table
from rich.text import Text

from onair import brokers
from onair.brokers import Urls
from onair.drive import DONE, FAILED, tell
from onair.environment import machine
from onair.processes import Family, held
from onair.show import tame
from services.contract.failure import Code, Failure
from services.contract.ingest import LedgerRow
from services.runtime.bus import connect
from services.runtime.law import law
from services.runtime.settings import common, secret
from services.runtime.show import Show

WAITING = ("received", "chosen", "aired")
"""States that are not the last."""


def table(room: str, rows: Mapping[str, LedgerRow]) -> Table:
    """The rows, oldest event first."""
    found = Table(title=Text(f"what was paid for in {tame(room)}"), title_justify="left")
    for name in ("event", "viewer", "CNY", "state", "reason", "turn", "samples"):
        found.add_column(name, justify="right" if name in {"CNY", "samples"} else "left", overflow="fold")
    for id_, row in sorted(rows.items(), key=lambda pair: pair[1].event.at_ms):
        amount, samples = f"{row.event.amount_fen / 100:.2f}", str(row.samples or "")
        cells = (id_, row.event.viewer.name, amount, row.state, row.reason, row.turn, samples)
        found.add_row(*(Text(tame(cell)) for cell in cells))
    return found


async def ledger(room: str, data: Path | None) -> int:
    """Print the ledger; 1 if the law does not hold."""
    given = machine()
    folder = (data or common("onair", given).data).resolve()
    url = "" if data else secret(given, "WORK_REDIS_URL") or secret(given, "REDIS_URL")
    url = url or await asyncio.to_thread(_noted, folder)
    rows, lane = await (read(url, room) if url else _from_disk(folder, room))
    found = law(rows, lane)
    console = Console(highlight=False)
    console.print(table(room, rows))
    console.print(str(found), markup=False)
    return DONE if found.holds else FAILED


async def read(url: str, room: str) -> tuple[dict[str, LedgerRow], frozenset[str]]:
    """The room's rows and the ids in its paid lane; raises Failure(BUS_DOWN)."""
    redis = connect(url)
    try:
        show = Show(redis)
        rows = await show.ledger(room)
        return rows, frozenset(entry.event.id for entry in await show.waiting(room))
    except (RedisError, OSError) as error:
        raise Failure(Code.BUS_DOWN, f"the work broker does not answer ({error}); is its URL right?") from error
    finally:
        await redis.aclose()


def _noted(folder: Path) -> str:
    """The work broker of the `onair` that works in this folder now; '' if none does: an old note may name another's."""
    if not held(folder):
        return ""
    try:
        return str(json.loads(brokers.note(folder).read_text(encoding="utf-8"))["work"])
    except (OSError, ValueError, KeyError) as error:
        raise Failure(Code.BUS_DOWN, f"the onair in {folder} has no broker yet; try again in a moment") from error


async def _from_disk(folder: Path, room: str) -> tuple[dict[str, LedgerRow], frozenset[str]]:
    """Start the folder's own work broker for the moment; raises Failure(NOT_FOUND) if nothing was ever kept there."""
    if not await asyncio.to_thread((folder / "work").is_dir):
        remedy = "name a folder by --data, or a broker by WORK_REDIS_URL"
        raise Failure(Code.NOT_FOUND, f"no show has kept anything in {folder}; {remedy}")
    async with Family(folder, tell) as family:
        urls: Urls = await brokers.start(family, lives=("none",))
        return await read(urls.work, room)
