"""`onair report ROOM`: asks the gateway for the report of a show, waits until its job has made it, saves it."""

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import httpx2

from onair import server as servers
from onair.drive import DONE, say, tell
from onair.say import locate
from onair.server import Server
from services.contract.failure import Code, Failure
from services.runtime.config import seconds
from services.runtime.words import whole

MADE, MAKING = 200, 202
POLL_S = 0.3
LIMIT_S = 150.0
"""A job that takes longer was ended by then."""


@dataclass(frozen=True)
class Wanted:
    """What the command line asked for; empty: the server says."""

    room: str
    out: Path | None = None
    language: str = ""
    since: str = ""
    server: str = ""
    token: str = ""
    data: Path | None = None


def fetch(wanted: Wanted) -> int:
    """Save the report; 0 when it is there."""
    body = {**({"language": whole(wanted.language)} if wanted.language else {}), **_hours(wanted.since)}
    out = wanted.out or Path(f"report-{''.join(char if char.isalnum() else '-' for char in wanted.room)}.html")
    server = locate(wanted.server, wanted.token, wanted.data)
    with server.open() as client:
        page = _made(client, server, _asked(client, server, wanted.room, body))
    try:
        out.write_bytes(page)
    except OSError as error:
        raise Failure(Code.BAD_INPUT, f"cannot write {out} ({error.strerror}); name another file by --out") from error
    say(str(out))
    return DONE


def _hours(since: str) -> dict[str, float]:
    try:
        return {"hours": seconds(since) / 3_600} if since else {}
    except Failure as failure:
        raise Failure(Code.BAD_INPUT, f"--since {failure.sentence}") from failure


def _asked(client: httpx2.Client, server: Server, room: str, body: Mapping[str, object]) -> str:
    """Where the report will be."""
    answer = client.post(f"/api/rooms/{quote(room, safe='')}/reports", json=body)
    if answer.status_code != MAKING:
        raise servers.refusal(answer.status_code, answer.content, server.url)
    try:
        url = str(json.loads(answer.content)["url"])
    except (ValueError, KeyError, TypeError, RecursionError):
        url = ""
    if not url.startswith("/api/reports/"):
        raise Failure(Code.ENGINE_BROKEN, "the server took it without saying where; is it an OnAir gateway?")
    return url


def _made(client: httpx2.Client, server: Server, url: str) -> bytes:
    """The report as soon as it is made; raises Failure(EXPIRED) if nobody makes it."""
    until, told = time.monotonic() + LIMIT_S, False
    while (answer := client.get(url)).status_code == MAKING:
        if time.monotonic() > until:
            remedy = "`onair up` starts the process that does jobs; its log is in <data>/logs/jobs-1.log"
            raise Failure(Code.EXPIRED, f"the report is not made after {LIMIT_S:g} s: {remedy}")
        if not told:
            told = True
            tell("the report is being made")
        time.sleep(POLL_S)
    if answer.status_code != MADE:
        raise servers.refusal(answer.status_code, answer.content, server.url)
    return answer.content
