"""What a page is told of a room: sound and captions on the show's clock, and what stops them."""

import json
import struct
from typing import Any

import pytest

from services.contract.avatar import Posed
from services.contract.failure import Code, Failed
from services.contract.gateway import Interrupted
from services.contract.ingest import Lane, LedgerRow, ShowEnded, TurnAired, TurnDropped, TurnRequested
from services.contract.llm import AnswerEnded
from services.contract.message import Message
from services.contract.tts import AIR_RATE, SentenceSkipped, SpeechChunk, SpeechEnded, SpeechStarted
from services.gateway.core.stage import FAILED_MS, KNOWN_TURNS, Clip, Event, Stage, Told, frame
from tests.gateway.core.test_queue import event

T0 = 1_000_000
SECOND = bytes(range(256)) * (AIR_RATE * 2 // 256) + bytes(AIR_RATE * 2 % 256)


class Room:
    """A stage with a clock, and somebody who speaks."""

    def __init__(self) -> None:
        self.stage = Stage(T0)
        self.told: list[Told] = []

    def at(self, ms: int, *messages: Message, blob: bytes = b"") -> "Room":
        for message in messages:
            self.told += self.stage.feed(T0 + ms, message, blob)
        return self

    def ask(self, ms: int, turn: str = "t", no: int = 1, epoch: int = 0) -> "Room":
        place: dict[str, Any] = {"turn": turn, "no": no, "session": "demo", "epoch": epoch, "kind": "room"}
        request = TurnRequested(
            **place, causes=("a",), ask="嗨", persona="h", viewer="小明", lane=Lane.PAID, requested_ms=7, deadline_ms=9
        )
        return self.at(ms, request)

    def air(self, ms: int, turn: str = "t", no: int = 1, epoch: int = 0) -> "Room":
        return self.at(ms, TurnAired(turn=turn, no=no, epoch=epoch))

    def say(self, ms: int, turn: str = "t", no: int = 1, index: int = 0, epoch: int = 0, gap: int = 0) -> "Room":
        """One second of sound."""
        self.at(ms, SpeechStarted(turn=turn, no=no, epoch=epoch, index=index, attempt=1, text="你好。", emotion="开心"))
        chunk = SpeechChunk(turn=turn, index=index, attempt=1, chunk=0, sample_offset=gap)
        self.at(ms, chunk, blob=SECOND)
        return self.at(ms, SpeechEnded(turn=turn, index=index, attempt=1, samples=AIR_RATE + gap))

    def end(self, ms: int, turn: str = "t", count: int = 1) -> "Room":
        return self.at(ms, AnswerEnded(turn=turn, count=count, text="你好。"))

    def events(self, kind: str) -> list[Event]:
        return [told for told in self.told if isinstance(told, dict) and told["type"] == kind]

    def clips(self) -> list[Clip]:
        return [told for told in self.told if isinstance(told, Clip)]

    def joined(self, ms: int) -> tuple[Event, list[Clip]]:
        now, *rest = self.stage.present(T0 + ms)
        assert isinstance(now, dict)
        return now, [clip for clip in rest if isinstance(clip, Clip)]


def spoken() -> Room:
    """One turn of two seconds, all made at once when it was aired."""
    return Room().ask(0).air(100).say(100).say(100, index=1).end(100, count=2)


def test_a_turn_is_told_in_time() -> None:
    """The turn with its cause, captions with begin and end, sound one after the other, the turn's end when heard."""
    room = spoken()
    (turn,) = room.events("turn")
    assert (turn["viewer"], turn["ask"], turn["causes"], turn["lane"]) == ("小明", "嗨", ["a"], "paid")
    assert [c["from_ms"] - T0 for c in room.events("caption")] == [100, 1_100]
    assert [c["to_ms"] - T0 for c in room.events("caption_over")] == [1_100, 2_100]
    assert [(c.at_ms - T0, c.offset, c.pcm) for c in room.clips()] == [(100, 0, SECOND), (1_100, 0, SECOND)]
    assert [over["to_ms"] - T0 for over in room.events("turn_over")] == [2_100]
    assert room.events("caption")[0]["emotion"] == "开心"


def test_who_joins_in_mid_sentence_hears_only_what_is_ahead() -> None:
    """No stale tail, nothing twice: the sound goes on at the very sample, the caption stands, the turn is on air."""
    room = spoken()
    now, clips = room.joined(600)
    assert [turn["turn"] for turn in now["turns"]] == ["t"]
    assert [caption["index"] for caption in now["captions"]] == [0, 1]
    assert [(clip.offset, clip.at_ms - T0) for clip in clips] == [(AIR_RATE // 2, 600), (0, 1_100)]
    assert clips[0].pcm == SECOND[AIR_RATE:]
    later, rest = room.joined(1_600)
    assert [caption["index"] for caption in later["captions"]] == [1]
    assert [clip.offset for clip in rest] == [AIR_RATE // 2]
    over, nothing = room.joined(2_100)
    assert (over["turns"], over["captions"], nothing) == ([], [], [])


def test_an_interrupt_stops_what_was_made_already() -> None:
    """The timeline had closed the turn; its sound was still being heard."""
    room = spoken().at(900, Interrupted(epoch=1, by="operator"))
    assert room.events("cut") == [{"type": "cut", "turn": "t", "reason": "operator", "at_ms": T0 + 900}]
    now, clips = room.joined(900)
    assert (now["turns"], now["captions"], clips) == ([], [], [])
    room.ask(1_000, "u", 2, 1).air(1_000, "u", 2, 1).say(1_000, "u", 2, epoch=1)
    assert room.clips()[-1].at_ms == T0 + 1_000


def test_any_word_of_a_higher_epoch_is_an_interrupt() -> None:
    """Whoever tells of it."""
    room = spoken().ask(900, "u", 2, epoch=3)
    assert [cut["reason"] for cut in room.events("cut")] == ["interrupted"]


def test_a_turn_that_is_dropped_while_it_is_heard_stops() -> None:
    """Only that one; the sound of the next keeps its place."""
    room = spoken().ask(150, "u", 2).air(200, "u", 2).say(200, "u", 2)
    assert room.clips()[-1].at_ms == T0 + 2_100
    room.at(500, TurnDropped(turn="t", reason="withdrawn"))
    assert [(cut["turn"], cut["reason"]) for cut in room.events("cut")] == [("t", "withdrawn")]
    now, clips = room.joined(600)
    assert [turn["turn"] for turn in now["turns"]] == ["u"]
    assert [(clip.turn, clip.at_ms - T0) for clip in clips] == [("u", 2_100)]


def test_a_turn_that_was_heard_is_not_cut() -> None:
    """Its drop, an interrupt after its end and the drop of a prepared turn stop nothing."""
    room = spoken().at(2_200, TurnDropped(turn="t", reason="late"), Interrupted(epoch=1, by="client"))
    room.ask(2_300, "u", 2, 1).at(2_300, TurnDropped(turn="u", reason="preempted"))
    assert room.events("cut") == []


def test_a_turn_that_is_dropped_before_it_was_made_is_told_once() -> None:
    """On the floor without a sound."""
    room = Room().ask(0).air(0).at(50, TurnDropped(turn="t", reason="gave_up"))
    assert len(room.events("cut")) == 1


def test_a_turn_whose_sound_is_gone_is_cut_on_a_clear_floor() -> None:
    """The reader waits no longer for what will not come."""
    room = Room().ask(0).air(0).ask(10, "u", 2).at(20, TurnAired(turn="u", no=2, epoch=0, clear=True))
    assert [(cut["turn"], cut["reason"]) for cut in room.events("cut")] == [("t", "sound_lost")]


def test_lost_sound_is_silence_of_its_length() -> None:
    """The caption begins with it, nothing is played, what follows keeps its place."""
    room = Room().ask(0).air(0).say(0, gap=AIR_RATE // 2)
    assert room.events("caption")[0]["from_ms"] == T0
    assert [(clip.offset, clip.at_ms - T0) for clip in room.clips()] == [(AIR_RATE // 2, 500)]
    assert [clip.at_ms - T0 for clip in room.joined(100)[1]] == [500]


def test_a_sentence_without_sound_has_no_caption() -> None:
    """Skipped before it began."""
    room = Room().ask(0).air(0).at(10, SentenceSkipped(turn="t", index=0, reason="late")).end(20)
    assert room.events("caption") == room.events("caption_over") == []
    assert [over["to_ms"] - T0 for over in room.events("turn_over")] == [20]


def test_a_turn_without_its_request_is_shown_all_the_same() -> None:
    """The request was trimmed; and requests of old are forgotten."""
    room = Room().air(0)
    assert (room.events("turn")[0]["viewer"], room.events("turn")[0]["causes"]) == ("", [])
    for number in range(KNOWN_TURNS + 1):
        room.ask(1, f"u{number}", number + 2)
    room.at(2, TurnAired(turn="u0", no=2, epoch=0, clear=True), TurnAired(turn="u1", no=3, epoch=0, clear=True))
    assert [turn["viewer"] for turn in room.events("turn")] == ["", "", "小明"]


def test_facts_are_told_as_they_are() -> None:
    """A failure with its sentence, the face, the end of the show, a comment; what is nothing to see is not."""
    room = Room().at(0, Failed(turn="t", code=Code.UNAUTHORIZED, sentence="the key is wrong"))
    room.at(0, Posed(at_ms=T0, mouth=0, expression="happy", turn="t"), event("a"))
    room.at(0, ShowEnded(received=3, answered=2, dropped={"stale": 1}))
    room.at(0, LedgerRow(event=event("a"), state="spoken", at_ms=0))
    assert [told["type"] for told in room.told if isinstance(told, dict)] == ["failed", "pose", "card", "ended"]
    now, _ = room.joined(1)
    assert now["failed"]["sentence"] == "the key is wrong"
    assert (now["pose"]["face"], now["ended"]["answered"], now["cards"][0]["id"]) == ("happy", 2, "a")
    assert room.joined(FAILED_MS)[0]["failed"] is None


def test_a_show_goes_on_after_its_end() -> None:
    """A turn that opens later takes the word back."""
    room = Room().at(0, ShowEnded(received=0, answered=0, dropped={})).ask(1).air(1)
    assert room.joined(2)[0]["ended"] is None


def test_frames_are_text_or_header_and_sound() -> None:
    """JSON for events; u32 big-endian, header, samples for sound."""
    assert frame({"type": "turn", "viewer": "小明"}) == '{"type":"turn","viewer":"小明"}'
    body = frame(Clip("t", 1, 24, 5.5, b"\1\0\2\0"))
    assert isinstance(body, bytes)
    (length,) = struct.unpack_from(">I", body)
    header = json.loads(body[4 : 4 + length])
    assert header == {"type": "sound", "turn": "t", "index": 1, "offset": 24, "at_ms": 5.5, "rate": AIR_RATE}
    assert body[4 + length :] == b"\1\0\2\0"


@pytest.mark.parametrize("step", [1, 7, 333, 999])
def test_whenever_one_joins_the_rest_is_whole(step: int) -> None:
    """What was heard before and what is told on joining are the sound, sample by sample."""
    room = spoken()
    for ms in range(100, 2_100, step):
        _, clips = room.joined(ms)
        assert b"".join(clip.pcm for clip in clips) == (SECOND * 2)[2 * (ms - 100) * 24 :]
        if step == 1 and ms > 160:
            break
