"""The map: every key of the two brokers, who writes it, who reads it, how long it is kept."""

from dataclasses import dataclass
from typing import Literal

Broker = Literal["work", "live"]


@dataclass(frozen=True)
class Stream:
    """A stream with one consumer group whose entries are deleted on completion: its length is the unfinished work."""

    name: str
    """`<pool>` stands for a pool's name."""
    group: str
    message: str
    writers: tuple[str, ...]

    def key(self, pool: str = "") -> str:
        """The key on the work broker."""
        return self.name.replace("<pool>", pool)


TURNS = Stream("turns", "llm", "TurnRequested", ("ingest", "gateway"))
SPEAK_CALL = Stream("speak:<pool>:call", "tts", "SentenceReady", ("llm", "tts"))
SPEAK_SHOW = Stream("speak:<pool>:show", "tts", "SentenceReady", ("llm", "tts"))
LISTEN = Stream("listen", "asr", "ClipHeard", ("gateway",))
CALLS = Stream("calls", "asr", "CallOpened", ("gateway",))
"""Short orders: one is done as soon as a worker holds the call's lease."""
JOINS = Stream("joins", "ingest", "ConversationWanted", ("gateway",))
"""Short orders, as `calls`: one is done as soon as a process holds the conversation's lease."""
WORK_STREAMS = (TURNS, SPEAK_CALL, SPEAK_SHOW, LISTEN, CALLS, JOINS)

SPEAK_ANY = "speak:*"
"""Matches the streams of all pools."""

DEAD = "dead"
"""Work: messages that failed for good, with reason, bytes and trace."""
SILENCE = "silence"
"""Work: the kill switch; read inside every commit."""
INTERRUPTS = "interrupts"
"""Work: a pub/sub channel that only speeds interrupts up."""
AUDIT = "audit"
"""Work: what operators did, with who and when; the newest `AUDIT_KEPT`."""
WORKERS = "workers"
"""Work: a sorted set: `<service>:<name>` of each process by the Unix milliseconds at which it last said that it lives."""
TAVUS = "tavus"
"""Work: a hash: mark → `ConversationCreated`, of each conversation at Tavus that OnAir created and has not ended yet."""
CRON, CRON_TERM = "rq:onair:cron", "rq:onair:term"
"""Work: who puts in what is due by the clock; leased as a room is. All other `rq:*` keys are rq's own."""

SESSION_KEPT_MS = 120_000
"""A session's entries are kept this long."""
SESSION_IDLE_S = 15 * 60
ROOM_IDLE_S = 24 * 3_600
CLIP_KEPT_S = 60
MIC_KEPT_MS = 75_000
"""A call's sound is kept this long."""
MIC_IDLE_S = 120
WAKE_IDLE_S = 60
TURN_KEPT_S = 24 * 3_600
SEEN_KEPT_S = 7 * 24 * 3_600
LEASE_MS = 3_000
AUDIT_KEPT = 1_000
ENDING_MS = 30_000
GONE_KEPT_MS = 60_000
"""A process that is gone is remembered so long."""


@dataclass(frozen=True)
class Key:
    """One line of the map."""

    pattern: str
    broker: Broker
    writers: tuple[str, ...]
    readers: tuple[str, ...]

    def of(self, name: str) -> str:
        """The key of one session, room, turn, event or pool."""
        head, _, _ = self.pattern.partition("<")
        return head + name


PAID = Key("paid:<room>", "work", ("ingest", "gateway"), ("ingest",))
CHAT = Key("chat:<room>", "work", ("gateway",), ("ingest",))
"""The newest comments that came by the API; the director takes them out."""
ANSWER = Key("answer:<turn>", "work", ("llm", "ingest"), ("llm", "tts", "ingest", "gateway"))
SPOKEN = Key("spoken:<turn>", "work", ("tts",), ("llm", "ingest", "gateway"))
HISTORY = Key("history:<session>", "work", ("llm",), ("llm", "gateway"))
LEDGER = Key("ledger:<room>", "work", ("ingest", "gateway"), ("gateway", "onair"))
SHOW = Key("show:<room>", "work", ("ingest", "gateway"), ("gateway", "onair"))
"""What lasts of a show: `TurnSettled` and `Counted`, until `keep.shows` of the configuration has passed."""
FLOOR = Key("floor:<room>", "work", ("ingest",), ("ingest",))
EPOCH = Key("epoch:<session>", "work", ("gateway", "ingest"), ("llm", "tts", "ingest", "gateway"))
SEEN = Key("seen:<room>:<event>", "work", ("ingest", "gateway"), ("ingest", "gateway"))
LEASE = Key("lease:<room>", "work", ("ingest",), ("ingest",))
TERM = Key("term:<room>", "work", ("ingest",), ("ingest",))
POOL = Key("pool:<name>", "work", ("tts",), ("llm", "tts"))
WORKER = Key("worker:<service>:<name>", "work", ("asr", "llm", "tts", "ingest", "gateway", "avatar"), ("gateway",))
"""Who a process is, what it does and whether it can; for `LEASE_MS`, said again each second."""
SESSION = Key(
    "session:<id>",
    "live",
    ("asr", "llm", "tts", "ingest", "gateway"),
    ("gateway", "avatar", "ingest", "llm", "tts", "onair"),
)
READERS = ("asr", "llm", "tts", "ingest", "gateway", "avatar", "onair")
CLIP = Key("clip:<session>", "live", ("gateway",), ("asr",))
MIC = Key("mic:<session>", "live", ("gateway",), ("asr",))
"""A stream of `AudioHeard`: what the caller says."""
WAKE = Key("wake:<read>", "live", READERS, READERS)
"""Wakes a blocking read of many keys when they change: one for each such read of a process."""
ATTEND = Key("attend:<session>", "work", ("asr", "ingest"), ("asr", "ingest", "gateway"))
"""Who listens to the call, who joins the conversation; for `LEASE_MS`, renewed each second."""
WANTED = Key("wanted:<session>", "work", ("gateway", "ingest"), ("ingest",))
"""A sorted set: gateways with listeners of the conversation, by the Unix milliseconds (work's clock) at which that ends."""
JOINED = Key("joined:<session>", "work", ("ingest",), ("gateway",))
"""The `call` of the conversation while somebody is in it; for `LEASE_MS`, renewed each second."""
ASKED = Key("asked:<turn>", "work", ("gateway",), ("gateway",))
"""A call's turn that was asked for: another gateway that takes the call over asks for it no second time."""
GENERATION = Key("generation:<session>", "live", ("gateway",), ("gateway",))
"""A word that stands for what live holds of the session: another one after live has forgotten it."""
TICKET = Key("ticket:<hash>", "work", ("gateway",), ("gateway",))
"""Opens one WebSocket, once, at any gateway; the SHA-256 of what the client shows, for thirty seconds."""
ENDING = Key("ending:<mark>", "work", ("gateway",), ("gateway",))
"""Who ends a conversation at Tavus now: one process at a time, for `ENDING_MS`."""
KEYS = (
    PAID,
    CHAT,
    ANSWER,
    SPOKEN,
    HISTORY,
    LEDGER,
    SHOW,
    FLOOR,
    EPOCH,
    SEEN,
    LEASE,
    TERM,
    POOL,
    WORKER,
    SESSION,
    CLIP,
    MIC,
    WAKE,
    ATTEND,
    WANTED,
    JOINED,
    ASKED,
    GENERATION,
    TICKET,
    ENDING,
)


def conversation(id_: str) -> str:
    """The session of a conversation of Daily; no call, chat or room has such a name."""
    return f"daily:{id_}"


def speak(pool: str, kind: str) -> str:
    """The stream of a pool's sentences: calls and chats before shows."""
    return (SPEAK_SHOW if kind == "room" else SPEAK_CALL).key(pool)
