"""What a page of the show needs, from a room's session: the queue, the turn on air, captions, sound on the show's clock.

Sounds lie on the clock where every other reader places them. A turn is closed for the timeline as soon as its sound is
made; here it lasts until that has been heard, so that whatever ends it before stops the page.
"""

import json
import struct
from dataclasses import dataclass
from typing import Any

from services.contract.avatar import Posed
from services.contract.failure import Failed
from services.contract.gateway import Interrupted
from services.contract.ingest import ShowEnded, TurnDropped, TurnRequested
from services.contract.message import Message
from services.contract.tts import AIR_RATE
from services.gateway.core.queue import Queue
from services.runtime.timeline import Caption, Closed, Floor, Lost, Opened, Out, SentenceOver, Sound, Timeline

Event = dict[str, Any]
"""What the page is told in JSON; `type` says what it is. Times are Unix milliseconds on the server's clock."""
KNOWN_TURNS = 32
FAILED_MS = 60_000
"""A page that joins is told of a failure so long after it."""


@dataclass(frozen=True)
class Clip:
    """A piece of sound: s16le mono at `AIR_RATE`."""

    turn: str
    index: int
    offset: int
    """Position of its first sample in the sentence."""
    at_ms: float
    """Unix milliseconds at which its first sample is heard."""
    pcm: bytes


Told = Event | Clip


@dataclass(frozen=True)
class _Laid:
    """Sound on the clock: samples since its origin. `pcm` is empty where it was lost."""

    turn: str
    index: int
    offset: int
    begin: int
    end: int
    pcm: bytes


class Stage:
    """Feed it a room's entries in their order with the broker's time of each; it says what the page is told.

    Its clock begins at `origin_ms`, Unix milliseconds, which lies before the first entry.
    """

    def __init__(self, origin_ms: int) -> None:
        self._timeline = Timeline()
        self._floor = Floor(AIR_RATE, origin_ms)
        self._queue = Queue()
        self._requests: dict[str, TurnRequested] = {}
        self._turns: dict[str, Event] = {}
        self._captions: list[Event] = []
        self._begun: Caption | None = None
        self._laid: list[_Laid] = []
        self._ended: Event | None = None
        self._failed: Event | None = None
        self._pose: Event | None = None

    def feed(self, ms: int, message: Message, blob: bytes = b"") -> list[Told]:
        """What the page is told because of this entry."""
        epoch = self._timeline.epoch
        outs = self._timeline.feed(message, blob)
        told: list[Told] = [card.told() for card in self._queue.feed(message)]
        told += self._note(ms, message)
        if self._timeline.epoch > epoch:
            told += self._silence(ms, None, message.by if isinstance(message, Interrupted) else "interrupted")
        elif isinstance(message, TurnDropped):
            told += self._silence(ms, message.turn, message.reason)
        for out in outs:
            told += self._hear(ms, out)
        self._forget(ms)
        return told

    def present(self, now_ms: int) -> list[Told]:
        """What a page that joins is told: how things stand, then the sound that is still ahead, from this moment on."""
        self._forget(now_ms)
        failed = self._failed if self._failed and now_ms - self._failed["at_ms"] < FAILED_MS else None
        now: Event = {
            "type": "present",
            "now_ms": now_ms,
            "cards": [card.told() for card in self._queue.cards],
            "turns": [dict(turn) for turn in self._turns.values()],
            "captions": [dict(caption) for caption in self._captions],
            "pose": self._pose,
            "failed": failed,
            "ended": self._ended,
        }
        at = self._at(now_ms)
        return [now, *(self._clip(laid, at) for laid in self._laid if laid.pcm)]

    def _note(self, ms: int, message: Message) -> list[Told]:
        """Facts that are told as they are."""
        match message:
            case TurnRequested():
                self._requests[message.turn] = message
                if len(self._requests) > KNOWN_TURNS:
                    del self._requests[next(iter(self._requests))]
            case Failed(turn=turn, code=code, sentence=sentence):
                self._failed = {"type": "failed", "turn": turn, "code": code, "sentence": sentence, "at_ms": ms}
                return [self._failed]
            case ShowEnded(received=received, answered=answered, dropped=dropped):
                self._ended = {"type": "ended", "received": received, "answered": answered, "dropped": dropped}
                return [self._ended]
            case Posed(expression=face, turn=turn, at_ms=at_ms):
                self._pose = {"type": "pose", "face": face, "turn": turn, "at_ms": at_ms}
                return [self._pose]
            case _:
                pass
        return []

    def _hear(self, ms: int, out: Out) -> list[Told]:  # noqa: PLR0911  one for each kind
        match out:
            case Opened(turn=turn):
                return [self._open(ms, turn)]
            case Caption():
                self._begun = out
                return []
            case Sound(turn=turn, index=index, offset=offset, pcm=pcm):
                return self._lay(ms, turn, index, offset, len(pcm) // 2, pcm)
            case Lost(turn=turn, index=index, samples=samples):
                return self._lay(ms, turn, index, 0, samples, b"")
            case SentenceOver(turn=turn, index=index):
                return self._sentence_over(turn, index)
            case Closed(turn=turn):
                return [self._close(ms, turn)]
            case _:
                return self._silence(ms, out.turn, out.reason)

    def _close(self, ms: int, turn: str) -> Event:
        """A turn lasts until its sound has been heard."""
        to_ms = max(ms, self._floor.free_at_ms())
        self._turns[turn]["to_ms"] = to_ms
        return {"type": "turn_over", "turn": turn, "to_ms": to_ms}

    def _open(self, ms: int, turn: str) -> Event:
        asked = self._requests.get(turn)
        self._ended = None
        self._turns[turn] = {
            "type": "turn",
            "turn": turn,
            "viewer": asked.viewer if asked else "",
            "ask": asked.ask if asked else "",
            "lane": asked.lane if asked else "",
            "causes": list(asked.causes) if asked else [],
            "requested_ms": asked.requested_ms if asked else ms,
            "from_ms": ms,
            "to_ms": None,
        }
        return dict(self._turns[turn])

    def _lay(self, ms: int, turn: str, index: int, offset: int, samples: int, pcm: bytes) -> list[Told]:
        """Take the floor for a sound; its sentence's caption begins with the first one."""
        begin = self._floor.place(samples, ms)
        laid = _Laid(turn, index, offset, begin, begin + samples, pcm)
        self._laid.append(laid)
        told: list[Told] = []
        if caption := self._begun:
            self._begun = None
            shown = {"turn": turn, "index": index, "text": caption.text, "emotion": caption.emotion}
            self._captions.append({"type": "caption", **shown, "from_ms": round(self._ms(begin)), "to_ms": None})
            told.append(dict(self._captions[-1]))
        return [*told, self._clip(laid, begin)] if pcm else told

    def _sentence_over(self, turn: str, index: int) -> list[Told]:
        """A caption stands until its sound has been heard; a sentence without sound has none."""
        self._begun = None
        shown = [caption for caption in self._captions if (caption["turn"], caption["index"]) == (turn, index)]
        for caption in shown:
            caption["to_ms"] = self._floor.free_at_ms()
        return [{"type": "caption_over", "turn": turn, "index": index, "to_ms": c["to_ms"]} for c in shown]

    def _silence(self, ms: int, turn: str | None, reason: str) -> list[Told]:
        """Nothing more of this turn, or of any, even where all its sound was made already."""
        self._forget(ms)
        gone = [name for name in self._turns if turn in {None, name}]
        if not gone:
            return []
        for name in gone:
            del self._turns[name]
        self._captions = [caption for caption in self._captions if caption["turn"] not in gone]
        self._laid = [laid for laid in self._laid if laid.turn not in gone]
        self._begun = None
        self._floor.cut(ms)
        self._floor.heard_until = max([self._floor.heard_until, *(laid.end for laid in self._laid)])
        return [{"type": "cut", "turn": name, "reason": reason, "at_ms": ms} for name in gone]

    def _forget(self, ms: int) -> None:
        """Let go of what has been heard by then."""
        at = self._at(ms)
        self._laid = [laid for laid in self._laid if laid.end > at]
        self._captions = [caption for caption in self._captions if caption["to_ms"] is None or caption["to_ms"] > ms]
        self._turns = {n: turn for n, turn in self._turns.items() if turn["to_ms"] is None or turn["to_ms"] > ms}

    def _clip(self, laid: _Laid, at: int) -> Clip:
        """What of the sound is heard from that position on."""
        heard = max(0, at - laid.begin)
        begin = self._ms(laid.begin + heard)
        return Clip(laid.turn, laid.index, laid.offset + heard, begin, laid.pcm[2 * heard :])

    def _at(self, ms: int) -> int:
        return (ms - self._floor.origin_ms) * AIR_RATE // 1_000

    def _ms(self, at: int) -> float:
        return self._floor.origin_ms + round(at * 1_000 / AIR_RATE, 3)


def frame(told: Told) -> str | bytes:
    """Its form on the socket: JSON text; sound is `u32 big-endian header length | JSON header | s16le PCM` at 24 kHz."""
    if isinstance(told, dict):
        return json.dumps(told, ensure_ascii=False, separators=(",", ":"))
    header = {
        "type": "sound",
        "turn": told.turn,
        "index": told.index,
        "offset": told.offset,
        "at_ms": told.at_ms,
        "rate": AIR_RATE,
    }
    head = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    return struct.pack(">I", len(head)) + head + told.pcm
