"""S5: a token or a ticket is needed, each ticket opens once; who says nothing is cut off; no secret stands in a log."""

import asyncio
import secrets
import time
from typing import Any, cast

import redis.asyncio

from services.contract import streams
from tests.chaos.program import Outcome, Program, Setup
from tests.security.ground import STAGE, TOKEN, Gate, Ground, ground, handshake, knock, post, wire

FAR = "X-Forwarded-For: 203.0.113.7"
BEARER = f"Authorization: Bearer {TOKEN}"
IN, OUT = 101, 403
CUT_S = 10.5
EXPIRY_S = 31
WRONG = (
    (), ("Authorization: Bearer",), ("Authorization: Bearer wrong",), (f"Authorization: Bearer {TOKEN}x",),
    (f"Authorization: Bearer {TOKEN[:-1]}",), (f"Authorization: Basic {TOKEN}",), (f"Authorization: bearer {TOKEN}",),
    (f"Authorization: Bearer  {TOKEN}",), (f"Authorization: Bearer {TOKEN.upper()}",), (f"Cookie: token={TOKEN}",),
    (f"X-Token: {TOKEN}",), ("Authorization: Bearer 票",), (f"Proxy-Authorization: Bearer {TOKEN}",),
)  # fmt: skip
QUERIES = (
    "?token=",
    "?token=wrong",
    f"?Token={TOKEN}",
    f"?token={TOKEN}%00",
    "?ticket=",
    "?ticket=*",
    f"?ticket={TOKEN}",
)


async def ticket(gate: Gate) -> str:
    """A new one."""
    status, told = await post(gate, "/api/tickets", FAR, BEARER)
    if status != 200:
        raise RuntimeError(str(told))
    return str(told["ticket"])


async def silent(gate: Gate, said: bytes) -> float:
    """Seconds until a connection that says this and no more is closed."""
    async with wire(gate) as there:
        there.say(said)
        try:
            await there.rest(CUT_S + 5)
        except TimeoutError:
            return CUT_S + 5
        return time.monotonic() - there.began


async def replay(gates: tuple[Gate, Gate], tickets: int, at_once: int) -> list[int]:
    """How often each ticket opened, tried so often at once at both gateways and once more."""
    opened: list[int] = []
    for number in range(tickets):
        path = f"{STAGE}?ticket={await ticket(gates[number % 2])}"
        tried = await asyncio.gather(*(knock(gates[each % 2], path, FAR) for each in range(at_once)))
        opened.append(sum(status == IN for status in (*tried, await knock(gates[0], path, FAR))))
    return opened


async def expired(here: Ground, gate: Gate, *, short: bool) -> int:
    """What a ticket gets that is too old: in the short form the broker is told to forget it."""
    old = await ticket(gate)
    if short:
        work = redis.asyncio.from_url(here.work)  # pyright: ignore[reportUnknownMemberType]  its kwargs are untyped
        await work.delete(*await cast("Any", work).keys(streams.TICKET.of("*")))
        await work.aclose()
    else:
        await asyncio.sleep(EXPIRY_S)
    return await knock(gate, f"{STAGE}?ticket={old}", FAR)


async def run(setup: Setup) -> Outcome:
    """Wrong tokens, used tickets, silence, and a look into every log."""
    problems: list[str] = []
    count, at_once = (3, 10) if setup.short else (20, 50)
    environ = {"ONAIR_TOKEN": TOKEN}
    async with (
        ground(setup.folder, setup.sabotage) as here,
        here.gate(environ) as one,
        here.gate(environ) as two,
    ):
        shown = [(STAGE, headers) for headers in WRONG] + [(STAGE + query, ()) for query in QUERIES]
        wrong = [await knock(one, path, *headers, FAR) for path, headers in shown]
        wrong.append(await knock(one, f"{STAGE}?ticket={secrets.token_urlsafe(32)}", FAR))
        problems += [f"{what} came in" for what, status in zip(shown, wrong, strict=False) if status == IN]
        if (right := await knock(one, f"{STAGE}?token={TOKEN}", FAR)) != IN:
            problems.append(f"the token got {right}")
        opened = await replay((one, two), count, at_once)
        problems += [f"a ticket opened {times} times" for times in opened if times != 1]
        if (old := await expired(here, one, short=setup.short)) != OUT:
            problems.append(f"an old ticket got {old}")
        half = (b"", b"GET /", handshake(STAGE, host="localhost")[:-2], b"\r\n")
        cuts = await asyncio.gather(*(silent(gate, said) for said in half for gate in (one, two)))
        problems += [f"a silent connection was kept {cut:.1f} s" for cut in cuts if cut > CUT_S]
    said = here.logs()
    leaks = said.count(TOKEN)
    problems += [f"the token stands in a log {leaks} times"] if leaks else []
    figure = (
        f"{len(wrong)} wrong tokens and tickets: {sum(status == IN for status in wrong)} in; {count} tickets each tried "
        f"{at_once + 1} times at two gateways: {sum(opened)} in; silence cut after {max(cuts):.1f} s; "
        f"token in logs {leaks} times"
    )
    landed = sum(status == OUT for status in wrong) + count + len(cuts)
    return Outcome(figure, landed, len(wrong) + count + len(cuts), tuple(problems), {"leaks": leaks})


PROGRAM = Program(
    "S5", "a token, or a ticket once within 30 s; silence is cut at 10 s; no token in a log",
    "missing, wrong, expired and replayed ones", run, ("old_tickets", "patient", "loud"),
)  # fmt: skip
