"""A process with the services imported, which forks one for each start: a restart costs 50 ms instead of a second.

What is forked then runs the service's own `__main__`, as `python -m services.<name>` does. Orders come as JSON lines on
the standard input, `{key, service, env, log, sabotage}`; answers go to the standard output, `{key, pid}` and
`{pid, code}`. When its input ends the nest kills what it started, and ends.
"""

import gc
import importlib
import json
import os
import runpy
import selectors
import signal
import socket
import sys
import traceback
from typing import Any

from tests.chaos import sabotage
from tests.chaos.brokers import die_with_parent

SERVICES = ("tts", "llm", "ingest", "gateway")


def become(order: dict[str, Any]) -> int:
    """Be the service, in a child; the exit code."""
    die_with_parent()
    log = os.open(order["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    for end in (1, 2):
        os.dup2(log, end)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.environ.clear()
    os.environ.update(order["env"])
    try:
        sabotage.dress(order["sabotage"])
        runpy.run_module(f"services.{order['service']}", run_name="__main__", alter_sys=True)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 0
    except BaseException:  # noqa: BLE001  it goes to the log of the child, as it would otherwise
        traceback.print_exc()
        return 1
    return 0


def say(told: dict[str, object]) -> None:
    """One line to who started the nest."""
    os.write(1, f"{json.dumps(told)}\n".encode())


def hatch(order: dict[str, Any], living: set[int]) -> None:
    """Start one."""
    if (pid := os.fork()) == 0:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        code = become(order)
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    living.add(pid)
    say({"key": order["key"], "pid": pid})


def reap(living: set[int]) -> None:
    """Say who has ended."""
    while living:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if pid == 0:
            return
        living.discard(pid)
        say({"pid": pid, "code": os.waitstatus_to_exitcode(status)})


def wake(_number: int, _frame: object) -> None:
    """A child has ended: the descriptor that signals write to says so."""


def main() -> None:
    """Serve until the input ends."""
    for name in SERVICES:
        importlib.import_module(f"services.{name}.app")
    gc.freeze()
    living: set[int] = set()
    ours, theirs = socket.socketpair()
    theirs.setblocking(False)  # noqa: FBT003  its name is its meaning
    signal.signal(signal.SIGCHLD, wake)
    signal.set_wakeup_fd(theirs.fileno())
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    selector, rest = selectors.DefaultSelector(), b""
    selector.register(ours, selectors.EVENT_READ)
    selector.register(0, selectors.EVENT_READ)
    say({"key": "nest", "pid": os.getpid()})
    while True:
        for key, _ in selector.select():
            if key.fd == 0:
                if not (read := os.read(0, 65_536)):
                    for pid in living:
                        os.kill(pid, signal.SIGKILL)
                    return
                *lines, rest = (rest + read).split(b"\n")
                for line in lines:
                    hatch(json.loads(line), living)
            else:
                ours.recv(4_096)
                reap(living)


if __name__ == "__main__":
    main()
