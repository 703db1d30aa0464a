"""The fake service. FAKE: ready, never, usage, crash, stubborn, parent, or once:<file> (ready after one crash)."""

import json
import os
import signal
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

MODE = os.environ.get("FAKE", "ready")
SLEEPER = (sys.executable, "-c", "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(300)")


class Ready(BaseHTTPRequestHandler):
    """Answers every page like /readyz."""

    def do_GET(self) -> None:
        """Say whether the actor is ready, and if not, what keeps it."""
        problems = {"engine": "the engine is missing; install it"} if MODE == "never" else {}
        self.send_response(503 if problems else 200)
        self.end_headers()
        self.wfile.write(json.dumps({"ready": not problems, "problems": problems}).encode())

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the base class's name
        """Say nothing."""


def main() -> None:
    """Leave the note, serve until SIGTERM."""
    sys.stderr.write(f"this is {MODE}\n")
    if MODE == "usage":
        sys.stderr.write("persona 'x' is unknown; add it to onair.yaml\n")
        sys.exit(2)
    name, _, marker = MODE.partition(":")
    if name == "crash" or (name == "once" and not Path(marker).exists()):
        Path(marker or os.devnull).touch()
        sys.exit(1)
    server = HTTPServer(("127.0.0.1", 0), Ready)
    note = Path(os.environ["ONAIR_DATA"]) / "run" / f"actor-{os.getpid()}.json"
    note.parent.mkdir(parents=True, exist_ok=True)
    body = {"service": "actor", "pid": os.getpid(), "health_port": server.server_port, "port": server.server_port}
    if MODE == "parent":
        body["child"] = subprocess.Popen(SLEEPER).pid
    note.write_text(json.dumps(body), encoding="utf-8")
    threading.Thread(target=server.serve_forever, daemon=True).start()
    ignored = {signal.SIGTERM} if MODE == "stubborn" else set[signal.Signals]()
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    while signal.sigwait({signal.SIGTERM}) in ignored:
        sys.stderr.write("not yet\n")


if __name__ == "__main__":
    main()
