"""A chat's answer: folds the entries of its session into finished sentences, in order, and one end."""

from collections.abc import Sequence
from dataclasses import dataclass

from services.contract.gateway import Interrupted
from services.contract.ingest import TurnDropped
from services.contract.llm import AnswerEnded, SentenceReady
from services.contract.message import Message
from services.contract.tts import SpeechStarted
from services.runtime import words
from services.runtime.timeline import Closed, Cut, Out, SentenceOver, Sound, Timeline


@dataclass(frozen=True)
class Piece:
    """A finished sentence; `pcm` is s16le mono at `AIR_RATE`, empty if it has no audio."""

    text: str
    pcm: bytes


@dataclass(frozen=True)
class Done:
    """The answer is over: its raw text, and why it ended if not by itself."""

    text: str
    reason: str


class Chat:
    """The answer to one turn, the only one of its session."""

    def __init__(self, turn: str, epoch: int = 0) -> None:
        self.over = False
        self.pieces = 0
        self._turn = turn
        self._epoch = epoch
        self._timeline = Timeline()
        self._texts: dict[int, str] = {}
        self._pcm = bytearray()
        self._at = 0
        self._answer: AnswerEnded | None = None

    @property
    def nothing_spoken(self) -> bool:
        """The model answered, and nothing of the answer was meant to be spoken."""
        return bool(self._answer and self._answer.text.strip() and self._answer.count == 0)

    def feed(self, message: Message, blob: bytes = b"") -> list[Piece | Done]:
        """What the client is sent because of this entry; nothing more after `Done`."""
        if self.over:
            return []
        self._note(message)
        outs = [said for out in self._timeline.feed(message, blob) for said in self._hear(out)]
        if not self.over and (reason := self._ended_by(message)):
            outs.extend(self.end(reason))
        return outs

    def end(self, reason: str) -> list[Piece | Done]:
        """End it here, with what was said so far; nothing if it is over already."""
        if self.over:
            return []
        self.over = True
        rest: list[Piece | Done] = [self._piece()] if self._pcm else []
        return [*rest, Done(self._raw(), reason)]

    def _note(self, message: Message) -> None:
        """Remember texts: a sentence without sound has no other source for its own."""
        match message:
            case SentenceReady() | SpeechStarted() if message.turn == self._turn:
                self._texts[message.index] = message.text
            case AnswerEnded(turn=self._turn):
                self._answer = self._answer or message
            case _:
                pass

    def _hear(self, out: Out) -> list[Piece | Done]:
        match out:
            case Sound(pcm=pcm):
                self._pcm += pcm
            case SentenceOver():
                return [self._piece()]
            case Closed():
                return self.end("" if self._answer is None or self._answer.reason == "done" else self._answer.reason)
            case Cut(reason=reason):
                return self.end(reason)
            case _:
                pass
        return []

    def _piece(self) -> Piece:
        """The sentence at which the answer is."""
        said = Piece(self._texts.get(self._at, ""), bytes(self._pcm))
        self._pcm.clear()
        self._at += 1
        self.pieces += 1
        return said

    def _ended_by(self, message: Message) -> str:
        """Why the turn is over though it never had the floor; '' if it is not."""
        match message:
            case Interrupted(epoch=epoch, by=by) if epoch > self._epoch:
                return by
            case TurnDropped(turn=self._turn, reason=reason):
                return reason
            case _:
                return ""

    def _raw(self) -> str:
        """The whole answer; where its end never came, the sentences that were handed out."""
        if self._answer is not None:
            return words.ellipses(self._answer.text)
        return joined([self._texts.get(index, "") for index in range(self._at)])


def joined(sentences: Sequence[str]) -> str:
    """The sentences of one answer as its text: a space between them where the script has spaces."""
    gap = "" if words.language("".join(sentences)) == "zh" else " "
    return gap.join(sentences)
