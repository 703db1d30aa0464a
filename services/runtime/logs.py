"""Logs: one JSON object a line, with the turn and the trace bound; secrets never appear, nor in what else is told."""

import base64
import logging
import sys
import threading
import time
import traceback
from collections.abc import Mapping, MutableMapping
from types import TracebackType
from typing import Any, cast
from urllib.parse import quote, unquote, urlsplit

import structlog

SECRET_WORDS = ("key", "token", "secret", "password", "authorization", "cookie", "sessdata")
HIDDEN = "***"
LEAST_SECRET = 4
"""Characters: a shorter one would blank out ordinary words."""
CUT = 8
"""Characters: so much of a secret's beginning at the end of a text is no chance."""
_secrets: list[str] = []
"""The longest first, so that no part of one remains."""


def hide(value: str) -> None:
    """Never tell this value, in any of its spellings; of URLs, separated by commas, what `hide_url` says too."""
    _add(_spellings(value))
    for url in value.split(","):
        hide_url(url.strip())


def hide_url(url: str) -> None:
    """Never tell the password of this URL, nor name and password as HTTP sends them; the rest of it may be told."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return
    name, password = unquote(parts.username or ""), unquote(parts.password or "")
    if password:
        _add({parts.password or "", *_spellings(password), *_spellings(f"{name}:{password}")})


def _spellings(value: str) -> set[str]:
    """As it is, as in a URL, and as base64."""
    plain = value.encode(errors="surrogateescape")
    coded = {base64.b64encode(plain), base64.urlsafe_b64encode(plain)}
    return {value, quote(plain, safe=""), quote(plain), *(each.decode().rstrip("=") for each in coded)}


def _add(values: set[str]) -> None:
    known = {*_secrets, *(value for value in values if len(value) >= LEAST_SECRET)}
    _secrets[:] = sorted(known, key=lambda value: (-len(value), value))


def discreet(text: str) -> str:
    """The text without any secret that is hidden, nor the beginning of one at its end: for whatever leaves this process.

    What is to be shortened is shortened afterwards.
    """
    for secret in _secrets:
        text = text.replace(secret, HIDDEN)
    cut = max((_begun(text, secret) for secret in _secrets), default=0)
    return f"{text[:-cut]}{HIDDEN}" if cut else text


def _begun(text: str, secret: str) -> int:
    """How much of the secret's beginning stands at the end of the text, where the text was cut off."""
    tail = text[-CUT:]
    at = secret.find(tail) if len(text) >= CUT else -1
    while at >= 0 and not text.endswith(secret[: at + CUT]):
        at = secret.find(tail, at + 1)
    return at + CUT if at >= 0 else 0


def redact(_: object, __: str, event: MutableMapping[str, Any]) -> Mapping[str, Any]:
    """Blank out values whose name says secret, and every registered secret wherever it stands."""
    for name, value in event.items():
        event[name] = _redacted(name, value)
    return event


def _redacted(name: str, value: object) -> object:
    """Texts, and those in tables and lists; what is told by its `repr` counts as a text."""
    match value:
        case str():
            return HIDDEN if any(word in name.lower() for word in SECRET_WORDS) else discreet(value)
        case None | bool() | int() | float():
            return value
        case dict():
            table = cast("dict[object, object]", value)
            return {discreet(str(key)): _redacted(str(key), each) for key, each in table.items()}
        case list() | tuple() | set() | frozenset():
            return [_redacted(name, each) for each in cast("list[object]", value)]
        case _:
            return discreet(repr(value))


class _Discreet(logging.Formatter):
    """Lines of libraries, their tracebacks too, without secrets."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        return discreet(super().format(record))


def _tell_end(kind: type[BaseException], error: BaseException | None, trace: TracebackType | None) -> None:
    """What an exception that nobody caught leaves on standard error."""
    sys.stderr.write(discreet("".join(traceback.format_exception(kind, error, trace))))


def _tell_end_of_thread(args: threading.ExceptHookArgs) -> None:
    if args.exc_type is not SystemExit:
        _tell_end(args.exc_type, args.exc_value, args.exc_traceback)


def configure(service: str, level: str = "INFO", *, debug: bool = False) -> None:
    """Write this process's log to standard error; `debug` adds each event, prompt, answer and engine call."""
    threshold = logging.DEBUG if debug else logging.getLevelNamesMapping().get(level.upper(), logging.INFO)
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            redact,
            structlog.processors.JSONRenderer(ensure_ascii=False),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=True,
    )
    structlog.contextvars.bind_contextvars(service=service)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Discreet("%(name)s: %(message)s"))
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
    sys.excepthook = _tell_end
    threading.excepthook = _tell_end_of_thread


class Throttle:
    """Lets one line a second through and counts the others."""

    def __init__(self, seconds: float = 1.0) -> None:
        self._seconds = seconds
        self._next = 0.0
        self.held_back = 0

    def ready(self) -> bool:
        """Whether a line may be written now."""
        now = time.monotonic()
        if now < self._next:
            self.held_back += 1
            return False
        self._next = now + self._seconds
        return True
