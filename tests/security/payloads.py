"""What a stranger writes to have a server asked or a file opened, and every place of the gateway where he can write."""

import base64
import json
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import product
from typing import Any, cast
from urllib.parse import quote

from tests.caller import request
from tests.security.dressing import BAIT

HOLE, CODED, LINE = "«hole»", "«coded»", "«line»"
"""Where the payload comes: as it is (in a path: quoted), as base64, as it can stand in a request's head."""
CALL, STAGE, LISTEN = "/api/live_voice_call/chat", f"/api/rooms/{HOLE}/stage", "/ws"
HEADERS = (
    "Host",
    "Origin",
    "Referer",
    "X-Forwarded-For",
    "X-Forwarded-Host",
    "Forwarded",
    "Last-Event-ID",
    "Proxy",
    "Via",
)
FRAMES = (
    ("BotUpdateConfig", ("speaker", "persona", "language", "prompt", "audio", "url")),
    ("TextInput", ("text",)),
    ("PlaybackMark", ("turn",)),
)
SOCKETS = (
    f"{CALL}?sid={HOLE}",
    f"{CALL}?sid=x&resume={HOLE}:0:0",
    f"{CALL}?speaker={HOLE}",
    STAGE,
    f"{LISTEN}?v={HOLE}",
    f"/{HOLE}",
)
TURN = ("TextInput", {"text": "hello"})
"""So that what was said before it counts for a turn."""
USUAL: Mapping[str, Any] = {"kind": "danmaku", "text": "hello", "session": "main", "language": "en"}
"""What makes a body one that is taken."""
KNOWN = (("{room}", "main"), ("{report}", "0123456789abcdef"), ("{letter}", "1-0"), ("{name}", "stage.css"))


@dataclass(frozen=True)
class Attack:
    """One request, or a WebSocket and what is said in it; with holes it is a place where a payload can be."""

    method: str
    path: str
    headers: tuple[str, ...] = ()
    body: object = None
    """JSON; None: none."""
    said: tuple[str | tuple[str, dict[str, Any]], ...] = ()
    """Messages: a text, or a request's event and payload."""

    def filled(self, text: str) -> "Attack":
        """With that payload in its holes."""
        path = self.path.replace(HOLE, quote(text, safe="")).replace(LINE, _line(text))
        headers = tuple(header.replace(LINE, _line(text)) for header in self.headers)
        return replace(self, path=path, headers=headers, body=_filled(self.body, text), said=_filled(self.said, text))

    def data(self) -> bytes:
        """Its body."""
        return b"" if self.body is None else json.dumps(self.body).encode()

    def messages(self) -> Iterator[tuple[bool, bytes]]:
        """Whether it is a text message, and its bytes."""
        for said in self.said:
            yield (True, said.encode()) if isinstance(said, str) else (False, request(said[0], **said[1]))


def _filled(value: Any, text: str) -> Any:
    match value:
        case str():
            return value.replace(HOLE, text).replace(CODED, base64.b64encode(text.encode()).decode())
        case dict():
            return {name: _filled(each, text) for name, each in cast("dict[str, Any]", value).items()}
        case list():
            return [_filled(each, text) for each in cast("list[Any]", value)]
        case tuple():
            return tuple(_filled(each, text) for each in cast("tuple[Any, ...]", value))
        case _:
            return value


def payloads(port: int) -> list[str]:
    """The address of the sentinel in every dress that such a thing goes by, and files."""
    far = f"127.0.0.1:{port}"
    hosts = (
        far, f"localhost:{port}", f"2130706433:{port}", f"0x7f000001:{port}", f"0177.0.0.1:{port}", f"127.1:{port}",
        f"0:{port}", f"[::1]:{port}", f"[::ffff:127.0.0.1]:{port}", f"[0:0:0:0:0:ffff:7f00:1]:{port}",
        f"api.openai.com@{far}", f"{far}#@api.openai.com", f"api.openai.com:80@{far}", f"{far}\\@api.openai.com",
        f"127.0.0.1.nip.invalid:{port}", f"rebind.{BAIT}.invalid:{port}", f"①②⑦.⓪.⓪.①:{port}", f"127。0。0。1:{port}",
        "169.254.169.254", "[fd00:ec2::254]", "metadata.google.internal",
    )  # fmt: skip
    tails = ("/latest/meta-data/", f"/v1/models?{BAIT}", "/%0d%0aX-Injected:%20yes%0d%0a", "/a.wav", "/voice.ckpt")
    plain = [f"http://{host}{tail}" for host, tail in product(hosts, tails)]
    schemes = ("https", "ws", "ftp", "gopher", "dict", "ldap", "redis", "socks5", "jar:http", "HTTP")
    odd = [f"{scheme}://{far}/{BAIT}" for scheme in schemes]
    files = [f"file:///etc/{BAIT}", f"file://localhost/etc/{BAIT}", f"/etc/{BAIT}", f"netdoc:///etc/{BAIT}"]
    bare = [
        f"//{far}/x",
        f"\\\\{far}\\x",
        far,
        f"http:{far}",
        f"http:/{far}/",
        f"url={far}",
        f"<img src=http://{far}/>",
    ]
    inject = [
        f"x\r\nHost: {far}\r\n\r\nGET http://{far}/ HTTP/1.1",
        f"x HTTP/1.1\r\nX: http://{far}",
        f"gopher://{far}/_PING%0a",
    ]
    return [*plain, *odd, *files, *bare, *inject]


def attacks(spec: Mapping[str, Any], found: list[str], count: int, dice: random.Random) -> list[Attack]:
    """So many: every place at least once, the rest by chance."""
    places = list(_places(spec))
    whole = dice.sample(list(product(places, found)), max(0, min(count, len(places) * len(found)) - len(places)))
    return [place.filled(text) for place, text in [*((place, dice.choice(found)) for place in places), *whole]]


def _places(spec: Mapping[str, Any]) -> Iterator[Attack]:
    """Routes with their fields and parameters, headers, the request's own line, sockets and what is said in them."""
    for path, methods in spec["paths"].items():
        for method, operation in methods.items():
            yield from _of_route(method.upper(), path, operation)
    yield from (Attack("GET", "/api/chat", (f"{name}: {LINE}",)) for name in HEADERS)
    yield Attack("GET", LINE)
    yield from (Attack("WS", path) for path in SOCKETS)
    for event, names in FRAMES:
        yield from (Attack("WS", CALL, said=((event, {name: HOLE}), TURN)) for name in names)
    yield Attack("WS", CALL, said=(("BotUpdateConfig", {"prompt": HOLE}), ("TextInput", {"text": f"see {HOLE} now"})))
    yield from (Attack("WS", LISTEN, said=(said,)) for said in (f"conversation_id:{HOLE}", HOLE))


def _of_route(method: str, path: str, operation: Mapping[str, Any]) -> Iterator[Attack]:
    known = path
    for name, value in KNOWN:
        known = known.replace(name, value)
    plain = Attack(method, known, body={} if "requestBody" in operation else None)
    for parameter in operation.get("parameters", []):
        name = parameter["name"]
        there = path.replace(f"{{{name}}}", HOLE) if parameter["in"] == "path" else f"{known}?{name}={HOLE}"
        yield replace(plain, path=there)
    yield replace(plain, path=f"{known}?url={HOLE}")
    yield from (replace(plain, body=body) for body in _bodies(operation))


def _bodies(operation: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """For each field of a body one with the payload in it, in the ways that it may be there; and fields that nobody knows."""
    content = operation.get("requestBody", {}).get("content", {})
    schemas = [cast("Mapping[str, Any]", each.get("schema", {})) for each in content.values()]
    fields: Mapping[str, Any] = schemas[0].get("properties", {}) if schemas else {}
    usual = {name: value for name, value in USUAL.items() if name in fields}
    for name, of in fields.items():
        if of.get("type") == "array":
            yield {name: [{"role": "user", "content": f"see {HOLE} now"}]}
            yield {name: [{"role": "system", "content": HOLE}, {"role": "user", "content": HOLE}]}
        else:
            yield {**usual, name: HOLE}
            yield {**usual, name: CODED}
    if content:
        yield {**usual, "url": HOLE, "base_url": HOLE, "engine": {"url": HOLE}}


def _line(text: str) -> str:
    """As it can stand in a request's head."""
    return text.encode("ascii", "replace").decode().replace("\r", "%0d").replace("\n", "%0a").replace(" ", "%20")
