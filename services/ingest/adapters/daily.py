"""Conversations of Daily, by its SDK: joined as a listener, who sends and receives neither picture nor sound.

The SDK calls back on threads of its own, also after everything was let go; what it says crosses over into the loop through
an inbox that is bounded.
"""

import asyncio
import importlib
import json
import threading
from collections import deque
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import structlog

from services.contract.failure import Code, Failure
from services.ingest.core.ports import AppMessage
from services.runtime.metrics import REJECTED
from services.runtime.words import clip

log = structlog.get_logger(__name__)
INSTALL = "install it where ingest runs: pip install 'onair[daily]'"
USER = "listener"
JOIN_S = 30.0
"""Who is not in by then is not waited for. The SDK itself gives a network that is not there up after 20 s."""
SEND_S = 5.0
CLOSE_S = 3.0
"""Leaving takes no longer; the SDK may go on with it behind our back."""
EMPTY_S = 10.0
"""A conversation that everybody else has left for so long is over."""
WAITING, WAITING_BYTES = 10_000, 8 << 20
"""What waits for the loop; what comes then is dropped, counted, and told once."""
MESSAGE_BYTES = 256 << 10
"""Of one app-message; Daily's own limit is below it."""
QUIET = {"inputs": {"camera": False, "microphone": False}}
DEAF = {"base": {"camera": "unsubscribed", "microphone": "unsubscribed"}}
ENDED, ALONE = "the meeting has ended", "everybody else has left the meeting"


@cache
def library() -> Any:  # noqa: ANN401  the SDK's module, whose stubs are not here
    """The SDK, ready; raises Failure ENGINE_MISSING that says what to install.

    Once a process: a second `Daily.init()` ends the process.
    """
    try:
        sdk = importlib.import_module("daily")
    except (ImportError, OSError) as error:
        what = f"conversations of Daily need the package daily-python ({error}); {INSTALL}"
        raise Failure(Code.ENGINE_MISSING, what) from error
    sdk.Daily.init()
    return sdk


class Inbox:
    """What one client of the SDK says, from its threads to the loop. `put` and `later` are for those threads."""

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self._lock = threading.Lock()
        self._waiting: deque[AppMessage] = deque()
        self._bytes = 0
        self._told = False
        self.dropped = 0
        self.news = asyncio.Event()

    def later(self, do: Callable[..., None], *args: object) -> None:
        """Have the loop do it; nothing once the loop is gone."""
        try:
            self.loop.call_soon_threadsafe(do, *args)
        except RuntimeError:
            return  # the process ends, and nobody is left to hear it

    def put(self, message: object, sender: object) -> None:
        """An app-message came."""
        try:
            body = json.dumps(message, ensure_ascii=False).encode("utf-8", "replace")
        except (TypeError, ValueError, RecursionError):
            REJECTED.labels("daily", "not_json").inc()
            return
        with self._lock:
            full = len(self._waiting) >= WAITING or self._bytes + len(body) > WAITING_BYTES
            if full or len(body) > MESSAGE_BYTES:
                self._drop("full" if full else "too_large")
                return
            self._waiting.append(AppMessage(str(sender or ""), body))
            self._bytes += len(body)
        self.later(self.news.set)

    def _drop(self, reason: str) -> None:
        self.dropped += 1
        REJECTED.labels("daily", reason).inc()
        if not self._told:
            self._told = True
            log.warning("app-messages are dropped, told once a conversation", reason=reason)

    def take(self) -> AppMessage | None:
        """The oldest that waits."""
        with self._lock:
            if not self._waiting:
                return None
            message = self._waiting.popleft()
            self._bytes -= len(message.body)
            return message


class DailyStay:
    """One client of the SDK, from its making to its release."""

    def __init__(self, sdk: Any, empty_s: float) -> None:  # noqa: ANN401  as above
        self.inbox = Inbox()
        self._empty_s = empty_s
        self._joined: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        """'' or why not."""
        self._others: set[str] = set()
        self._alone: asyncio.TimerHandle | None = None
        self._error = ""
        self._over = ""
        self._closing: threading.Thread | None = None
        self._closed = asyncio.Event()
        self._client = sdk.CallClient(event_handler=_handler(sdk, self))

    async def join(self, url: str, proxy: str, limit_s: float) -> None:
        """Go in; raises Failure ENGINE_REFUSED or ENGINE_SILENT."""
        client = self._client

        def completion(data: Mapping[str, Any] | None, error: str | None) -> None:
            self.inbox.later(self._on_joined, data, error)

        client.set_user_name(USER)
        if proxy:
            client.set_proxy_url(proxy)
        client.update_subscription_profiles(DEAF)
        client.join(url, client_settings=QUIET, completion=completion)
        try:
            async with asyncio.timeout(limit_s):
                why = await self._joined
        except TimeoutError as error:
            raise Failure(Code.ENGINE_SILENT, f"Daily did not let us into {url} within {limit_s:g} s") from error
        if why:
            remedy = "is the id right, is the meeting still held, is daily.domain in onair.yaml its domain?"
            raise Failure(Code.ENGINE_REFUSED, f"could not join {url} ({clip(why, 300)}); {remedy}")

    def _on_joined(self, data: Mapping[str, Any] | None, error: str | None) -> None:
        if data:
            people: Mapping[str, Any] = data.get("participants") or {}
            self._others.update(id_ for id_, who in people.items() if id_ != "local" and not _is_us(who))
        self._settle("" if error is None else self._error or error)

    def _settle(self, why: str) -> None:
        if not self._joined.done():
            self._joined.set_result(why)

    def on_app_message(self, message: object, sender: object) -> None:
        """Of the SDK's thread."""
        if not self._closing:
            self.inbox.put(message, sender)

    def on_call_state_updated(self, state: str) -> None:
        """Of the SDK's thread."""
        if state == "left":
            self.inbox.later(self._end, "")

    def on_error(self, message: object) -> None:
        """Of the SDK's thread. It says why the state changes next, if it does: a message that was not sent is told too."""
        self.inbox.later(self._remember, str(message))

    def on_participant_joined(self, participant: Mapping[str, Any]) -> None:
        """Of the SDK's thread."""
        if not _is_us(participant):
            self.inbox.later(self._came, str(participant.get("id", "")))

    def on_participant_left(self, participant: Mapping[str, Any], reason: object) -> None:
        """Of the SDK's thread. Who hides is still there."""
        if reason != "hidden" and not _is_us(participant):
            self.inbox.later(self._went, str(participant.get("id", "")))

    def _remember(self, message: str) -> None:
        self._error = message

    def _came(self, id_: str) -> None:
        self._others.add(id_)
        if self._alone:
            self._alone.cancel()
            self._alone = None

    def _went(self, id_: str) -> None:
        self._others.discard(id_)
        if not self._others and not self._alone:
            loop = asyncio.get_running_loop()
            self._alone = loop.call_later(self._empty_s, self._end, ALONE)

    def _end(self, why: str) -> None:
        """It is over; a join under way says so itself, with its reason."""
        if self._joined.done():
            self._over = self._over or why or (f"{ENDED}: {clip(self._error, 300)}" if self._error else ENDED)
            self.inbox.news.set()

    async def next(self) -> AppMessage | str:
        """See the port. What came before the end is given before it."""
        while True:
            self.inbox.news.clear()
            if message := self.inbox.take():
                return message
            if self._over:
                return self._over
            await self.inbox.news.wait()

    async def send(self, message: Mapping[str, Any]) -> None:
        """See the port."""
        sent: asyncio.Future[str] = asyncio.get_running_loop().create_future()

        def settle(error: str | None) -> None:
            if not sent.done():
                sent.set_result(error or "")

        def completion(error: str | None) -> None:
            self.inbox.later(settle, error)

        try:
            self._client.send_app_message(dict(message), completion=completion)
            async with asyncio.timeout(SEND_S):
                why = await sent
        except TimeoutError:
            why = f"no answer within {SEND_S:g} s"
        except RuntimeError as error:  # it was released
            why = str(error)
        if why:
            raise Failure(Code.ENGINE_REFUSED, f"Daily did not take an app-message: {clip(why, 300)}")

    async def leave(self) -> None:
        """See the port. Releasing blocks until the SDK has left, up to its own patience: on a thread that nobody waits for."""
        if not self._closing:
            if self._alone:
                self._alone.cancel()
            self._closing = threading.Thread(target=self._close, name="daily close", daemon=True)
            self._closing.start()
        try:
            async with asyncio.timeout(CLOSE_S):
                await self._closed.wait()
        except TimeoutError:
            log.warning("Daily is slow to let a meeting go; it is left behind", after_s=CLOSE_S)

    def _close(self) -> None:
        try:
            self._client.leave()
            self._client.release()
        except Exception as error:  # noqa: BLE001  whatever the SDK says here, we are done with it
            log.warning("leaving a meeting failed", error=str(error))
        self.inbox.later(self._closed.set)


def _handler(sdk: Any, stay: DailyStay) -> Any:  # noqa: ANN401  as above
    """What the SDK calls: it looks for these methods in a subclass of its own class."""
    names = (
        "on_app_message",
        "on_call_state_updated",
        "on_error",
        "on_participant_joined",
        "on_participant_left",
    )
    methods: dict[str, Any] = {name: _passing(getattr(stay, name)) for name in names}
    return type("Ears", (sdk.EventHandler,), methods)()


def _passing(method: Callable[..., None]) -> Callable[..., None]:
    def call(_: object, *args: object) -> None:
        method(*args)

    return call


def _is_us(participant: Mapping[str, Any]) -> bool:
    info: Mapping[str, Any] = participant.get("info") or {}
    return bool(info.get("isLocal"))


class DailyConversations:
    """Meetings of one domain of Daily."""

    name = "daily"

    def __init__(self, domain: str, proxy: str = "", join_s: float = JOIN_S, empty_s: float = EMPTY_S) -> None:
        self._domain = domain
        self._proxy = proxy
        self._join_s = join_s
        self._empty_s = empty_s

    async def join(self, conversation: str) -> DailyStay:
        """See the port."""
        stay = DailyStay(library(), self._empty_s)
        try:
            await stay.join(f"https://{self._domain}.daily.co/{conversation}", self._proxy, self._join_s)
        except BaseException:
            await stay.leave()
            raise
        return stay
