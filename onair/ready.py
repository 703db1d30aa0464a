"""Waits until what was started can work, and says what keeps it from that."""

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

from onair.processes import Family, tail
from services.contract.failure import Code, Failure

LIMIT_S = 60.0
POLL_S = 0.1
HOST = "127.0.0.1"

Note = dict[str, Any]
"""What a service writes into <data>/run/<service>-<pid>.json: service, pid, health_port; the gateway's also port."""


async def wait(family: Family, names: Sequence[str], limit_s: float = LIMIT_S) -> dict[str, Note]:
    """The notes of these parts once all of them are ready; raises Failure(EXPIRED) which says what is not, and why."""
    loop = asyncio.get_running_loop()
    began, said = loop.time(), dict.fromkeys(names, "")
    found: dict[str, Note] = {}
    while len(found) < len(names):
        left = [name for name in names if name not in found]
        answers = await asyncio.gather(*(look(family, name) for name in left))
        for name, (note, problem) in zip(left, answers, strict=True):
            if note:
                found[name] = note
                family.tell(
                    f"  {name} ready after {loop.time() - began:.1f} s" + (f", but {problem}" if problem else "")
                )
            elif problem != said[name]:
                said[name] = problem
        if loop.time() - began > limit_s and len(found) < len(names):
            raise Failure(
                Code.EXPIRED, _late(family, {name: said[name] for name in left if name not in found}, limit_s)
            )
        await asyncio.sleep(POLL_S)
    return found


def _late(family: Family, problems: dict[str, str], limit_s: float) -> str:
    parts: list[str] = []
    for name, problem in problems.items():
        log = family.children[name].part.log
        last = " / ".join(tail(log, 2)) or "nothing"
        parts.append(
            f"{name} is not ready after {limit_s:g} s: {problem or 'it does not answer'} (its log {log} ends: {last})"
        )
    return "; ".join(parts)


async def look(family: Family, name: str) -> tuple[Note | None, str]:
    """The part's note if it is ready, and what is wrong all the same; otherwise what it says keeps it from that."""
    child = family.children[name]
    service = name.rpartition("-")[0] or name
    note = _read(family.data / "run" / f"{service}-{child.pid}.json")
    if note is None:
        return None, "it has not said yet where it answers"
    body = await get(int(note["health_port"]), "/readyz")
    if body.get("ready"):
        return note, _sentences(body, "warnings")
    return None, _sentences(body, "problems") or "it does not answer"


def _sentences(body: Note, name: str) -> str:
    found = cast("dict[str, str]", body.get(name, {}))
    return ", ".join(f"{part}: {sentence}" for part, sentence in found.items())


def _read(path: Path) -> Note | None:
    """The note; None while it is not there or not complete."""
    try:
        found: object = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return cast("Note", found) if isinstance(found, dict) and "health_port" in found else None


async def get(port: int, path: str) -> dict[str, Any]:
    """The JSON object at that page of this machine, whatever its status; {} if there is none."""
    try:
        found: object = json.loads(await page(port, path))
    except ValueError:
        return {}
    return cast("dict[str, Any]", found) if isinstance(found, dict) else {}


async def page(port: int, path: str) -> str:
    """The body of that page of this machine, whatever its status; '' while nobody answers."""
    try:
        async with asyncio.timeout(2):
            reader, writer = await asyncio.open_connection(HOST, port)
            try:
                writer.write(f"GET {path} HTTP/1.0\r\nHost: {HOST}\r\n\r\n".encode())
                answer = await reader.read()
            finally:
                writer.close()
    except (OSError, TimeoutError):
        return ""
    return answer.partition(b"\r\n\r\n")[2].decode(errors="replace")
