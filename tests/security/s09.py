"""S9: nothing that a stranger writes has a server asked: all that a whole house connects to is watched; no redirect is followed."""

import asyncio
import contextlib
import json
import random
from pathlib import Path
from typing import Any, cast

from bench.upstream.schedule import MACHINERY
from bench.upstream.server import Upstream, serving
from services.contract import streams
from services.runtime.bus import connect
from tests.chaos.program import Outcome, Program, Setup
from tests.security.ground import Ground, Wire, ground, handshake, masked, wire
from tests.security.house import House, house
from tests.security.payloads import Attack, attacks, payloads
from tests.security.redirects import CLIENTS, STATUSES, following, redirected, sentinel

AT_ONCE = 8
LISTENS_S = 0.25
"""How long is waited for what a socket says; a turn goes on without its caller."""
SETTLED_S = 60
CONFIG = """
personas: {{host: {{language: en, voice: alloy}}}}
voices: {{alloy: {{engines: [{{openai: {{voice: alloy}}}}]}}}}
engines:
  llm: {{openai: {{model: m, base_url: {url}}}}}
  asr: {{openai: {{model: m, base_url: {url}}}}}
  tts: {{openai: {{model: m, base_url: {url}}}}}
rooms: {{main: {{persona: host, sources: [{{api: {{}}}}]}}}}
gateway: {{persona: host}}
"""


async def strike(home: House, attack: Attack) -> int:
    """The status that it gets; 0 if the connection is closed instead."""
    async with wire(home) as there:
        host = f"{home.own}:{home.port}"
        if attack.method == "WS":
            there.say(handshake(attack.path, host=host))
            status = await there.status()
            for text, data in attack.messages():
                there.say(masked(1 if text else 2, data))
            await _listen(there)
            return status
        named = [] if any(header.startswith("Host:") for header in attack.headers) else [f"Host: {host}"]
        body = attack.data()
        rest = [*attack.headers, "Content-Type: application/json", f"Content-Length: {len(body)}", "Connection: close"]
        lines = [f"{attack.method} {attack.path} HTTP/1.1", *named, *rest]
        there.say("\r\n".join([*lines, "", ""]).encode("latin-1", "replace") + body)
        status = await there.status()
        await _listen(there)
        return status


async def _listen(there: Wire) -> None:
    with contextlib.suppress(TimeoutError, OSError):
        async with asyncio.timeout(LISTENS_S):
            while await there.reader.read(65_536):
                pass


async def openapi(home: House) -> dict[str, Any]:
    """The description of all routes."""
    async with wire(home) as there:
        there.say(f"GET /openapi.json HTTP/1.1\r\nHost: {home.own}:{home.port}\r\nConnection: close\r\n\r\n".encode())
        return json.loads((await there.rest()).partition(b"\r\n\r\n")[2])


async def settled(here: Ground) -> None:
    """Wait until every turn has been answered: only then have the engines seen what was written."""
    work, keys = (
        connect(here.work),
        [streams.TURNS.key(), *(streams.speak("openai", kind) for kind in ("room", "call"))],
    )
    try:
        async with asyncio.timeout(SETTLED_S):
            while any([await work.xlen(key) for key in keys]):
                await asyncio.sleep(0.1)
    finally:
        await work.aclose()


def strange(log: Path, own: set[int], house_ports: set[int]) -> list[str]:
    """What was asked, or opened, that is neither a broker nor a configured engine; `onair` may ask its own services."""
    found: list[str] = []
    local = {f"['127.0.0.1', {port}]" for port in own}
    ours = {f"['127.0.0.1', {port}]" for port in house_ports}
    for line in log.read_text(encoding="utf-8").splitlines():
        who, event, place = cast("list[Any]", json.loads(line))
        if str(place) not in (local | ours if who == "onair" else local):
            found.append(f"{who}: {event} {place}")
    return found


async def written(setup: Setup, count: int) -> tuple[int, int, list[str]]:
    """How many attacks were answered, how many connections the house made meanwhile, and what is wrong."""
    watch, app = setup.folder / "asked.txt", Upstream(MACHINERY)
    async with ground(setup.folder, "") as here, serving(app) as url, sentinel() as bait:
        environ = {
            "WORK_REDIS_URL": here.work,
            "LIVE_REDIS_URLS": here.live,
            "OPENAI_API_KEY": "k",
            "TTS_ENGINES": "openai",
        }
        config = CONFIG.format(url=url)
        async with house(setup.folder, config, environ, setup.sabotage, watch) as home:
            many = attacks(await openapi(home), payloads(bait.port), count, random.Random(setup.seed))
            answers = 0
            for at in range(0, len(many), AT_ONCE):
                answers += sum(await asyncio.gather(*((_answered(home, each)) for each in many[at : at + AT_ONCE])))
            await settled(here)
            asked = {request.path for request in app.requests}
            ports = {home.port, *(int(note["health_port"]) for note in home.notes())}
        own = {int(each.rpartition(":")[2].split("/")[0]) for each in (here.work, here.live, url)}
        problems = sorted(set(strange(watch, own, ports)))
        problems += [f"the sentinel was asked: {head[:100]!r}" for head in bait.heads]
        problems += [
            f"the engines were not asked for {path}" for path in {"/v1/chat/completions", "/v1/audio/speech"} - asked
        ]
        return answers, len(watch.read_text(encoding="utf-8").splitlines()), problems


async def _answered(home: House, attack: Attack) -> bool:
    return await strike(home, attack) > 0


async def run(setup: Setup) -> Outcome:
    """Attacks of a stranger on a whole house, then redirects of the servers that the operator named."""
    count = 250 if setup.short else 2_000
    with following() if setup.sabotage == "follows" else contextlib.nullcontext():
        landed, problems = await redirected()
    answers, connections = 0, 0
    if setup.sabotage != "follows":
        answers, connections, more = await written(setup, count)
        problems += more
    figure = (
        f"{answers} requests and messages with an address or a path in them: {connections} connections watched, none but to "
        f"brokers and engines; {landed} redirects of {len(CLIENTS)} clients ({', '.join(map(str, STATUSES))}): 0 followed"
    )
    if problems:
        figure = f"{answers} attacks, {landed} redirects: {len(problems)} wrong"
    needed = len(CLIENTS) * len(STATUSES) + (0 if setup.sabotage == "follows" else count * 9 // 10)
    return Outcome(figure, answers + landed, needed, tuple(problems), {"connections": connections})


PROGRAM = Program(
    "S9", "engine URLs are the operator's alone: nothing that is written has a server asked; no redirect is followed",
    "addresses and paths in every string, redirects of every kind", run, ("follows", "curious"),
)  # fmt: skip
