"""S17: whatever is sent to a route of the OpenAPI, valid or not, the gateway never answers with a fault of its own."""

import asyncio
import json
import random
import string
from collections import Counter
from collections.abc import Mapping
from typing import Any, cast
from urllib.parse import quote

from tests.chaos.program import Outcome, Program, Setup
from tests.security.ground import Gate, ground, wire

AT_ONCE = 8
FAULT = 500
ALLOWED = {503, 504}
"""Busy, and nobody answered in time: said in words, with a time to try again."""
ODD = (
    "",
    "0",
    "-1",
    "null",
    "\x00",
    "\ud800",
    "💥",
    "A" * 70_000,
    "../..",
    "%00",
    "{}",
    "[]",
    "<script>",
    "nan",
    "1e999",
    "\r\nX: y",
)
NUMBERS = (0, -1, 1, 2**31, 2**63, 2**64, 10**400, 1.5, float("nan"), float("inf"), True)


class Fuzzer:
    """Requests by the schema, by hints of it, and against it."""

    def __init__(self, spec: Mapping[str, Any], dice: random.Random) -> None:
        self._dice = dice
        self._operations = [
            (method.upper(), path, operation)
            for path, methods in spec["paths"].items()
            for method, operation in methods.items()
        ]
        self.tried: Counter[str] = Counter()

    def request(self, host: str) -> bytes:
        """The bytes of one."""
        dice = self._dice
        method, path, operation = dice.choice(self._operations)
        self.tried[f"{method} {path}"] += 1
        for parameter in operation.get("parameters", []):
            if parameter["in"] == "path":
                value = dice.choice(("main", "0123456789abcdef", self._text()))
                path = path.replace(
                    "{" + parameter["name"] + "}", quote(value.encode("utf-8", "surrogatepass"), safe="")
                )
        query = f"?{self._query()}" if dice.random() < 0.3 else ""
        method = (
            dice.choice(("GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS"))
            if dice.random() < 0.05
            else method
        )
        content = operation.get("requestBody", {}).get("content", {})
        body = self._body(content) if content or dice.random() < 0.1 else b""
        kind = dice.choice(
            (*content, "text/plain", "multipart/form-data; boundary=x", "application/json; charset=utf-16")
        )
        lines = [f"{method} {path}{query} HTTP/1.1", f"Host: {host}", "Connection: close", f"Content-Type: {kind}"]
        lines.append(f"Content-Length: {len(body)}")
        return "\r\n".join([*lines, "", ""]).encode("latin-1", "replace") + (b"" if method == "HEAD" else body)

    def _query(self) -> str:
        names = ("v", "language", "last_event_id", "token", "ticket", "x")
        pairs = ((self._dice.choice(names), quote(self._text().encode("utf-8", "surrogatepass"))) for _ in range(2))
        return "&".join(f"{name}={value[:2_000]}" for name, value in pairs)

    def _body(self, content: Mapping[str, dict[str, Any]]) -> bytes:
        """By the schema, nearly so, or any bytes."""
        schema = next((each.get("schema", {}) for each in content.values()), cast("dict[str, Any]", {}))
        if (luck := self._dice.random()) < 0.1:
            return self._dice.choice((self._dice.randbytes(self._dice.randint(0, 2_000)), b"[" * 4_000, b'{"x":' * 800))
        value = self._value(schema, 0) if luck < 0.8 else self._any(0)
        text = json.dumps(value, ensure_ascii=self._dice.random() < 0.5)
        if luck > 0.95:
            text = text[: self._dice.randint(0, len(text))]
        return text.encode("utf-8", "surrogatepass")

    def _value(self, schema: Mapping[str, Any], depth: int) -> Any:  # noqa: PLR0911  a schema has so many types
        """One that fits, but for a part here and there that does not."""
        dice = self._dice
        if dice.random() < 0.15 or depth > 6:
            return self._any(depth)
        if "enum" in schema:
            return dice.choice(schema["enum"])
        match schema.get("type"):
            case "object":
                known = cast("dict[str, Any]", schema.get("properties", {}))
                kept = {name: self._value(of, depth + 1) for name, of in known.items() if dice.random() < 0.8}
                return kept | ({self._text()[:50]: 1} if dice.random() < 0.1 else {})
            case "array":
                return [self._value(schema.get("items", {}), depth + 1) for _ in range(dice.randint(0, 4))]
            case "integer" | "number":
                return dice.choice((dice.randint(0, 10**6), *NUMBERS))
            case "string":
                return self._text()
            case _:
                return self._any(depth)

    def _any(self, depth: int) -> Any:
        dice = self._dice
        if depth < 4 and dice.random() < 0.4:
            return [self._any(depth + 1)] if dice.random() < 0.5 else {self._text()[:20]: self._any(depth + 1)}
        return dice.choice((None, self._text(), *NUMBERS))

    def _text(self) -> str:
        dice = self._dice
        return dice.choice((dice.choice(ODD), "".join(dice.choices(string.printable, k=dice.randint(1, 40))), "你好"))


async def send(gate: Gate, request: bytes) -> tuple[int, bytes]:
    """Status and the first of the answer; an answer that is streamed is not waited for."""
    async with wire(gate) as there:
        there.say(request)
        status = await there.status()
        try:
            async with asyncio.timeout(0.05):
                return status, await there.reader.read(500)
        except (TimeoutError, OSError):
            return status, b""


async def run(setup: Setup) -> Outcome:
    """So many requests, eight at once; the gateway is the same process at the end."""
    count, counts = 400 if setup.short else 10_000, Counter[int]()
    problems: list[str] = []
    caps = {"patience_ms": 400, "clip_ms": 300, "turn_ms": 800, "return_ms": 50}
    async with ground(setup.folder, setup.sabotage) as here, here.gate({}, caps) as gate:
        async with wire(gate) as there:
            there.say(
                f"GET /openapi.json HTTP/1.1\r\nHost: {gate.own}:{gate.port}\r\nConnection: close\r\n\r\n".encode()
            )
            spec = json.loads((await there.rest()).partition(b"\r\n\r\n")[2])
        fuzzer = Fuzzer(spec, random.Random(setup.seed))
        for _ in range(0, count, AT_ONCE):
            some = [fuzzer.request(f"{gate.own}:{gate.port}") for _ in range(AT_ONCE)]
            for request, (status, said) in zip(
                some, await asyncio.gather(*(send(gate, each) for each in some)), strict=True
            ):
                counts[status] += 1
                if status == 0 or (status >= FAULT and status not in ALLOWED):
                    problems.append(f"{status} {said[:100]!r} for {request[:200]!r}")
        faults = here.logs().count("Traceback")
        if gate.process.returncode is not None:
            problems.append(f"the gateway ended: {gate.process.returncode}")
    problems += [f"{faults} tracebacks in its log"] if faults else []
    kinds = ", ".join(f"{status}: {number}" for status, number in sorted(counts.items()))
    figure = (
        f"{sum(counts.values())} requests to {len(fuzzer.tried)} operations ({kinds}): {len(problems)} server errors"
    )
    return Outcome(figure, sum(counts.values()), count, tuple(problems), {"faults": len(problems)})


PROGRAM = Program(
    "S17", "a fuzzer on the OpenAPI finds no server error",
    "requests by the schema, nearly by it, and against it", run, ("careless",),
)  # fmt: skip
