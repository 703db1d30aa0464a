"""When a client plays what it was sent: by the lengths of what was sent and by what the client says of it."""

from services.contract.gateway import Mark
from services.contract.tts import AIR_RATE


class Clock:
    """A player that plays everything at once and in order, unless it is paused. Times are Unix milliseconds."""

    def __init__(self) -> None:
        self.began_ms = 0
        """When the stretch of sound that is played began."""
        self.paused_ms = 0
        """When it was paused; 0: it is not."""
        self.turn = ""
        self.told = False
        """The client itself said how far it is."""
        self._until_ms = 0
        self._lengths: dict[int, int] = {}

    def playing(self, now_ms: int) -> bool:
        """Whether sound is played, or waits paused."""
        return bool(self.paused_ms) or now_ms < self._until_ms

    def sent(self, turn: str, index: int, until: int, samples: int, now_ms: int) -> None:
        """So many samples of the sentence, which end at `until` in it, are on their way to the player."""
        if turn != self.turn:
            self.turn, self.told, self._lengths = turn, False, {}
        if self._until_ms <= (now_ms := self.paused_ms or now_ms):
            self.began_ms = self._until_ms = now_ms
        self._lengths[index] = until
        self._until_ms += samples * 1_000 // AIR_RATE

    def pause(self, now_ms: int) -> None:
        """Nothing is played from now on."""
        self.paused_ms = self.paused_ms or now_ms

    def resume(self, now_ms: int) -> None:
        """It is played on where it was paused."""
        if self._until_ms > self.paused_ms:
            self._until_ms += now_ms - self.paused_ms
        if self.began_ms >= self.paused_ms:
            self.began_ms = now_ms
        self.paused_ms = 0

    def stop(self) -> None:
        """What was sent is not played any further."""
        self._until_ms = self.paused_ms = 0

    def mark(self, mark: Mark, now_ms: int) -> None:
        """The client said how far it has played."""
        if mark.turn == self.turn:
            self.told = True
            if self.playing(now_ms):
                done = sum(length for index, length in self._lengths.items() if index < mark.index)
                left = sum(self._lengths.values()) - done - mark.played_ms * AIR_RATE // 1_000
                self._until_ms = (self.paused_ms or now_ms) + max(0, left) * 1_000 // AIR_RATE

    def position(self, now_ms: int) -> Mark:
        """How far it has played of what was sent."""
        left = max(0, self._until_ms - (self.paused_ms or now_ms)) * AIR_RATE // 1_000
        done = max(0, sum(self._lengths.values()) - left)
        index, *later = sorted(self._lengths)
        while later and done > self._lengths[index]:
            done -= self._lengths[index]
            index = later.pop(0)
        return Mark(turn=self.turn, index=index, played_ms=done * 1_000 // AIR_RATE, player="gateway")
