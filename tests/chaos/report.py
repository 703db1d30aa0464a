"""The page of the promises: `python -m tests.chaos.report ROWS.json … > docs/promises.md`; later rows replace earlier ones."""

import json
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from itertools import takewhile
from pathlib import Path
from typing import Any

WHOLE = ("", "promise", "fault", "figure", "landed", "seed", "s", "broker", "verdict")
BROKEN = ("", "broken rule", "what the program said", "landed", "s", "verdict")
HELP = "run every sabotage too, and write the tables there; of named programs: their rows, the others stay"
HEAD = """# What OnAir promises, and what was measured

Each row is a program under `tests/chaos/`: it starts brokers and services as processes, breaks them, and compares what
was acknowledged to the senders with the ledger and with what a listener in each room heard. A fault counts as landed
only where it hit somebody inside a job. This page is written by

    make chaos            # all of it: about 45 minutes
    make chaos ONLY=R1    # one promise, at most four minutes
    .venv/bin/python -m tests.chaos R1 R2 --report docs/promises.md    # these, and their rows here
    .venv/bin/python -m tests.chaos R1 --seed 7 --broker docker --sabotage no_reclaim

Brokers are Valkey (the one that `onair up` starts) and, where the column says docker, `redis:7-bookworm`.
"""
RULES = """
## With a rule broken

A program that cannot fail shows nothing. Here the same programs run (in their short form, or in the whole one where the
fault needs its time) against services in which one rule is broken by a patch of the process, never by a hook in the
product; each must find it.

* `ack_before_commit`: work is acknowledged when it is delivered, and what was paid for before it is kept;
* `no_reclaim`: nobody takes up what a lost worker held;
* `blind_beat`: a beat claims the entry whoever has it now;
* `no_fence`: a commit passes whoever holds the entry;
* `no_strikes`: deliveries are not counted;
* `no_recovery`: `no_reclaim`, and a reader does not ask after a fault what it holds unknowingly;
* `no_heal`: a consumer group is made once, a lost one by nobody; `no_pause`: what fails is tried again at once, and told
  each time; `no_spool`: what work refuses is lost; `no_drain`: SIGTERM ends a process at once;
* `no_seen`: an event that came before is taken again; `no_deadline`: nothing is too old to be answered; `no_epoch`: nobody
  asks whether a turn was interrupted; `no_order`: a reader plays sentences as they come; `no_place`: a stream that is gone
  on with begins anew; `own_reads`: each page follows its room by itself, and whoever reads holds a connection to the broker;
* `no_watch`: nobody looks whether a client reads what it is sent;
* `everysec`: the work broker syncs once a second. `kill -9` alone loses nothing then, for the kernel still has what was
  written. So every other kill is a power cut: writes are held, the broker is asked for its `appendfsync`, killed, and
  what that setting leaves to the kernel is taken from its file: with `everysec` the last half second. The same cut is
  part of the whole run, where the setting is `always` and leaves nothing.
"""


def page(rows: Sequence[Mapping[str, Any]], before: str = "") -> str:
    """The Markdown; of the page `before` stays every row that none of these replaces."""
    whole = merged(before, WHOLE, (0, 7), [line(row) for row in rows if not row["sabotage"]])
    broken = merged(before, BROKEN, (0, 1), [found(row) for row in rows if row["sabotage"]])
    return f"{HEAD}\n{whole}" + (f"{RULES}\n{broken}" if broken else "")


def merged(before: str, head: Sequence[str], key: Sequence[int], rows: Iterable[Sequence[object]]) -> str:
    """That table with these rows; of the page `before`, its rows which differ from each of these in a cell of the key.

    In the order of the programs' numbers; '' if there is no row.
    """
    latest = {tuple(row[at] for at in key): row for row in [*read(before, head), *map(cells, rows)]}
    order = sorted(latest, key=lambda key: (number(key[0]), "docker" in key, key))
    return table(head, [latest[key] for key in order]) if latest else ""


def read(page: str, head: Sequence[str]) -> list[tuple[str, ...]]:
    """The rows of the table with that head on a page; none where it has no such table."""
    lines = iter(page.splitlines())
    if marked(head) not in lines:
        return []
    next(lines, "")
    return [tuple(row[2:-2].split(" | ")) for row in takewhile(lambda text: text.startswith("| "), lines)]


def line(row: Mapping[str, Any]) -> Sequence[object]:
    """One promise."""
    verdict = "held" if row["holds"] else f"**broken**: {row['why']}"
    seconds = round(row["seconds"])
    return (
        row["program"], row["promise"], row["fault"], row["figure"], row["landed"], row["seed"], seconds, row["broker"],
        verdict,
    )  # fmt: skip


def found(row: Mapping[str, Any]) -> Sequence[object]:
    """One broken rule."""
    verdict = "found" if row["found"] else "**not found**"
    return row["program"], f"`{row['sabotage']}`", row["why"], row["landed"], round(row["seconds"]), verdict


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table of Markdown."""
    return "".join(f"{marked(row)}\n" for row in (head, ["---"] * len(head), *rows))


def marked(row: Sequence[object]) -> str:
    """A line of it."""
    return f"| {' | '.join(cells(row))} |"


def cells(row: Sequence[object]) -> tuple[str, ...]:
    """What stands in a row: without the sign that ends a cell, in one line."""
    return tuple(" ".join(str(cell).replace("|", "∣").splitlines()) for cell in row)


def number(name: str) -> int:
    """Programs in the order of their numbers."""
    return int(re.sub(r"\D", "", name) or 0)


if __name__ == "__main__":
    given = [row for name in sys.argv[1:] for row in json.loads(Path(name).read_text(encoding="utf-8"))]
    sys.stdout.write(page(given))
