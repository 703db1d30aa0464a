"""What a call plays, sample by sample."""

from hypothesis import given
from hypothesis import strategies as st

from onair.playback import Place, Playback, millis

PCM = bytes(range(1, 201))


def playing(*parts: bytes) -> Playback:
    made = Playback()
    for index, part in enumerate(parts):
        made.start("t", index, f"text {index}", 0)
        made.add(part)
    return made


def test_sentences_follow_each_other_without_a_gap() -> None:
    """In one draw too; then there is silence, and the place stays."""
    made = playing(PCM[:10], PCM[10:30])
    assert made.place() is None
    assert made.pull(14) == PCM[:14]
    assert made.place() == Place("t", 1, 2)
    assert made.pull(20) == PCM[14:30] + bytes(4)
    assert made.place() == Place("t", 1, 10)
    assert made.pull(4) == bytes(4)


def test_a_hold_is_exact() -> None:
    """Nothing is played from then on; it goes on with the next sample."""
    made = playing(PCM)
    assert made.pull(10) == PCM[:10]
    made.pause()
    assert made.pull(10) == bytes(10)
    assert made.place() == Place("t", 0, 5)
    made.resume()
    assert made.pull(10) == PCM[10:20]


def test_a_stop_ends_a_hold_too() -> None:
    """What was waiting is not played, what comes next is."""
    made = playing(PCM[:10], PCM[10:30])
    made.pull(4)
    made.pause()
    made.flush()
    assert (made.pull(6), made.place()) == (bytes(6), None)
    made.add(PCM)
    assert made.pull(6) == bytes(6)
    made.start("u", 0, "x", 0)
    made.add(PCM)
    assert made.pull(6) == PCM[:6]


def test_captions_come_with_their_sound() -> None:
    """Each once, when its first sample is played; a sentence without sound with the next one."""
    made = playing(PCM[:10], b"", PCM[:10])
    assert made.captions() == []
    made.pull(2)
    assert made.captions() == ["text 0"]
    made.pull(8)
    assert made.captions() == []
    made.pull(2)
    assert made.captions() == ["text 1", "text 2"]


def test_a_sentence_that_goes_on_over_connections() -> None:
    """Announced again it is the same sentence; elsewhere it begins at its place."""
    made = playing(PCM[:10])
    made.start("t", 0, "text 0", 5)
    made.add(PCM[10:20])
    assert made.pull(20) == PCM[:20]
    made.flush()
    made.start("t", 0, "text 0", 10)
    made.add(PCM[20:24])
    made.pull(4)
    assert made.place() == Place("t", 0, 12)


@given(st.lists(st.binary(max_size=20).map(lambda part: part * 2)), st.lists(st.integers(1, 20)))
def test_every_sample_once(parts: list[bytes], draws: list[int]) -> None:
    """However much is drawn at a time: all sound in order, then silence."""
    made, whole = playing(*parts), b"".join(parts)
    drawn = b"".join(made.pull(2 * size) for size in draws)
    assert drawn == whole[: len(drawn)].ljust(len(drawn), b"\0")


def test_time() -> None:
    """24,000 samples are a second."""
    assert millis(12_000) == 500
