"""S8: no path from outside is ever opened: what a client names is an id; the gateway's own opens are watched."""

import asyncio
import functools
import random
import sys
from itertools import product
from pathlib import Path
from urllib.parse import quote

from tests.chaos.program import Outcome, Program, Setup
from tests.security.ground import ROOT, Gate, ground, handshake, wire

CANARY = "canary-1f6a90b2"
UP = (
    "../",
    "..%2f",
    "%2e%2e/",
    "%2e%2e%2f",
    "..%252f",
    "....//",
    "..\\",
    "..%5c",
    "%c0%ae%c0%ae/",
    "..;/",
    ".%00./",
    "/",
)
TARGETS = (
    "secret.html",
    "onair.yaml",
    "etc/passwd",
    "etc/passwd%00.html",
    "proc/self/environ",
    "secret.html?x=.js",
    "C:/boot.ini",
)
ROUTES = (
    "GET /web/{}", "GET /rooms/{}", "GET /api/reports/{}", "GET /console/{}", "GET /{}", "POST /api/rooms/{}/events",
    "POST /api/rooms/{}/reports", "GET /api/chat?last_event_id={}", "POST /api/asr?language={}", "WS /api/rooms/{}/stage",
    "WS /api/live_voice_call/chat?sid={}", "WS /api/live_voice_call/chat?sid=x&resume={}:0:0", "WS /ws?v={}", "WS /{}",
    "GET /audio/{}", "GET /message?user_id=7&session_id={}", "POST /reply?user_id=7&session_id={}&msg=x", "WS /chat?user_id={}&session_id=0",
)  # fmt: skip
AT_ONCE = 16


def payloads(folder: Path, count: int, dice: random.Random) -> list[str]:
    """Ways up and out, and where they lead; the folder of the run by its own name too."""
    deep = [up * depth + target for up, depth, target in product(UP, (1, 2, 3, 6, 12), TARGETS)]
    own = [quote(f"{folder}/{name}", safe="") for name in ("secret.html", "onair.yaml")]
    whole = [route.format(payload) for route, payload in product(ROUTES, [*deep, *own, "file:///etc/passwd"])]
    plain = [route.format(up + "secret.html") for route, up in product(ROUTES, UP[:2])]
    return [*plain, *dice.sample(whole, min(count, len(whole)))]


async def attack(gate: Gate, what: str) -> tuple[int, bytes]:
    """Status and whole answer, as it comes from a client that normalises nothing."""
    method, _, path = what.partition(" ")
    path = path.encode("ascii", "replace").decode().replace(" ", "%20")
    host = f"{gate.own}:{gate.port}"
    async with wire(gate) as there:
        if method == "WS":
            there.say(handshake(path, host=host))
            return await there.status(), b""
        body = b'{"kind": "danmaku", "text": "x", "data": "x"}' if method == "POST" else b""
        lines = (f"{method} {path} HTTP/1.1", f"Host: {host}", f"Content-Length: {len(body)}", "Connection: close")
        there.say("\r\n".join((*lines, "", "")).encode() + body)
        said = await there.rest()
        return int(said.split(b" ", 2)[1]) if said else 0, said


async def run(setup: Setup) -> Outcome:
    """Every payload, then what the gateway opened meanwhile."""
    dice, count = random.Random(setup.seed), 300 if setup.short else 2_000
    (setup.folder / "data" / "reports").mkdir(parents=True)
    for place in (setup.folder, setup.folder / "data"):
        (place / "secret.html").write_text(CANARY, encoding="utf-8")
    opened = setup.folder / "opened.txt"
    async with ground(setup.folder, setup.sabotage) as here, here.gate({}, watch=opened) as gate:
        await attack(gate, "GET /api/reports/0123456789abcdef")  # what is loaded at the first question is loaded now
        before, many, problems, answers = len(_opened(opened)), payloads(setup.folder, count, dice), list[str](), 0
        for at in range(0, len(many), AT_ONCE):
            some = many[at : at + AT_ONCE]
            told = await asyncio.gather(*(attack(gate, what) for what in some))
            answers += sum(status > 0 for status, _ in told)
            problems += [f"{what}: {status}" for what, (status, _) in zip(some, told, strict=True) if status >= 500]
            problems += [
                f"{what} told the canary" for what, (_, said) in zip(some, told, strict=True) if CANARY.encode() in said
            ]
        after = _opened(opened)[before:]
        strange = [path for path in after if not _own(Path(path), setup.folder)]
    shorter = (f"{setup.folder}/", f"{Path.cwd()}/")
    problems += [f"{functools.reduce(str.removeprefix, shorter, path)} was opened" for path in sorted(set(strange))]
    figure = f"{len(many)} traversals on {len(ROUTES)} routes: {len(after)} files opened meanwhile, {len(strange)} outside the root"
    return Outcome(figure, answers, len(many) * 9 // 10, tuple(problems), {"opened": len(strange)})


def _opened(log: Path) -> list[str]:
    return log.read_text(encoding="utf-8", errors="replace").splitlines() if log.exists() else []


def _own(path: Path, folder: Path) -> bool:
    """Whether a gateway may open it by itself: reports, its note, what the system says of it, its code, which loads late."""
    try:
        place = path.resolve()
    except (OSError, ValueError):
        return False
    code = (Path(sys.prefix), Path(sys.base_prefix), ROOT / "services" / "gateway" / "api")
    roots = (folder / "data" / "reports", folder / "data" / "run", Path("/proc"), *(root.resolve() for root in code))
    return any(place.is_relative_to(root) for root in roots)


PROGRAM = Program(
    "S8", "no path from outside is ever opened: 0 opens outside the root",
    "1,000 and more traversals, in every route that takes a name", run, ("any_report",),
)  # fmt: skip
