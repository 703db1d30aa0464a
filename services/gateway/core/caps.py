"""What the gateway accepts at most, and for how long it waits."""

from dataclasses import dataclass

KIB = 1_024
MIB = 1_024 * KIB


@dataclass(frozen=True)
class Caps:
    """Limits; each is told to the caller who runs into it."""

    chat_bytes: int = MIB
    """Body of a chat request."""
    clip_bytes: int = 16 * MIB
    """Body of a clip: base64 of six minutes at 16 kHz."""
    messages: int = 500
    text: int = 32_000
    """Characters of one message."""
    ask: int = 8_000
    """Characters of the message that is answered: the contract's own limit."""
    streams: int = 100
    """Answers streamed at once."""
    clips: int = 32
    """Clips recognised at once."""
    body_ms: int = 30_000
    """A body that has not arrived by then is not waited for."""
    clip_ms: int = 30_000
    """Nobody waits longer for a clip's text."""
    patience_ms: int = 40_000
    """An answer that has not begun by then, or of which nothing new came for so long, is ended."""
    turn_ms: int = 300_000
    """No answer takes longer."""
    return_ms: int = 5_000
    """Who lost an answer that can be resumed has so long to come back for it; then it is ended."""
    event_bytes: int = 64 * KIB
    """Body of an event that is written into a room."""
    comments: int = 15
    """Comments of the API that wait for the room's director."""
    viewers: int = 2_000
    """Pages of the show that are open at once."""
    stage_bytes: int = 512 * KIB
    """What may wait to be sent to one page besides what it found when it came: ten seconds of sound. A page that is slower
    is cut off, not the show."""
    pulse_ms: int = 5_000
    """A page hears something at least so often."""
    conversations: int = 64
    """Conversations of Daily that are listened to at once."""
    operators: int = 32
    """Consoles that are open at once."""
    order_bytes: int = 4 * KIB
    """Body of an operator's order."""
    tavus: int = 16
    """Requests that are put to Tavus at once."""
    tavus_bytes: int = 256 * KIB
    """Body of one: a prompt, or the layers of a persona."""
    calls: int = 200
    """Calls at once."""
    call_bytes: int = 512 * KIB
    """Sound that may wait to be sent to a call's client; then its session is read no further."""
    send_ms: int = 10_000
    """A client that takes nothing for so long is cut off."""
    stuck_ms: int = 6_000
    """One that takes less than `taken_bytes` in so long is cut off by the server itself, which looks once a second."""
    taken_bytes: int = 16 * KIB
    goodbye_ms: int = 2_000
    """A client that was sent away has so long to take what was sent to it before."""
    kernel_bytes: int = 128 * KIB
    """What the kernel keeps for one client, who has not taken it yet; it doubles this for its own book-keeping."""
    connections: int = 4_000
    connections_each: int = 64
    """Of one client. This machine itself may have all."""
    lessons: int = 32
    """WebSockets of the English partner at once, and as many uploads."""
    utterance_bytes: int = 8 * MIB
    """A recording: four minutes at 16 kHz."""
    utterance_ms: int = 30_000
    """It is whole by then."""
    utterance_bytes_a_second: int = MIB
    """Of one client, after twice the largest at once."""
    form_bytes: int = 64 * KIB
    """Of a form besides its recording."""
    told_rows: int = 1_000
    """Messages of one session, and sessions of one user, that are told: the newest."""
    head_ms: int = 10_000
    """A request's headers have come by then, or it is closed."""
    head_bytes: int = 64 * KIB
    message_ms: int = 9_000
    """A WebSocket's message is whole by then, or it is closed."""
    uplink_burst_bytes: int = MIB
    uplink_bytes_a_second: int = 128 * KIB
    """Of a WebSocket: four times what a microphone says; the burst is what it catches up with after a stutter."""
    uplink_burst_frames: int = 500
    uplink_frames_a_second: int = 100


class Slots:
    """A bounded number of things at once."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.taken = 0

    def take(self) -> bool:
        """Take one; False if all are taken."""
        if self.taken >= self.size:
            return False
        self.taken += 1
        return True

    def give(self) -> None:
        """Give one back."""
        self.taken -= 1
