"""The page of the promises: `python -m tests.chaos.report ROWS.json … > docs/promises.md`; later rows replace earlier ones."""

import json
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

HEAD = """# What OnAir promises, and what was measured

Each row is a program under `tests/chaos/`: it starts brokers and services as processes, breaks them, and compares what
was acknowledged to the senders with the ledger and with what a listener in each room heard. A fault counts as landed
only where it hit somebody inside a job. This page is written by

    make chaos            # all of it: about 45 minutes
    make chaos ONLY=R1    # one promise, at most four minutes
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
* `no_watch`: nobody looks whether a client reads what it is sent; `no_sharing`: a room's session is read for each page anew;
* `everysec`: the work broker syncs once a second. `kill -9` alone loses nothing then, for the kernel still has what was
  written. So every other kill is a power cut: writes are held, the broker is asked for its `appendfsync`, killed, and
  what that setting leaves to the kernel is taken from its file: with `everysec` the last half second. The same cut is
  part of the whole run, where the setting is `always` and leaves nothing.
"""


def page(rows: Iterable[Mapping[str, Any]]) -> str:
    """The Markdown."""
    latest = {(row["program"], row["sabotage"], row["broker"]): row for row in rows}
    kept = [latest[key] for key in sorted(latest, key=lambda key: (number(key[0]), key[2] == "docker", key[1]))]
    whole = [row for row in kept if not row["sabotage"]]
    broken = [row for row in kept if row["sabotage"]]
    told = (
        HEAD
        + "\n"
        + table(
            ("", "promise", "fault", "figure", "landed", "seed", "s", "broker", "verdict"), [line(row) for row in whole]
        )
    )
    rules = (
        RULES
        + "\n"
        + table(("", "broken rule", "what the program said", "landed", "s", "verdict"), [found(row) for row in broken])
    )
    return told + (rules if broken else "")


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
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(str(cell).replace('|', '∣') for cell in cells)} |\n" for cells in lines)


def number(name: str) -> int:
    """Programs in the order of their numbers."""
    return int(re.sub(r"\D", "", name) or 0)


if __name__ == "__main__":
    given = [row for name in sys.argv[1:] for row in json.loads(Path(name).read_text(encoding="utf-8"))]
    sys.stdout.write(page(given))
