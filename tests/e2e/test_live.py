"""`onair demo` as a person sees it: a terminal that lives, and ends when it is told to."""

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.onair.helpers import alive

ROOT = Path(__file__).parents[2]
ONAIR = Path(sys.executable).with_name("onair")
PATIENCE_S = 60.0
STOP_S = 5.0
pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.timeout(180)]


@dataclass
class Terminal:
    """A pseudo-terminal of 120×40 with a program in it."""

    process: subprocess.Popen[bytes]
    master: int
    raw: bytes = b""

    def until(self, holds: Callable[[str], bool]) -> str:
        """Read until the text fulfils it; fails after a long while, with what there is."""
        limit = time.monotonic() + PATIENCE_S
        while not holds(self.text):
            assert time.monotonic() < limit, self.text[-3_000:]
            self.read()
        return self.text

    def read(self) -> None:
        if select.select([self.master], [], [], 0.2)[0]:
            try:
                self.raw += os.read(self.master, 65_536)
            except OSError:  # the other end is closed: the program has ended
                return

    @property
    def text(self) -> str:
        """All that was written, without what steers the terminal."""
        return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", self.raw.decode(errors="replace"))

    def end(self) -> int:
        """Ctrl-C; the exit code, within the promised time."""
        os.write(self.master, b"\x03")
        limit = time.monotonic() + STOP_S
        while self.process.poll() is None:
            assert time.monotonic() < limit, "it did not end in time"
            self.read()
        return self.process.returncode


def environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("OPENAI_")} | {"TERM": "xterm"}


def started(data: Path) -> Terminal:
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
    command = [str(ONAIR), "demo", "--data", str(data), "--port", "0"]

    def own_terminal() -> None:
        os.setsid()
        fcntl.ioctl(slave, termios.TIOCSCTTY, 0)

    process = subprocess.Popen(
        command,
        cwd=ROOT,
        stdin=slave,
        stdout=slave,
        stderr=slave,
        env=environment(),
        preexec_fn=own_terminal,  # noqa: PLW1509  Ctrl-C reaches who has the terminal; no thread runs here
    )
    os.close(slave)
    return Terminal(process, master)


def children(pid: int) -> list[int]:
    """Process ids of all that this process started: services, brokers, watchdog."""
    found = subprocess.run(["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True, check=True)
    return [int(child) for child in found.stdout.split()]


def test_a_person_sees_the_show_and_ends_it(tmp_path: Path) -> None:
    """Comments, a sentence with its age, eight healthy parts; Ctrl-C ends it within 5 s with 130 and leaves nothing."""
    terminal = started(tmp_path)
    try:
        text = terminal.until(lambda text: "▶ " in text and " = lane " in text and "all is well" in text)
        assert re.search(r"http://127\.0\.0\.1:\d+/", text)
        assert re.search(r"why\s+\S.*\((paid_first|highest_price|oldest_chat|welcome)\)", text)
        for part in ("ingest", "asr", "llm", "tts", "avatar", "gateway", "work", "live"):
            assert f"● {part}" in text
        terminal.until(lambda text: "super chat" in text or "¥30" in text)
        running = children(terminal.process.pid)
        assert (
            len(running) >= 10
        )  # the watchdog, two brokers, six services, jobs; the jobs' worker may be there already
        assert terminal.end() == 130
        assert [pid for pid in running if alive(pid)] == []
    finally:
        if terminal.process.poll() is None:
            terminal.process.send_signal(signal.SIGTERM)
            terminal.process.wait(20)
        os.close(terminal.master)


def test_a_closed_terminal_ends_it(tmp_path: Path) -> None:
    """Whoever closes the window leaves nothing running."""
    terminal = started(tmp_path)
    try:
        terminal.until(lambda text: " = lane " in text)
        running = children(terminal.process.pid)
        os.close(terminal.master)
        assert terminal.process.wait(STOP_S) in {0, 130}
        assert [pid for pid in running if alive(pid)] == []
    finally:
        if terminal.process.poll() is None:
            terminal.process.kill()
            terminal.process.wait(20)


def test_without_a_terminal_it_says_lines(tmp_path: Path) -> None:
    """Into a pipe or a file: a line for each comment, choice and sentence, nothing that steers; SIGINT ends it with 130."""
    command = [str(ONAIR), "demo", "--data", str(tmp_path), "--port", "0"]
    process = subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment()
    )
    said: list[str] = []
    try:
        assert process.stdout
        for line in process.stdout:
            said.append(line)
            if " = lane " in line:
                break
        text = "".join(said)
        assert said[0].startswith("watch and listen: http://127.0.0.1:")
        assert "answers next: " in text
        assert "\x1b" not in text
        process.send_signal(signal.SIGINT)
        assert process.wait(STOP_S + 1) == 130
    finally:
        process.kill()
        process.wait(10)
        if process.stdout:
            process.stdout.close()
