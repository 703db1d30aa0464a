"""Where the stand-in of Daily's SDK holds its meetings: a server that sees who is in them, and lets things happen there."""

import json
import socketserver
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

PATIENCE_S = 30.0
REPLICA = {"id": "replica", "info": {"isLocal": False, "userName": "replica"}}
US = {"id": "us", "info": {"isLocal": True, "userName": "listener"}}


@dataclass
class Guest:
    """One client of the SDK, as the cloud sees it."""

    about: dict[str, Any]
    """What it said when it came: `join` (the URL), `user`, `proxy`, `settings`, `profiles`."""
    write: Callable[[dict[str, Any]], None]
    sent: list[Any] = field(default_factory=list[Any])
    """App-messages that it sent."""

    @property
    def meeting(self) -> str:
        return str(self.about["join"]).rpartition("/")[2]


@dataclass
class Cloud:
    """All meetings. Everybody is let in, but where `refusals` says why not; `slow`: who is not answered at all."""

    address: str = ""
    refusals: dict[str, str] = field(default_factory=dict[str, str])
    slow: set[str] = field(default_factory=set[str])
    joins: list[Guest] = field(default_factory=list[Guest])
    """Everybody who ever came."""
    inside: list[Guest] = field(default_factory=list[Guest])
    lock: threading.Lock = field(default_factory=threading.Lock)

    def came(self, guest: Guest) -> bool:
        """Whether somebody who comes is let in."""
        with self.lock:
            self.joins.append(guest)
            if guest.meeting in self.slow:
                return True
            if why := self.refusals.get(guest.meeting):
                guest.write({"refused": why})
                return False
            self.inside.append(guest)
            guest.write({"joined": {"participants": {"replica": REPLICA, "local": US}}})
            return True

    def went(self, guest: Guest) -> None:
        with self.lock:
            if guest in self.inside:
                self.inside.remove(guest)

    def say(self, meeting: str, message: object, sender: str = "replica") -> None:
        """Somebody in the meeting sends that."""
        self.tell(meeting, {"message": message, "sender": sender})

    def end(self, meeting: str, why: str) -> None:
        """The meeting is over."""
        self.tell(meeting, {"ended": why})

    def tell(self, meeting: str, event: dict[str, Any]) -> None:
        with self.lock:
            for guest in self.inside:
                if guest.meeting == meeting:
                    guest.write(event)

    def in_(self, meeting: str) -> list[Guest]:
        """Who of us is there."""
        with self.lock:
            return [guest for guest in self.inside if guest.meeting == meeting]

    def until(self, meeting: str, count: int, patience_s: float = PATIENCE_S) -> float:
        """Wait until so many of us are there; the seconds it took."""
        begun = time.monotonic()
        while len(self.in_(meeting)) != count:
            assert time.monotonic() - begun < patience_s, [guest.about for guest in self.joins]
            time.sleep(0.02)
        return time.monotonic() - begun


@contextmanager
def cloud() -> Generator[Cloud]:
    """A cloud on a free port."""
    made = Cloud()

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            def write(line: dict[str, Any]) -> None:
                try:
                    self.wfile.write(json.dumps(line).encode() + b"\n")
                except OSError:
                    return  # it is gone, which its reader notices

            guest = Guest(json.loads(self.rfile.readline()), write)
            try:
                if made.came(guest):
                    for line in self.rfile:
                        guest.sent.append(json.loads(line)["send"])
            except OSError:
                return  # killed
            finally:
                made.went(guest)

    class Server(socketserver.ThreadingTCPServer):
        allow_reuse_address = True
        daemon_threads = True

    with Server(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        made.address = f"127.0.0.1:{server.server_address[1]}"
        try:
            yield made
        finally:
            server.shutdown()
            thread.join()
