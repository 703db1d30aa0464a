"""`python -m tests.security S4`: runs programs, prints figure and seed; exit 0 it held, 1 it did not, 2 wrong use."""

import argparse
import asyncio
import importlib
import json
import pkgutil
import re
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import tests.security
from tests.chaos.program import Outcome, Program, Setup
from tests.chaos.report import BROKEN, HELP, found, line, merged

LIMIT_S = 240
HEAD = "<!-- figures: written by `make security` -->\n"
COLUMNS = ("", "promise", "attack", "figure", "landed", "seed", "s", "broker", "verdict")


def programs() -> dict[str, Program]:
    """Every program by its name, in their order."""
    names = sorted(m.name for m in pkgutil.iter_modules(tests.security.__path__) if re.fullmatch(r"[rs]\d\d", m.name))
    made = [importlib.import_module(f"tests.security.{name}").PROGRAM for name in names]
    return {program.name: program for program in made}


def run(program: Program, given: argparse.Namespace, rule: str, *, short: bool) -> dict[str, Any]:
    """One run, as a row of the table."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="security-") as folder:
        outcome = asyncio.run(_limited(program, Setup(Path(folder).resolve(), given.seed, short, rule)))
    row: dict[str, Any] = {
        "program": program.name,
        "promise": program.promise,
        "fault": program.fault,
        "sabotage": rule,
        "figure": outcome.figure,
        "landed": outcome.landed,
        "seed": given.seed,
        "seconds": round(time.monotonic() - began, 1),
        "broker": "valkey",
        "holds": outcome.holds,
        "why": outcome.why,
        "found": bool(outcome.problems),
        "numbers": outcome.numbers,
    }
    verdict = "held" if row["holds"] else "BROKEN"
    print(f"{program.name}{f' with {rule}' if rule else ''}: {verdict}: {outcome.figure}", flush=True)  # noqa: T201  a command line prints
    where = f"seed {given.seed}, {outcome.landed} landed, {row['seconds']} s"
    print(f"  {where}{'; ' + outcome.why if outcome.why else ''}", flush=True)  # noqa: T201  as above
    return row


async def _limited(program: Program, setup: Setup) -> Outcome:
    try:
        async with asyncio.timeout(LIMIT_S):
            return await program.run(setup)
    except TimeoutError as error:
        return Outcome("it did not end", 0, 1, (f"it did not end within {LIMIT_S} s: {error}",))


def report(path: Path, rows: list[dict[str, Any]], *, keep: bool) -> None:
    """Put the tables behind what the page says itself; `keep`: with those of its rows that none of these replaces."""
    text = path.read_text(encoding="utf-8")
    before = text if keep else ""
    whole = merged(before, COLUMNS, (0, 7), [line(row) for row in rows if not row["sabotage"]])
    broken = merged(before, BROKEN, (0, 1), [found(row) for row in rows if row["sabotage"]])
    path.write_text(
        f"{text.partition(HEAD)[0]}{HEAD}\n{whole}\nWith a rule broken each program fails, in its short form:\n\n{broken}",
        encoding="utf-8",
    )


def main(argv: list[str]) -> int:
    """Run what is asked for."""
    known = programs()
    made = argparse.ArgumentParser(
        prog="python -m tests.security",
        description="Attack a running gateway and see whether its promises hold.",
        epilog="Exit code: 0 every promise held (with --sabotage: was found broken), 1 not, 2 wrong use.",
    )
    made.add_argument("names", nargs="*", metavar="PROGRAM", help=f"one of {', '.join(known)}; none: all of them")
    made.add_argument("--seed", type=int, default=1, help="of all that is random (default 1)")
    made.add_argument("--short", action="store_true", help="fewer attacks: the form that `make test` runs")
    made.add_argument("--sabotage", metavar="RULE", help="break this rule first")
    made.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    made.add_argument("--report", type=Path, metavar="FILE", help=HELP)
    given = made.parse_args(argv)
    if wrong := [name for name in given.names if name not in known]:
        made.error(f"there is no program {wrong[0]}; known: {', '.join(known)}")
    chosen = [known[name] for name in given.names or known]
    for one in chosen:
        if given.sabotage and given.sabotage not in one.sabotages:
            made.error(f"{one.name} finds {', '.join(one.sabotages) or 'no sabotage'}, not {given.sabotage}")
    if given.sabotage:
        rows = [run(one, given, given.sabotage, short=given.short) for one in chosen]
    else:
        rows = [run(one, given, "", short=given.short) for one in chosen]
    if given.report:
        rows += [run(one, given, rule, short=True) for one in chosen for rule in one.sabotages]
        report(given.report, rows, keep=bool(given.names))
    if given.json:
        given.json.write_text(json.dumps(rows, indent=1, ensure_ascii=False), encoding="utf-8")
    return 0 if all(row["found"] if row["sabotage"] else row["holds"] for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
