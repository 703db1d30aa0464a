"""The spool: what was paid for is on the disk before it is taken, in order, once, whatever happens to the process."""

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from services.contract.failure import Code, Failure
from services.contract.ingest import Kind, Lane, LiveEvent
from services.ingest.adapters.spool import SqliteSpool
from services.ingest.core.ports import Spool

ROOT = Path(__file__).parents[2]
CHILD = """
import asyncio, sys
from pathlib import Path
from services.ingest.adapters.spool import SqliteSpool
from tests.ingest.test_spool import paid

async def main():
    spool = SqliteSpool(Path(sys.argv[1]))
    number = 0
    while True:
        number += 1
        await spool.put(paid(number, room="child"))
        print(number, flush=True)

asyncio.run(main())
"""


def paid(number: int, room: str = "demo", raw: str = "") -> LiveEvent:
    return LiveEvent(
        id=f"{room}:{number}",
        room=room,
        source="api",
        kind=Kind.SUPER_CHAT,
        lane=Lane.PAID,
        text=f"no {number}",
        amount_fen=100,
        at_ms=number,
        raw=raw,
    )


@pytest.fixture
async def spool(tmp_path: Path) -> AsyncIterator[Spool]:
    spool = SqliteSpool(tmp_path)
    yield spool
    await spool.close()


async def test_events_come_out_in_their_order_and_once(spool: Spool) -> None:
    """The same id of a room is kept once; what is done is gone, each room is counted."""
    assert [await spool.put(paid(n)) for n in (3, 1, 3, 2)] == [True, True, False, True]
    await spool.put(paid(1, "other").model_copy(update={"id": "demo:1"}))
    assert (spool.count, spool.waiting("demo"), spool.waiting("other"), spool.waiting("none")) == (4, 3, 1, 0)
    found = await spool.oldest(3)
    assert [event for _, event in found] == [paid(3), paid(1), paid(2)]
    for number, _ in found[:2]:
        await spool.done(number)
        await spool.done(number)
    assert [event.id for _, event in await spool.oldest(9)] == ["demo:2", "demo:1"]
    assert (spool.count, spool.waiting("demo")) == (2, 1)


async def test_the_next_process_reads_what_the_last_one_left(tmp_path: Path) -> None:
    """Closing keeps everything; the same file is taken again."""
    first = SqliteSpool(tmp_path)
    await first.put(paid(1))
    await first.close()
    second = SqliteSpool(tmp_path)
    assert (second.name, second.waiting("demo")) == (first.name, 1)
    assert [event for _, event in await second.oldest(9)] == [paid(1)]
    await second.close()


async def test_two_processes_share_no_file_and_a_dead_ones_is_adopted(tmp_path: Path) -> None:
    """Whoever comes second has a file of his own; what lies in a file that nobody holds goes to the next who starts."""
    one, two = SqliteSpool(tmp_path), SqliteSpool(tmp_path)
    assert one.name != two.name
    await one.put(paid(1))
    await two.put(paid(2))
    assert (one.count, two.count) == (1, 1)
    await one.close()
    await two.close()
    heir = SqliteSpool(tmp_path)
    assert [event.id for _, event in await heir.oldest(9)] == ["demo:1", "demo:2"]
    await heir.close()
    again = SqliteSpool(tmp_path)
    assert again.count == 2
    await again.close()


@pytest.mark.slow
async def test_kill_nine_loses_nothing_that_was_kept(tmp_path: Path) -> None:
    """Every event whose `put` had returned when the process was killed is there, in order, and the file is free."""
    said = await asyncio.to_thread(_killed, tmp_path)
    spool = SqliteSpool(tmp_path)
    kept = [event for _, event in await spool.oldest(10_000)]
    assert kept[: len(said)] == [paid(number, "child") for number in said]
    assert len(kept) - len(said) in (0, 1)
    await spool.close()


async def test_a_full_spool_says_so(tmp_path: Path) -> None:
    """It is bounded: the event that does not fit is refused with the remedy, and there is room again when some are done."""
    spool = SqliteSpool(tmp_path, limit_bytes=40 * 4_096)
    with pytest.raises(Failure, match="takes no more") as refused:
        await _fill(spool)
    assert refused.value.code is Code.BUSY
    assert 20 < spool.count < 40
    for done, _ in await spool.oldest(5):
        await spool.done(done)
    assert await spool.put(paid(1_000, raw="x" * 4_000))
    await spool.close()


async def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    """A file that is no database stops the start with its name and what to do."""
    (tmp_path / "spool-0.sqlite3").write_bytes(b"not a database at all" * 100)
    with pytest.raises(Failure, match=r"spool-0\.sqlite3 cannot be used .*move the file away") as refused:
        SqliteSpool(tmp_path)
    assert refused.value.code is Code.BAD_CONFIG


async def test_a_put_is_on_the_disk_when_it_returns(tmp_path: Path) -> None:
    """The file is in WAL with full synchronisation."""
    spool = SqliteSpool(tmp_path)
    base: sqlite3.Connection = spool._base  # pyright: ignore[reportPrivateUsage]  what it promises is a setting of its connection
    modes = await asyncio.to_thread(
        lambda: [base.execute(f"PRAGMA {name}").fetchone()[0] for name in ("journal_mode", "synchronous")]
    )
    assert modes == ["wal", 2]
    await spool.close()


async def _fill(spool: Spool) -> None:
    for number in range(1_000):
        await spool.put(paid(number, raw="x" * 4_000))


def _killed(folder: Path) -> list[int]:
    """What a process had kept when it was killed."""
    command = [sys.executable, "-c", CHILD, str(folder)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout
        said = [int(child.stdout.readline()) for _ in range(50)]
        os.kill(child.pid, signal.SIGKILL)
        return said + [int(line) for line in child.stdout.read().split()]
