"""Entries of a session in short, and what is heard of them."""

from typing import Any

from services.contract.gateway import Interrupted
from services.contract.ingest import TurnAired, TurnDropped, TurnRequested
from services.contract.llm import AnswerEnded, SentenceReady
from services.contract.message import Message
from services.contract.tts import SentenceSkipped, SpeechChunk, SpeechEnded, SpeechStarted
from services.runtime.timeline import Caption, Out, SentenceOver, Sound, Timeline

Entry = tuple[Message, bytes]


def pcm(first: int, last: int) -> bytes:
    """Samples whose values are their positions."""
    return b"".join(position.to_bytes(2, "little") for position in range(first, last))


def requested(no: int = 1, epoch: int = 0) -> Entry:
    names: dict[str, Any] = {"turn": f"t{no}", "no": no, "session": "s", "epoch": epoch, "kind": "room", "ask": ""}
    return TurnRequested(**names, persona="p", requested_ms=0, deadline_ms=0), b""


def ready(no: int = 1, epoch: int = 0) -> Entry:
    names: dict[str, Any] = {"turn": f"t{no}", "no": no, "session": "s", "epoch": epoch, "index": 0}
    return SentenceReady(**names, text="a", speak="a", voice="v", deadline_ms=0), b""


def aired(no: int = 1, epoch: int = 0, *, clear: bool = False) -> Entry:
    return TurnAired(turn=f"t{no}", no=no, epoch=epoch, clear=clear), b""


def dropped(no: int = 1) -> Entry:
    return TurnDropped(turn=f"t{no}", reason="stale"), b""


def interrupted(epoch: int) -> Entry:
    return Interrupted(epoch=epoch, by="client"), b""


def counted(count: int, no: int = 1) -> Entry:
    return AnswerEnded(turn=f"t{no}", count=count, text=""), b""


def started(index: int = 0, attempt: int = 1, no: int = 1, epoch: int = 0) -> Entry:
    names: dict[str, Any] = {"turn": f"t{no}", "no": no, "epoch": epoch, "index": index, "attempt": attempt}
    return SpeechStarted(**names, text=f"text {attempt}", emotion="calm"), b""


def chunk(first: int, last: int, index: int = 0, attempt: int = 1, no: int = 1) -> Entry:
    message = SpeechChunk(turn=f"t{no}", index=index, attempt=attempt, chunk=0, sample_offset=first)
    return message, pcm(first, last)


def ended(samples: int, index: int = 0, attempt: int = 1, no: int = 1) -> Entry:
    return SpeechEnded(turn=f"t{no}", index=index, attempt=attempt, samples=samples), b""


def skipped(index: int = 0, no: int = 1) -> Entry:
    return SentenceSkipped(turn=f"t{no}", index=index, reason="late"), b""


def sentence(samples: int, index: int = 0, no: int = 1) -> list[Entry]:
    """A whole sentence."""
    return [started(index, no=no), chunk(0, samples, index, no=no), ended(samples, index, no=no)]


def feed(timeline: Timeline, *entries: Entry) -> list[Out]:
    return [out for entry in entries for out in timeline.feed(*entry)]


def hear(*entries: Entry) -> list[Out]:
    """What a new reader hears."""
    return feed(Timeline(), *entries)


def caption(index: int = 0, attempt: int = 1, no: int = 1) -> Caption:
    return Caption(f"t{no}", index, f"text {attempt}", "calm")


def sound(first: int, last: int, index: int = 0, no: int = 1) -> Sound:
    return Sound(f"t{no}", index, first, pcm(first, last))


def over(samples: int, index: int = 0, no: int = 1, reason: str = "") -> SentenceOver:
    return SentenceOver(f"t{no}", index, reason, samples)
