"""S1: whatever a call's client sends that is no frame, it is told so, the call is closed with its code, nobody else minds."""

import asyncio
import gzip
import json
import random
from collections import Counter
from collections.abc import Callable

from services.gateway.core.frame import AUDIO_BYTES, JSON_BYTES
from tests.caller import REQUEST, SOUND, framed
from tests.chaos.program import Outcome, Program, Setup
from tests.security.call import TEXT, somebody, throw
from tests.security.ground import Gate, ground

PROTOCOL, UNSUPPORTED, BAD_DATA, TOO_BIG = 1002, 1003, 1007, 1009
ZIPPED = bytes.fromhex("11101100")
SLOW_S = 5.0
"""A turn of the other call never takes longer."""


def asked(body: str | bytes) -> bytes:
    return framed(REQUEST, body if isinstance(body, bytes) else body.encode())


def but(at: int, low: int, high: int) -> Callable[[random.Random], bytes]:
    """A good request, but for one byte of its header."""

    def made(dice: random.Random) -> bytes:
        whole = bytearray(asked('{"event":"StopSpeaking"}'))
        whole[at] = dice.randint(low, high)
        return bytes(whole)

    return made


def noise(dice: random.Random) -> bytes:
    """Anything, that does not begin as a frame."""
    return bytes([dice.choice([0, 0x10, 0x12, 0x7F, 0xFF])]) + dice.randbytes(dice.randint(0, 300)).replace(b"{", b"")


def wrong_size(dice: random.Random) -> bytes:
    """More or less follows the header than it says."""
    body = b'{"event":"StopSpeaking"}'
    said = dice.choice([0, len(body) - 1, len(body) + 1, dice.randint(100, 2**30), 2**32 - 1])
    return REQUEST + said.to_bytes(4, "big") + body


def bad_json(dice: random.Random) -> bytes:
    """Nearly a request."""
    whole = json.dumps({"event": "TextInput", "payload": {"text": "你好"}})
    return asked(
        dice.choice(
            [
                whole[: dice.randint(0, len(whole) - 1)], whole + "}", "[]", "null", '"x"', "{}", '{"event":1}',
                '{"event":"TextInput","payload":[1]}', '{"event":"TextInput","payload":{"text":NaN}}',
                '{"event":"\\ud800"}', "[" * 10_000, '{"a":' * 9 + "1" + "}" * 9, "{'event':'x'}",
            ]
        )
    )  # fmt: skip


def bad_text(dice: random.Random) -> bytes:
    """No UTF-8."""
    return asked(b'{"event":"' + bytes([dice.randint(0x80, 0xFF)]) * dice.randint(1, 9) + b'"}')


def bad_gzip(dice: random.Random) -> bytes:
    """Not one whole gzip member."""
    whole = gzip.compress(b'{"event":"StopSpeaking"}')
    return framed(ZIPPED, dice.choice([whole[: dice.randint(0, len(whole) - 1)], whole + b"x", whole * 2, b"x" * 50]))


KINDS: dict[str, tuple[int, Callable[[random.Random], bytes]]] = {
    "noise": (PROTOCOL, noise),
    "nothing": (PROTOCOL, lambda _: b""),
    "half a header": (PROTOCOL, lambda dice: SOUND[: dice.randint(1, 4)] + b"\0\0\0"[: dice.randint(0, 3)]),
    "another version": (PROTOCOL, but(0, 0x12, 0xFF)),
    "flags": (PROTOCOL, but(1, 0x11, 0x1F)),
    "another size": (PROTOCOL, wrong_size),
    "a server's type": (UNSUPPORTED, lambda dice: bytes([0x11, dice.choice([0, 0x90, 0xB0, 0xF0])]) + asked("{}")[2:]),
    "an unknown coding": (UNSUPPORTED, but(2, 0x20, 0xFF)),
    "a request that is no JSON": (UNSUPPORTED, but(2, 0, 0)),
    "text": (UNSUPPORTED, lambda _: TEXT + b'{"event":"StopSpeaking"}'),
    "bad JSON": (BAD_DATA, bad_json),
    "bad UTF-8": (BAD_DATA, bad_text),
    "half a sample": (BAD_DATA, lambda dice: framed(SOUND, bytes(2 * dice.randint(0, 1_600) + 1))),
    "bad gzip": (BAD_DATA, bad_gzip),
    "a long request": (TOO_BIG, lambda _: asked(b" " * (JSON_BYTES + 1))),
    "much sound": (TOO_BIG, lambda _: framed(SOUND, bytes(AUDIO_BYTES + 2))),
}


async def attack(gate: Gate, dice: random.Random, times: int, wrong: Counter[str], right: Counter[int]) -> None:
    """One connection after the other, a frame each."""
    for _ in range(times):
        kind = dice.choice(list(KINDS))
        code, made = KINDS[kind]
        got = await throw(gate, made(dice))
        if got.close == code and got.error:
            right[code] += 1
        else:
            wrong[f"{kind}: closed with {got.close}, not {code}; BotError {got.error or 'missing'}"] += 1


async def run(setup: Setup) -> Outcome:
    """So many connections at a time, while another call goes on."""
    at_once, each = (20, 15) if setup.short else (200, 50)
    dice, wrong, right = random.Random(setup.seed), Counter[str](), Counter[int]()
    async with ground(setup.folder, setup.sabotage) as here, here.gate({}, {"calls": 400}) as gate:
        async with somebody(here, gate) as talk:
            seeds = [random.Random(dice.random()) for _ in range(at_once)]
            await asyncio.gather(*(attack(gate, seed, each, wrong, right) for seed in seeds))
        ended = gate.process.returncode
    crashes = here.logs().count("Traceback") + (ended is not None)
    problems = [f"{times} × {what}" for what, times in wrong.most_common(4)] + talk.problems
    problems += [f"{crashes} crashes"] if crashes else []
    problems += [f"a turn of another call took {talk.slowest_s:.1f} s"] if talk.slowest_s > SLOW_S else []
    landed = right.total() + wrong.total()
    codes = ", ".join(f"{code}: {times}" for code, times in sorted(right.items()))
    figure = (
        f"{landed} malformed frames of {len(KINDS)} kinds on {at_once} connections: {wrong.total()} wrongly answered "
        f"({codes}), {crashes} crashes; another call meanwhile: {talk.answers} turns answered, the slowest in "
        f"{talk.slowest_s * 1_000:.0f} ms"
    )
    return Outcome(figure, landed, at_once * each, tuple(problems), {"frames": landed, "answers": talk.answers})


PROGRAM = Program(
    "S1", "malformed frames: BotError and the right close code, 0 crashes, other calls unharmed", "malformed frames", run,
    ("partial_parser", "one_code"),
)  # fmt: skip
