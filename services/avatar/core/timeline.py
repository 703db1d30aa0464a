"""From a room's session to poses on the playback clock.

Sounds lie on the clock where every other reader places them: one after the other, none before it was written. The
frames of a pose are `FRAME_MS` apart; one that nobody asked for in time is passed over, so a late puppet never lags.
"""

from collections import deque
from dataclasses import dataclass

from services.avatar.core import expressions, lipsync
from services.avatar.core.lipsync import FRAME_MS, FRAME_SAMPLES
from services.contract.avatar import Posed
from services.contract.gateway import Interrupted
from services.contract.ingest import TurnDropped, TurnRequested
from services.contract.message import Message
from services.contract.tts import AIR_RATE
from services.runtime.sound import count
from services.runtime.timeline import Caption, Cut, Floor, Lost, Out, Sound, Timeline

CATCH_UP = 25
"""Frames that are worked out at once; after a longer pause the puppet starts from rest."""
HOLD_MS = 800
"""A face is kept so long after the last sound, so that it does not flicker between sentences."""
KNOWN_TURNS = 64


@dataclass(frozen=True)
class _Cue:
    """A sound on the clock: samples since the origin."""

    begin: int
    end: int
    turn: str
    expression: str
    mouth: tuple[float, ...]
    """Opening of each frame."""

    def at(self, sample: int) -> float:
        """The opening at that moment, which lies inside; sound that was lost opens nothing."""
        frame = (sample - self.begin) // FRAME_SAMPLES
        return self.mouth[frame] if self.mouth else 0.0


class Stage:
    """Feed it a room's entries in their order and ask it for the poses that are due.

    Its clock begins at `origin_ms`, Unix milliseconds: entries that were written earlier count as written then.
    """

    def __init__(self, origin_ms: int) -> None:
        self._origin_ms = origin_ms
        self._timeline = Timeline()
        self._floor = Floor(AIR_RATE, origin_ms)
        self._cues: deque[_Cue] = deque()
        self._defaults: dict[str, str] = {}
        self._expression = expressions.NEUTRAL
        self._pose = Posed(at_ms=origin_ms, mouth=0)
        self._held_until_ms = 0

    @property
    def resting(self) -> bool:
        """Nothing moves until the next entry."""
        pose = self._pose
        return not self._cues and pose.mouth == 0 and pose.expression == expressions.NEUTRAL and not pose.turn

    def feed(self, message: Message, blob: bytes, at_ms: int) -> None:
        """Take an entry in that was written at `at_ms`, Unix milliseconds."""
        if isinstance(message, TurnRequested):
            self._defaults[message.turn] = expressions.of_causes(message.causes, message.lane)
            if len(self._defaults) > KNOWN_TURNS:
                del self._defaults[next(iter(self._defaults))]
        for out in self._timeline.feed(message, blob):
            self._hear(out, at_ms)
        if isinstance(message, Interrupted):
            self._silence(at_ms, None)
        elif isinstance(message, TurnDropped):
            self._silence(at_ms, message.turn)

    def _hear(self, out: Out, at_ms: int) -> None:
        match out:
            case Caption(turn=turn, text=text, emotion=emotion):
                default = self._defaults.get(turn, expressions.NEUTRAL)
                self._expression = expressions.choose(emotion, text, default)
            case Sound(turn=turn, pcm=pcm):
                self._place(turn, count(pcm), tuple(lipsync.targets(pcm)), at_ms)
            case Lost(turn=turn, samples=samples):
                self._place(turn, samples, (), at_ms)
            case Cut(turn=turn):
                self._silence(at_ms, turn)
            case _:
                pass

    def _place(self, turn: str, samples: int, mouth: tuple[float, ...], at_ms: int) -> None:
        begin = self._floor.place(samples, at_ms)
        self._cues.append(_Cue(begin, begin + samples, turn, self._expression, mouth))

    def _silence(self, at_ms: int, turn: str | None) -> None:
        """Nothing more of this turn, or of any: the mouth shuts at once, even if the sound had all been made."""
        kept = [cue for cue in self._cues if turn is not None and cue.turn != turn]
        if len(kept) == len(self._cues):
            return
        self._cues = deque(kept)
        self._floor.cut(at_ms)
        self._floor.heard_until = max(self._floor.heard_until, *(cue.end for cue in kept), 0)
        self._pose = self._pose.model_copy(update={"mouth": 0.0})
        self._held_until_ms = 0

    def due(self, now_ms: int) -> list[Posed]:
        """The poses since the last call up to now, each `FRAME_MS` after the one before it; the last is the newest."""
        behind = (now_ms - self._pose.at_ms) // FRAME_MS
        if behind > CATCH_UP:
            self._pose = self._pose.model_copy(update={"at_ms": now_ms - FRAME_MS, "mouth": 0.0})
            behind = 1
        poses: list[Posed] = []
        for _ in range(behind):
            self._pose = self._next(self._pose)
            poses.append(self._pose)
        return poses

    def _next(self, before: Posed) -> Posed:
        """One frame later."""
        at_ms = before.at_ms + FRAME_MS
        sample = (at_ms - self._origin_ms) * AIR_RATE // 1_000
        while self._cues and self._cues[0].end <= sample:
            self._cues.popleft()
        if self._cues and self._cues[0].begin <= sample:
            cue = self._cues[0]
            self._held_until_ms = at_ms + HOLD_MS
            mouth = lipsync.step(before.mouth, cue.at(sample))
            return Posed(at_ms=at_ms, mouth=mouth, expression=cue.expression, turn=cue.turn)
        mouth = lipsync.step(before.mouth, 0.0)
        if self._cues or at_ms < self._held_until_ms:
            return before.model_copy(update={"at_ms": at_ms, "mouth": mouth})
        return Posed(at_ms=at_ms, mouth=mouth)


def worth_telling(told: Posed | None, pose: Posed) -> bool:
    """Whether the room's session should hear of this pose: another face, a turn that begins or ends.

    Not the mouth: every frame of it would drown the session, and whoever reads that has the sound itself.
    """
    return (pose.expression, pose.turn) != ((told.expression, told.turn) if told else (expressions.NEUTRAL, ""))
