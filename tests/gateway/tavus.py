"""A stand-in for Tavus that speaks its wire format: strict about bodies and headers, and as bad as a test wants it."""

import json
import threading
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, cast
from urllib.parse import parse_qsl, urlsplit

KEY = "canary0123456789abcdef0123456789"
OF_CONVERSATION = {
    "replica_id", "persona_id", "audio_only", "callback_url", "conversation_name", "conversational_context",
    "custom_greeting", "memory_stores", "document_ids", "document_tags", "test_mode", "properties",
}  # fmt: skip
OF_PROPERTIES = {
    "max_call_duration", "participant_left_timeout", "participant_absent_timeout", "enable_recording",
    "enable_closed_captions", "apply_greenscreen", "language", "recording_s3_bucket_name",
    "recording_s3_bucket_region", "aws_assume_role_arn",
}  # fmt: skip
OF_PERSONA = {"persona_name", "system_prompt", "pipeline_mode", "context", "default_replica_id", "layers"}
OF_LAYERS = {"llm", "tts", "stt", "perception", "conversational_flow", "transport"}
STRINGS = {"replica_id", "persona_id", "conversation_name", "conversational_context", "custom_greeting", "callback_url"}
Told = tuple[int, object]


@dataclass(frozen=True)
class Asked:
    """One request."""

    method: str
    path: str
    query: dict[str, str]
    headers: Mapping[str, str]
    body: dict[str, Any]

    @property
    def line(self) -> str:
        return f"{self.method} {self.path}"


Fault = Callable[[BaseHTTPRequestHandler], None]
"""Answers a request badly."""


@dataclass
class Tavus:
    """The account, and what was asked of it."""

    url: str = ""
    asked: list[Asked] = field(default_factory=list[Asked])
    conversations: dict[str, dict[str, Any]] = field(default_factory=dict[str, dict[str, Any]])
    personas: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    faults: dict[str, list[Fault]] = field(default_factory=dict[str, list[Fault]])
    """Beginning of `METHOD /path` → what is done with its next requests, one after the other; the last one repeats."""
    created: Callable[[], None] = field(default=lambda: None)
    """Called when a conversation goes on, and nobody was told yet."""
    most: int = 1_000
    """Conversations that may go on at once."""
    largest: int = 1_000
    """Rows of a page, whatever was asked for."""
    bare: bool = False
    """Lists come without their total, each page as the first one."""
    lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, name: str, status: str = "active", persona: str = "p1") -> str:
        """A conversation that somebody else created; its id."""
        id_ = f"c{len(self.conversations) + 1:07x}"
        self.conversations[id_] = {
            "conversation_id": id_, "conversation_name": name, "status": status, "persona_id": persona,
            "conversation_url": f"https://tavus.daily.co/{id_}", "replica_id": "r1", "callback_url": "",
            "created_at": "2025-06-30T07:34:47.131571Z", "updated_at": "",
        }  # fmt: skip
        return id_

    @property
    def active(self) -> list[str]:
        """Ids of those that go on."""
        return [id_ for id_, each in self.conversations.items() if each["status"] == "active"]

    def count(self, line: str) -> int:
        """How often that was asked for."""
        return sum(each.line.startswith(line) for each in list(self.asked))

    def ends(self) -> int:
        """How often one was to be ended."""
        return sum(each.method == "POST" and each.path.endswith("/end") for each in list(self.asked))

    def fault(self, line: str) -> Fault | None:
        """What is to be done with a request that begins so."""
        for start, left in self.faults.items():
            if line.startswith(start) and left:
                return left[0] if len(left) == 1 else left.pop(0)
        return None

    def answer(self, asked: Asked) -> Told:
        """As Tavus does."""
        if asked.headers.get("x-api-key") != KEY:
            return 401, {"message": "Invalid access token"}
        if asked.body and asked.headers.get("content-type") != "application/json":
            return 415, {"message": "Unsupported media type"}
        return self._ask(asked) if asked.method == "GET" else self._order(asked)

    def _ask(self, asked: Asked) -> Told:
        match asked.path.split("/")[2:]:
            case ["conversations"]:
                return 200, self._page([*self.conversations.values()], asked.query)
            case ["conversations", id_]:
                return (200, self.conversations[id_]) if id_ in self.conversations else unknown()
            case ["personas"]:
                return 200, self._page(self.personas, asked.query)
            case _:
                return 404, {"message": "Not Found"}

    def _order(self, asked: Asked) -> Told:
        match asked.path.split("/")[2:]:
            case ["conversations"]:
                why = self._wrong(asked.body)
                return (400, why) if why else self._create(asked.body)
            case ["conversations", id_, "end"]:
                return self._end(id_)
            case ["personas"]:
                return self._persona(asked.body)
            case _:
                return 404, {"message": "Not Found"}

    def _page(self, rows: list[dict[str, Any]], query: dict[str, str]) -> object:
        if strange := set(query) - {"limit", "page", "status"}:
            return {"error": f"unknown {sorted(strange)}"}
        size = min(int(query.get("limit", "10")), self.largest)
        found = [row for row in rows if query.get("status", row.get("status")) == row.get("status")]
        at = 0 if self.bare else (int(query.get("page", "1")) - 1) * size
        part = found[at : at + size]
        return part if self.bare else {"data": part, "total_count": len(found)}

    def _wrong(self, body: dict[str, Any]) -> dict[str, str]:
        """What Tavus does not take, in its words."""
        properties: dict[str, Any] = body.get("properties", {})
        strange = (set(body) - OF_CONVERSATION) | (set(properties) - OF_PROPERTIES)
        reasons = {
            f"Unknown field {min(strange, default='')}": strange,
            "Not a valid string.": [name for name in STRINGS & set(body) if not isinstance(body[name], str)],
            "replica_id is required": not body.get("persona_id") and not body.get("replica_id"),
            "Invalid persona_id": body.get("persona_id") not in {None, "p1"},
            "Invalid max_call_duration": not 1 <= properties.get("max_call_duration", 3_600) <= 3_600,
        }
        if reason := next((words for words, wrong in reasons.items() if wrong), ""):
            return {"error": reason}
        full = len(self.active) >= self.most
        return {"message": "User has reached maximum concurrent conversations"} if full else {}

    def _create(self, body: dict[str, Any]) -> Told:
        with self.lock:
            id_ = self.add(body.get("conversation_name", ""), "ended" if body.get("test_mode") else "active")
        self.created()
        names = ("conversation_id", "conversation_name", "conversation_url", "status", "callback_url", "created_at")
        return 200, {name: self.conversations[id_][name] for name in names}

    def _end(self, id_: str) -> Told:
        if id_ not in self.conversations or self.conversations[id_]["status"] == "ended":
            return unknown()
        self.conversations[id_]["status"] = "ended"
        return 200, {}

    def _persona(self, body: dict[str, Any]) -> Told:
        if strange := (set(body) - OF_PERSONA) | (set(body.get("layers", {})) - OF_LAYERS):
            return 400, {"error": f"Unknown field {min(strange)}"}
        if not body.get("system_prompt"):
            return 400, {"error": "system_prompt is required"}
        row = {**body, "persona_id": f"p{len(self.personas) + 1}", "created_at": "2025-06-30T07:34:47Z"}
        self.personas.append(row)
        return 200, {name: row[name] for name in ("persona_id", "persona_name", "created_at")}


def unknown() -> Told:
    return 400, {"error": "Invalid conversation_id"}


def status(code: int, body: object = None, **headers: str) -> Fault:
    """Answer with that."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        data = body if isinstance(body, bytes) else json.dumps(body or {}).encode()
        handler.send_response(code)
        for name, value in {"content-length": str(len(data)), **headers}.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.end_headers()
        handler.wfile.write(data)

    return answer


def cut(handler: BaseHTTPRequestHandler) -> None:
    """Promise more than is sent."""
    status(200, b"{", content_length="100")(handler)
    handler.close_connection = True


def silent(seconds: float) -> Fault:
    """Say nothing for so long, then close."""

    def wait(handler: BaseHTTPRequestHandler) -> None:
        threading.Event().wait(seconds)
        handler.close_connection = True

    return wait


@contextmanager
def serving() -> Generator[Tavus]:
    """The stand-in on a port of its own."""
    tavus = Tavus()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            data = self.rfile.read(int(self.headers.get("content-length", 0)))
            url = urlsplit(self.path)
            headers = {name.lower(): value for name, value in self.headers.items()}
            body = cast("dict[str, Any]", json.loads(data)) if data else {}
            asked = Asked(self.command, url.path, dict(parse_qsl(url.query)), headers, body)
            tavus.asked.append(asked)
            fault = tavus.fault(asked.line)
            with suppress(ConnectionError):  # who asked may have been killed
                (fault or status(*tavus.answer(asked)))(self)

        def do_POST(self) -> None:
            self.do_GET()

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  the base class names it so
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        server.block_on_close = False
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        tavus.url = f"http://127.0.0.1:{server.server_address[1]}/v2"
        try:
            yield tavus
        finally:
            server.shutdown()
            thread.join()
