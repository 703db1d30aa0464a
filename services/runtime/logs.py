"""Logs: one JSON object a line, with the turn and the trace bound; secrets never appear."""

import logging
import sys
import time
from collections.abc import Mapping, MutableMapping
from typing import Any

import structlog

SECRET_WORDS = ("key", "token", "secret", "password", "authorization", "cookie", "sessdata")
HIDDEN = "***"
_secrets: set[str] = set()


def hide(value: str) -> None:
    """Never let this value appear in a log line."""
    if len(value) >= 4:  # noqa: PLR2004  shorter ones would blank out ordinary words
        _secrets.add(value)


def _without_secrets(text: str) -> str:
    for secret in _secrets:
        text = text.replace(secret, HIDDEN)
    return text


def redact(_: object, __: str, event: MutableMapping[str, Any]) -> Mapping[str, Any]:
    """Blank out values whose name says secret, and every registered secret wherever it stands."""
    for name, value in event.items():
        if isinstance(value, str):
            secret = any(word in name.lower() for word in SECRET_WORDS)
            event[name] = HIDDEN if secret else _without_secrets(value)
    return event


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
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, format="%(name)s: %(message)s")


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
