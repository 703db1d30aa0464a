"""A stand-in for the package daily-python 0.36, whose meetings are held by `tests.ingest.cloud` at FAKE_DAILY, host:port.

It does what the real one was seen to do without its cloud: callbacks come one after the other on a thread of each client;
a join that fails tells its error, then the states, then its completion, then an error again; a message that is not sent is
told twice too; releasing blocks until the client has left, and whatever is called later raises; a second init ends it all.
What it does inside a meeting is what the package's documentation says.
"""

import json
import os
import queue
import socket
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

NOT_OPEN = "AppMessage(Signalling(ChannelNotOpen))"


class Daily:
    """The process's part of the SDK."""

    begun = 0

    @staticmethod
    def init(worker_threads: int = 2) -> None:
        """Once: the real one aborts the process the second time."""
        assert worker_threads
        Daily.begun += 1
        if Daily.begun > 1:
            raise SystemExit("Execution context already exists!")


class EventHandler:
    """What may be overridden, of what is used."""

    def on_app_message(self, message: Any, sender: str) -> None: ...

    def on_call_state_updated(self, state: str) -> None: ...

    def on_error(self, message: str) -> None: ...

    def on_participant_joined(self, participant: Mapping[str, Any]) -> None: ...

    def on_participant_left(self, participant: Mapping[str, Any], reason: str) -> None: ...


class CallClient:
    """One participant."""

    def __init__(self, event_handler: EventHandler) -> None:
        self._handler = event_handler
        self._todo: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._about: dict[str, Any] = {}
        self._link: socket.socket | None = None
        self._state = "initialized"
        self._left = threading.Event()
        self._released = False
        self._joining: Callable[[Any, str | None], None] | None = None
        threading.Thread(target=self._work, name="daily worker", daemon=True).start()

    def _work(self) -> None:
        while True:
            self._todo.get()()

    def _alive(self) -> None:
        if self._released:
            raise RuntimeError("this object has already been released")

    def set_user_name(self, user_name: str) -> None:
        self._alive()
        self._about["user"] = user_name

    def set_proxy_url(
        self, proxy_url: str | None = None, completion: Callable[[str | None], None] | None = None
    ) -> None:
        self._alive()
        assert completion is None
        self._about["proxy"] = proxy_url

    def update_subscription_profiles(self, profile_settings: Mapping[str, Any]) -> None:
        self._alive()
        self._about["profiles"] = dict(profile_settings)

    def join(
        self,
        meeting_url: str,
        meeting_token: str | None = None,
        client_settings: Mapping[str, Any] | None = None,
        completion: Callable[[Any, str | None], None] | None = None,
    ) -> None:
        self._alive()
        assert completion
        self._joining = completion
        self._about |= {"join": meeting_url, "token": meeting_token, "settings": dict(client_settings or {})}
        self._todo.put(self._connect)

    def _connect(self) -> None:
        self._be("joining")
        host, _, port = os.environ["FAKE_DAILY"].rpartition(":")
        try:
            self._link = socket.create_connection((host, int(port)), 5)
            self._link.settimeout(None)
            self._write(self._about)
        except OSError:
            self._refused("Failed to fetch room information: GET failed: client error (Connect)")
            return
        threading.Thread(target=self._read, args=(self._link,), name="daily reader", daemon=True).start()

    def _write(self, line: Mapping[str, Any]) -> None:
        assert self._link
        self._link.sendall(json.dumps(line).encode() + b"\n")

    def _read(self, link: socket.socket) -> None:
        with link.makefile("rb") as lines:
            for line in lines:
                event = json.loads(line)
                self._todo.put(lambda event=event: self._event(event))

    def _event(self, event: dict[str, Any]) -> None:
        match event:
            case {"joined": data}:
                self._be("joined")
                self._complete(data, None)
            case {"refused": why}:
                self._refused(why)
            case {"message": message, "sender": sender}:
                self._handler.on_app_message(message, sender)
            case {"came": participant}:
                self._handler.on_participant_joined(participant)
            case {"went": participant, "reason": reason}:
                self._handler.on_participant_left(participant, reason)
            case {"ended": why}:
                self._handler.on_error(why)
                self._gone()
            case _:
                raise AssertionError(event)

    def _refused(self, why: str) -> None:
        self._handler.on_error(why)
        self._gone()
        self._complete(None, f"Connection(Api({why!r}))")
        self._handler.on_error(f"Error handling join: Connection(Api({why!r}))")

    def _complete(self, data: Any, error: str | None) -> None:
        completion, self._joining = self._joining, None
        if completion:
            completion(data, error)

    def _gone(self) -> None:
        if self._state != "left":
            self._be("leaving")
            if self._link:
                with suppress(OSError):  # the other side was faster
                    self._link.shutdown(socket.SHUT_RDWR)
                self._link.close()
            self._be("left")
            self._left.set()

    def _be(self, state: str) -> None:
        self._state = state
        self._handler.on_call_state_updated(state)

    def send_app_message(
        self,
        message: Any,
        participant_id: str | None = None,
        serialize_none: bool = True,  # noqa: FBT001, FBT002  the SDK's signature
        completion: Callable[[str | None], None] | None = None,
    ) -> None:
        self._alive()
        assert participant_id is None
        assert serialize_none
        assert completion

        def send() -> None:
            if self._state == "joined":
                self._write({"send": message})
                completion(None)
            else:
                completion(NOT_OPEN)
                self._handler.on_error(f"Error handling sendAppMessage: {NOT_OPEN}")

        self._todo.put(send)

    def leave(self, completion: Callable[[str | None], None] | None = None) -> None:
        self._alive()
        self._todo.put(self._gone)
        if completion:
            self._todo.put(lambda: completion(None))

    def release(self) -> None:
        self._alive()
        self._released = True
        self._todo.put(self._gone)
        self._left.wait()
        # It says something even now.
        self._todo.put(lambda: self._handler.on_app_message({"too": "late"}, "someone"))
        self._todo.put(lambda: self._handler.on_error("too late"))
