"""From a room's session to poses on the playback clock."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from services.avatar.core.lipsync import FRAME_MS
from services.avatar.core.timeline import CATCH_UP, HOLD_MS, KNOWN_TURNS, Stage, worth_telling
from services.contract.avatar import Posed
from services.contract.gateway import Interrupted
from services.contract.ingest import Lane, TurnAired, TurnDropped, TurnRequested
from services.contract.llm import AnswerEnded
from services.contract.message import Message
from services.contract.tts import SpeechChunk, SpeechEnded, SpeechStarted
from tests.avatar.core.test_lipsync import tone

T0 = 1_000_000
LOUD = tone(0.3, 5)
CHUNK_MS = 5 * FRAME_MS
SAMPLES = len(LOUD) // 2
CLOSED_AFTER_MS = 5 * FRAME_MS


def requested(turn: str, no: int = 1, lane: Lane = Lane.CHAT) -> TurnRequested:
    return TurnRequested(
        turn=turn,
        no=no,
        session="r",
        epoch=0,
        kind="room",
        lane=lane,
        ask="",
        persona="p",
        requested_ms=0,
        deadline_ms=0,
    )


def aired(turn: str, no: int = 1) -> TurnAired:
    return TurnAired(turn=turn, no=no, epoch=0)


def started(turn: str, no: int = 1, text: str = "好。", emotion: str = "", index: int = 0) -> SpeechStarted:
    return SpeechStarted(turn=turn, no=no, epoch=0, index=index, attempt=1, text=text, emotion=emotion)


def chunk(turn: str, number: int, index: int = 0, skip: int = 0) -> SpeechChunk:
    return SpeechChunk(turn=turn, index=index, attempt=1, chunk=number, sample_offset=skip + number * SAMPLES)


def feed(stage: Stage, at_ms: int, *entries: Message) -> None:
    for entry in entries:
        stage.feed(entry, LOUD if isinstance(entry, SpeechChunk) else b"", at_ms)


def speaking(*chunks: int, **how: Any) -> Stage:
    """A stage on which a turn `t` began to speak at T0: one chunk lasts 200 ms."""
    stage = Stage(T0)
    feed(stage, T0, aired("t"), started("t", **how), *[chunk("t", number) for number in chunks or (0,)])
    return stage


def run(stage: Stage, until_ms: int) -> list[Posed]:
    return [pose for at_ms in range(T0 + FRAME_MS, until_ms + 1, FRAME_MS) for pose in stage.due(at_ms)]


def test_the_mouth_moves_while_the_sound_plays_and_closes_after_it() -> None:
    """Open within two frames, closed four frames after the last sample, and still from then on."""
    poses = run(speaking(0, 1), T0 + 1_000)
    mouths = [pose.mouth for pose in poses]
    assert [pose.at_ms for pose in poses] == list(range(T0 + FRAME_MS, T0 + 1_001, FRAME_MS))
    assert mouths[:9] == [0.5, *[1.0] * 8]
    assert mouths[9:13] == [0.75, 0.5, 0.25, 0]
    assert not any(mouths[13:])


def test_sounds_lie_one_after_the_other() -> None:
    """Two sentences that were written at once are played in a row; one that is late is played when it comes."""
    stage = speaking()
    feed(stage, T0, SpeechEnded(turn="t", index=0, attempt=1, samples=SAMPLES), started("t", index=1), chunk("t", 0, 1))
    feed(stage, T0 + 800, chunk("t", 1, 1))
    openings = {pose.at_ms - T0: pose.mouth for pose in run(stage, T0 + 1_400)}
    assert openings[2 * CHUNK_MS - FRAME_MS] == 1
    assert openings[760] == 0
    assert openings[880] == 1
    assert openings[1_400] == 0


def test_a_turn_that_is_only_prepared_moves_nothing() -> None:
    """Its sound is placed when it is aired."""
    stage = Stage(T0)
    feed(stage, T0, started("t"), chunk("t", 0))
    assert not any(pose.mouth for pose in run(stage, T0 + 400))
    feed(stage, T0 + 400, aired("t"))
    assert stage.due(T0 + 440)[-1].mouth > 0


def test_an_interrupt_shuts_the_mouth_at_once() -> None:
    """Within the next frame, though seconds of sound had been made; what comes next is placed from then on."""
    stage = speaking(*range(20))
    run(stage, T0 + 400)
    feed(stage, T0 + 410, Interrupted(epoch=1, by="operator"))
    assert [pose.mouth for pose in stage.due(T0 + 600)] == [0] * 5
    after = TurnAired(turn="u", no=2, epoch=1)
    begun = SpeechStarted(turn="u", no=2, epoch=1, index=0, attempt=1, text="好。")
    feed(stage, T0 + 600, after, begun, chunk("u", 0))
    assert stage.due(T0 + 640)[-1].mouth == 0.5


def test_an_interrupt_shuts_it_even_when_the_answer_was_complete() -> None:
    """All of the turn had been made, so its readers have let go of it; its sound still plays."""
    stage = speaking(0, 1, 2, 3)
    ended = SpeechEnded(turn="t", index=0, attempt=1, samples=4 * SAMPLES)
    feed(stage, T0 + 10, ended, AnswerEnded(turn="t", count=1, text="好。"))
    assert run(stage, T0 + 200)[-1].mouth == 1
    feed(stage, T0 + 210, Interrupted(epoch=1, by="operator"))
    assert stage.due(T0 + 240)[-1].mouth == 0
    assert stage.due(T0 + 280)[-1].turn == ""


def test_a_dropped_turn_leaves_the_sound_of_the_others() -> None:
    """The turn before it, whose sound still plays, is heard to its end; the one after begins where that ends."""
    stage = speaking(0, 1)
    ended = SpeechEnded(turn="t", index=0, attempt=1, samples=2 * SAMPLES)
    feed(stage, T0, ended, AnswerEnded(turn="t", count=1, text="好。"), aired("u", 2), started("u", 2), chunk("u", 0))
    feed(stage, T0 + 40, TurnDropped(turn="u", reason="withdrawn"), TurnDropped(turn="ghost", reason="stale"))
    feed(stage, T0 + 80, aired("v", 3), started("v", 3), chunk("v", 0))
    openings = {pose.at_ms - T0: (pose.mouth, pose.turn) for pose in run(stage, T0 + 1_000)}
    assert openings[360] == (1, "t")
    assert openings[480] == (1, "v")
    assert openings[800][0] == 0


def test_lost_sound_takes_its_time_with_a_closed_mouth() -> None:
    """A gap in the stream is heard as a pause of its length."""
    stage = Stage(T0)
    feed(stage, T0, aired("t"), started("t"), chunk("t", 0, skip=10 * SAMPLES))
    poses = run(stage, T0 + 10 * CHUNK_MS + 80)
    assert not any(pose.mouth for pose in poses[:49])
    assert poses[-1].mouth == 1


def test_the_face_is_the_sentences() -> None:
    """The emotion's, as long as its sound lasts; between sentences it is held, after the turn it rests."""
    stage = speaking(0, text="好。", emotion="开心")
    poses = {pose.at_ms - T0: pose for pose in run(stage, T0 + CHUNK_MS + HOLD_MS + 100)}
    assert (poses[40].expression, poses[40].turn) == ("happy", "t")
    assert (poses[CHUNK_MS + HOLD_MS - 80].expression, poses[CHUNK_MS + HOLD_MS - 80].turn) == ("happy", "t")
    last = poses[CHUNK_MS + HOLD_MS]
    assert (last.expression, last.turn, last.mouth) == ("neutral", "", 0)
    assert stage.resting


def test_a_paid_turn_smiles_where_its_words_do_not_say_otherwise() -> None:
    """The request says what is answered; an old one is forgotten."""
    stage = Stage(T0)
    feed(stage, T0, requested("t", lane=Lane.PAID), aired("t"), started("t"), chunk("t", 0))
    assert stage.due(T0 + 40)[0].expression == "happy"
    other = Stage(T0)
    feed(other, T0, requested("t", lane=Lane.PAID), *[requested(f"u{no}", no) for no in range(2, KNOWN_TURNS + 2)])
    feed(other, T0, aired("t"), started("t"), chunk("t", 0))
    assert other.due(T0 + 40)[0].expression == "neutral"


def test_a_puppet_that_was_away_does_not_lag() -> None:
    """After a long pause one pose is due, of now; after a short one each frame in between is."""
    stage = speaking(*range(40))
    late = stage.due(T0 + 5_000)
    assert [(pose.at_ms, pose.mouth) for pose in late] == [(T0 + 5_000, 0.5)]
    assert len(stage.due(T0 + 5_000 + CATCH_UP * FRAME_MS)) == CATCH_UP
    assert stage.due(T0 + 5_000 + CATCH_UP * FRAME_MS) == []


def test_what_was_played_before_the_clock_began_is_over() -> None:
    """Entries of the past are placed in the past: a new reader does not play an old turn again."""
    stage = Stage(T0 - 120_000)
    feed(stage, T0 - 60_000, aired("t"), started("t"), chunk("t", 0))
    assert stage.due(T0)[-1].mouth == 0
    assert stage.resting


def test_others_hear_of_faces_and_turns_only() -> None:
    """A rest at the start is no news, nor is a moving mouth; another face and another turn are."""
    rest, talk = Posed(at_ms=1, mouth=0), Posed(at_ms=2, mouth=0.4, turn="t")
    assert not worth_telling(None, rest)
    assert worth_telling(None, talk)
    assert not worth_telling(talk, talk.model_copy(update={"mouth": 0.9, "at_ms": 3}))
    assert worth_telling(talk, talk.model_copy(update={"expression": "happy"}))
    assert worth_telling(talk, rest)


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("speak"), st.integers(1, 30)),
        st.tuples(st.just("wait"), st.integers(0, 3_000)),
        st.tuples(st.just("interrupt"), st.just(0)),
        st.tuples(st.just("drop"), st.integers(1, 5)),
    ),
    max_size=12,
)


@given(STEPS)
def test_the_mouth_is_closed_whenever_no_sound_plays(steps: list[tuple[str, int]]) -> None:
    """Turns, pauses, drops and interrupts in any order: all sound over, the mouth closes within five frames."""
    stage, now_ms, epoch, no = Stage(T0), T0, 0, 0
    for what, figure in steps:
        if what == "speak":
            no += 1
            on_air = TurnAired(turn=f"t{no}", no=no, epoch=epoch)
            begun = SpeechStarted(turn=f"t{no}", no=no, epoch=epoch, index=0, attempt=1, text="好。")
            feed(stage, now_ms, on_air, begun, *[chunk(f"t{no}", number) for number in range(figure)])
            over = SpeechEnded(turn=f"t{no}", index=0, attempt=1, samples=figure * SAMPLES)
            feed(stage, now_ms, over, AnswerEnded(turn=f"t{no}", count=1, text="好。"))
        elif what == "interrupt":
            epoch += 1
            feed(stage, now_ms, Interrupted(epoch=epoch, by="x"))
        elif what == "drop":
            feed(stage, now_ms, TurnDropped(turn=f"t{figure}", reason="x"))
        else:
            now_ms += figure
        assert all(0 <= pose.mouth <= 1 for pose in stage.due(now_ms))
    made_ms = sum(figure for what, figure in steps if what == "speak") * CHUNK_MS
    for at_ms in range(now_ms, now_ms + made_ms + CLOSED_AFTER_MS + 1, FRAME_MS):
        stage.due(at_ms)
    assert stage.due(now_ms + made_ms + CLOSED_AFTER_MS + FRAME_MS)[-1].mouth == 0
    stage.due(now_ms + made_ms + CLOSED_AFTER_MS + HOLD_MS)
    assert stage.resting
