"""What a conversation remembers: what was asked, and of each answer what was really heard."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace

from services.contract.gateway import Interrupted, Mark
from services.contract.ingest import TurnAired, TurnDropped
from services.contract.message import Message
from services.contract.tts import AIR_RATE, SpeechStarted

TURNS = 12
"""Turns that a prompt remembers."""
CHARACTERS = 6_000
"""Characters of history in a prompt, at most."""
LINES = 4 * TURNS
"""Lines of a history that are kept: two for each turn, and room for those without an answer."""
SAMPLES_A_CHARACTER = AIR_RATE // 5
"""Length of a sentence of which only the text is known."""
_SPOKEN = "spoken:"


@dataclass(frozen=True)
class Past:
    """One line of a history. A later line of the same turn replaces an earlier one."""

    turn: str
    ask: str
    epoch: int = 0
    since: str = "-"
    """Id of an entry of the session from which on the answer can be found there."""
    heard: str | None = None
    """None: not settled yet."""


def dump(past: Past) -> str:
    """The line as JSON."""
    return json.dumps(asdict(past), ensure_ascii=False)


def load(lines: Iterable[str | bytes]) -> list[Past]:
    """The turns of a history, oldest first; raises ValueError for a line that is none of ours."""
    turns: dict[str, Past] = {}
    for line in lines:
        past = Past(**json.loads(line))
        turns[past.turn] = past
    return list(turns.values())


def settle(past: Past, heard: str) -> Past:
    """The line that replaces this one."""
    return replace(past, heard=heard)


def lengths(spoken: Mapping[int, str]) -> dict[int, int]:
    """Index → samples, from terminal values as `spoken:<samples>` and `skipped:<reason>`."""
    return {
        index: int(value.removeprefix(_SPOKEN)) if value.startswith(_SPOKEN) else 0 for index, value in spoken.items()
    }


def heard(
    sentences: Mapping[int, str], spoken: Mapping[int, str], *, interrupted: bool = False, played: int | None = None
) -> str:
    """Text of an answer that was heard.

    Uninterrupted: all but what was skipped; what has no sound yet is on its way. Interrupted after `played` samples: as
    much as fits into them, the sentence in the air ends with `…`; where that is not known, what has its whole sound.
    """
    if interrupted and played is not None:
        return _until(sentences, spoken, played)
    kept = {index: text for index, text in sentences.items() if index in spoken} if interrupted else sentences
    silent = {index for index, value in spoken.items() if not value.startswith(_SPOKEN)}
    return "".join(_apart(text) for index, text in sorted(kept.items()) if index not in silent).strip()


def _until(sentences: Mapping[int, str], spoken: Mapping[int, str], left: int) -> str:
    text, samples = "", lengths(spoken)
    for index, sentence in sorted(sentences.items()):
        length = samples.get(index, len(sentence) * SAMPLES_A_CHARACTER)
        if left < length:
            part = sentence[: len(sentence) * left // length].rstrip()
            return f"{text}{part}…" if part else text.strip()
        text, left = text + (_apart(sentence) if length else ""), left - length
    return text.strip()


def played(past: Past, items: Sequence[tuple[int, Message]], spoken: Mapping[int, str], *, marks: bool) -> int | None:
    """Samples of this turn's answer that were played until it was interrupted; None: the session does not tell.

    `items` are (Unix milliseconds by the broker, message). The player's last mark counts where `marks`, otherwise the
    time from the beginning of the sound, or of the turn's airing if that is later, to the interrupt.
    """
    aired = started = ended = last = None
    for ms, message in items:
        match message:
            case Mark() if message.turn == past.turn:
                last = message
            case TurnAired() if message.turn == past.turn:
                aired = aired or ms
            case SpeechStarted() if message.turn == past.turn:
                started = started or ms
            case Interrupted() if message.epoch > past.epoch:
                ended = ended or ms
            case TurnDropped() if message.turn == past.turn:
                ended = ended or ms
            case _:
                pass
    if marks and last:
        before = sum(length for index, length in lengths(spoken).items() if index < last.index)
        return before + last.played_ms * AIR_RATE // 1000
    if not ended or not started:
        return None
    return max(0, ended - max(started, aired or 0)) * AIR_RATE // 1000


def messages(pasts: Sequence[Past]) -> list[tuple[str, str]]:
    """The newest turns as (role, content), oldest first, within the bounds."""
    kept: list[Past] = []
    left = CHARACTERS
    for past in reversed(pasts[-TURNS:]):
        left -= len(past.ask) + len(past.heard or "")
        if left < 0:
            break
        kept.insert(0, past)
    pairs = [pair for past in kept for pair in (("user", past.ask), ("assistant", past.heard or ""))]
    return [(role, text) for role, text in pairs if text]


def _apart(sentence: str) -> str:
    """Sentences of spaced scripts need a space between them."""
    return f"{sentence} " if sentence[-1:].isascii() else sentence
