"""Plays WAV files one after the other with a player of this machine, while the command goes on."""

import queue
import shutil
import subprocess
import threading
from pathlib import Path

PLAYERS = (
    ("paplay",), ("aplay", "-q"), ("afplay",), ("ffplay", "-nodisp", "-autoexit", "-loglevel", "quiet"),
)  # fmt: skip
"""Programs that play a file named behind them, in order of preference."""


def program() -> tuple[str, ...]:
    """The first player that this machine has; () if it has none."""
    for name, *options in PLAYERS:
        if path := shutil.which(name):
            return (path, *options)
    return ()


class Player:
    """Plays what it is given, in order; gives up for good when the program fails."""

    def __init__(self, argv: tuple[str, ...]) -> None:
        self._argv = argv
        self._files: queue.Queue[Path] = queue.Queue()
        self._process: subprocess.Popen[bytes] | None = None
        self._skipping = False
        self.problem = "" if argv else "this machine has no player (aplay, paplay, afplay or ffplay)"
        threading.Thread(target=self._run, daemon=True, name="player").start()

    def play(self, file: Path) -> None:
        """Play it when those before it have ended."""
        self._files.put(file)

    def wait(self) -> None:
        """Return when everything has been played."""
        self._files.join()

    def stop(self) -> None:
        """Silence at once; what was waiting is not played any more."""
        self._skipping = True
        if (process := self._process) and process.poll() is None:
            process.terminate()
        self._files.join()
        self._skipping = False

    def _run(self) -> None:
        while True:
            file = self._files.get()
            try:
                self._one(file)
            finally:
                self._files.task_done()

    def _one(self, file: Path) -> None:
        if self.problem or self._skipping:
            return
        try:
            self._process = subprocess.Popen(  # noqa: S603  a player of this list, a file of ours
                (*self._argv, str(file)),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
        except OSError as error:
            self.problem = f"{self._argv[0]} cannot be started ({error.strerror})"
            return
        if self._skipping:
            self._process.terminate()
        if (code := self._process.wait()) and not self._skipping:
            self.problem = f"{self._argv[0]} cannot play here (exit code {code})"
