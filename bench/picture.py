"""Draws what was measured before and after: python -m bench.picture before.json after.json > picture.svg.

Takes what `python -m bench.chat --json` wrote; a bar for each row of either, its parts' medians side by side.
"""

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

WIDTH, LEFT, RIGHT, BAR, GAP, TOP = 960, 300, 130, 20, 14, 70
COLOURS = ("#d9822b", "#4f8f6f", "#5b7bb4")
INK, PAPER = "#2b2420", "#fffaf3"
Row = Mapping[str, Any]


def drawing(before: Sequence[Row], after: Sequence[Row]) -> str:
    """The SVG. Rows of the same name stand under each other; times are ms, the longest bar fills the width."""
    old = {str(row["name"]) for row in before}
    pairs = [(label if name in old else "", row) for name in (str(row["name"]) for row in after)
             for label, rows in ((", before", before), (", after", after))
             for row in rows if row["name"] == name]  # fmt: skip
    scale = (WIDTH - LEFT - RIGHT) / max(sum(_medians(row).values()) for _, row in pairs)
    bars, y = list[str](), TOP
    for at, (label, row) in enumerate(pairs):
        y += GAP if at and label != ", after" else 0
        bars += [*_bar(row, scale, y), _text(LEFT - 10, y + 15, f"{row['name']}{label}", "end")]
        y += BAR + 4
    head = _text(20, 28, "What is added to the engines of a chat: text in → first sound, ms (median of each part)")
    return "\n".join([
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {y + 16}" font-family="sans-serif" font-size="13">',
        f'<rect width="100%" height="100%" fill="{PAPER}"/>', head, *_legend(list(_medians(pairs[0][1]))), *bars, "</svg>",
    ]) + "\n"  # fmt: skip


def _medians(row: Row) -> dict[str, float]:
    return {part: times[0] for part, times in row["parts"].items() if part != "together"}


def _bar(row: Row, scale: float, y: int) -> list[str]:
    parts, x = list[str](), float(LEFT)
    for (part, median), colour in zip(_medians(row).items(), COLOURS, strict=True):
        title = f"<title>{escape(part)}: {median:.1f} ms</title>"
        parts.append(
            f'<rect x="{x:.1f}" y="{y}" width="{median * scale:.1f}" height="{BAR}" fill="{colour}">{title}</rect>'
        )
        x += median * scale
    median, worst = row["parts"]["together"]
    return [*parts, _text(round(x) + 8, y + 15, f"{median:.1f}, p99 {worst:.1f}")]


def _legend(parts: Sequence[str]) -> list[str]:
    drawn = list[str]()
    for at, (part, colour) in enumerate(zip(parts, COLOURS, strict=True)):
        x = 20 + at * 310
        drawn += [
            f'<rect x="{x}" y="42" width="12" height="12" fill="{colour}"/>',
            _text(x + 18, 53, part),
        ]
    return drawn


def _text(x: int, y: int, said: str, anchor: str = "start") -> str:
    return f'<text x="{x}" y="{y}" text-anchor="{anchor}" fill="{INK}">{escape(said)}</text>'


def main() -> int:
    """Read, draw, print."""
    parser = argparse.ArgumentParser(prog="python -m bench.picture", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("before", type=Path)
    parser.add_argument("after", type=Path)
    given = parser.parse_args()
    rows = [json.loads(path.read_text(encoding="utf-8")) for path in (given.before, given.after)]
    sys.stdout.write(drawing(*rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
