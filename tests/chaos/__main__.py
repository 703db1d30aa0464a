"""`python -m tests.chaos R1`: runs programs, prints figure and seed; exit 0 it held, 1 it did not, 2 wrong use."""

import argparse
import asyncio
import json
import logging
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import structlog

from tests.chaos import report
from tests.chaos.program import Outcome, Program, Setup, programs

LIMIT_S = 240
KEPT, BROKEN, USAGE = 0, 1, 2


def parser(known: dict[str, Program]) -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(
        prog="python -m tests.chaos",
        description="Break things under a running show and see whether its promises hold.",
        epilog="Exit code: 0 every promise held (with --sabotage: was found broken), 1 not, 2 wrong use.",
    )
    made.add_argument("names", nargs="*", metavar="PROGRAM", help=f"one of {', '.join(known)}; none: all of them")
    made.add_argument("--list", action="store_true", help="say what there is and end")
    made.add_argument("--seed", type=int, default=1, help="of all that is random (default 1)")
    made.add_argument("--short", action="store_true", help="fewer faults: the form that `make test` runs")
    made.add_argument("--sabotage", metavar="RULE", help="break this rule first, or `all`, one after the other")
    made.add_argument("--broker", choices=("valkey", "docker"), default="valkey", help="docker: redis:7-bookworm")
    made.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    made.add_argument("--report", type=Path, metavar="FILE", help=report.HELP)
    made.add_argument("--keep", type=Path, metavar="DIR", help="keep logs and files there instead of removing them")
    return made


def run(program: Program, given: argparse.Namespace, sabotage: str, *, short: bool) -> dict[str, Any]:
    """One run, as a row of the table."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="chaos-") as temporary:
        folder = Path(given.keep or temporary) / f"{program.name}-{sabotage or 'whole'}"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        setup = Setup(folder.resolve(), given.seed, short, sabotage, given.broker)
        outcome = asyncio.run(limited(program, setup))
    seconds = round(time.monotonic() - began, 1)
    row: dict[str, Any] = {
        "program": program.name,
        "promise": program.promise,
        "fault": program.fault,
        "sabotage": sabotage,
        "figure": outcome.figure,
        "landed": outcome.landed,
        "seed": given.seed,
        "seconds": seconds,
        "broker": given.broker,
        "short": short,
        "holds": outcome.holds,
        "why": outcome.why,
        "found": bool(outcome.problems),
        "numbers": outcome.numbers,
    }
    told(row)
    return row


async def limited(program: Program, setup: Setup) -> Outcome:
    """The run, at most four minutes of it."""
    try:
        async with asyncio.timeout(LIMIT_S):
            return await program.run(setup)
    except TimeoutError as error:
        return Outcome("it did not end", 0, 1, (f"it did not end: {str(error) or 'what it waited for did not come'}",))


def told(row: dict[str, Any]) -> None:
    """Print one run."""
    verdict = "held" if row["holds"] else "BROKEN"
    with_rule = f" with {row['sabotage']}" if row["sabotage"] else ""
    print(f"{row['program']}{with_rule}: {verdict}: {row['figure']}", flush=True)  # noqa: T201  a command line prints
    where = f"seed {row['seed']}, {row['landed']} faults landed, {row['seconds']} s, {row['broker']}"
    print(f"  {where}{'; ' + row['why'] if row['why'] else ''}", flush=True)  # noqa: T201  as above


def main(argv: list[str]) -> int:
    """Run what is asked for."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    known = programs()
    made = parser(known)
    given = made.parse_args(argv)
    if wrong := [name for name in given.names if name not in known]:
        made.error(f"there is no program {wrong[0]}; known: {', '.join(known)}")
    chosen = [known[name] for name in given.names or known]
    if given.list:
        for one in chosen:
            print(f"{one.name}\t{one.promise} ({one.fault})\tfinds: {', '.join(one.sabotages) or 'nothing'}")  # noqa: T201
        return KEPT
    for one in chosen:
        if given.sabotage not in {None, "all", *one.sabotages}:
            made.error(f"{one.name} finds {', '.join(one.sabotages) or 'no sabotage'}, not {given.sabotage}")
    rows = [] if given.sabotage else [run(one, given, "", short=given.short) for one in chosen]
    if given.sabotage or given.report:
        for one in chosen:
            rules = one.sabotages if given.report or given.sabotage == "all" else [str(given.sabotage)]
            short = {rule: given.short or (bool(given.report) and rule not in one.whole) for rule in rules}
            rows += [run(one, given, rule, short=short[rule]) for rule in rules]
    if given.json:
        given.json.write_text(json.dumps(rows, indent=1, ensure_ascii=False), encoding="utf-8")
    if given.report:
        before = given.report.read_text(encoding="utf-8") if given.names and given.report.exists() else ""
        given.report.write_text(report.page(rows, before), encoding="utf-8")
    return KEPT if all(row["found"] if row["sabotage"] else row["holds"] for row in rows) else BROKEN


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
