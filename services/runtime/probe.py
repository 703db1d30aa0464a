"""Asks a service of this machine whether it works, as a container's health check: `python -m services.runtime.probe <data>/run`.

Plain and small, because it is started every few seconds: it imports nothing of OnAir and nothing that is slow to load.
"""

import json
import socket
import sys
from pathlib import Path
from typing import Any

TIMEOUT_S = 3.0


def main(folder: Path) -> int:
    """0 if every service that wrote its note there is ready; otherwise 1, and why, in a line each."""
    notes = sorted(folder.glob("*-*.json"))
    if not notes:
        print("nothing runs here yet; if it stays so, the log says why")  # noqa: T201  Docker keeps what a check prints
    told = [sentence for note in notes for sentence in _ask(json.loads(note.read_text(encoding="utf-8")))]
    for sentence in told:
        print(sentence)  # noqa: T201  as above
    return 0 if notes and not told else 1


def _ask(note: dict[str, Any]) -> list[str]:
    """What keeps that service from working."""
    name = note["service"]
    try:
        with socket.create_connection(("127.0.0.1", note["health_port"]), TIMEOUT_S) as link:
            link.sendall(b"GET /readyz HTTP/1.0\r\n\r\n")
            head, _, body = link.makefile("rb").read().partition(b"\r\n\r\n")
        if head.split()[1] == b"200":
            return []
        return [f"{name}: {part}: {why}" for part, why in json.loads(body)["problems"].items()] or [f"{name} is stuck"]
    except (OSError, ValueError, LookupError) as error:
        return [f"{name} does not answer: {error!r}"]


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
