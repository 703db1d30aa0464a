"""Barge-in: which voice interrupts, and what the client hears meanwhile."""

import pytest

from services.contract.ingest import TurnRequested
from services.gateway.core.call_words import Ask, Interrupt, Tell
from tests.gateway.core.calls import LOUD, OWN, QUIET, Scene, inside, payload, scene, words

STOPPED = ["PURGE", "PlaybackStop"]


def speaking(ms: int = 10_000) -> Scene:
    """An answer that the client has been hearing for a second."""
    call = scene(**OWN)
    call.mic(QUIET)
    call.heard(0, "讲个故事", 1_600)
    call.sentence(0, "从前，", ms)
    call.mic(*[QUIET] * 10)
    call.done.clear()
    return call


def heard_frames(call: Scene) -> int:
    return inside(call).at_sample


def test_a_voice_pauses_at_once_and_then_stops() -> None:
    """PlaybackPause with the voice; after 600 ms of it all is cut, TTSDone comes, its words are the next turn."""
    call = speaking()
    at = heard_frames(call)
    call.mic(LOUD)
    assert words(call.began(at)) == ["VoiceBegan", "PlaybackPause"]
    assert words(call.mic(*[LOUD] * 4)) == ["HEAR"] * 4
    effects = call.mic(LOUD)
    assert words(effects) == ["HEAR", *STOPPED, "TTSDone", "TELL", "INTERRUPT"]
    assert [effect.by for effect in effects if isinstance(effect, Interrupt)] == ["speech"]
    mark = next(effect.message for effect in effects if isinstance(effect, Tell))
    assert (mark.index, mark.played_ms) == (0, 1_100)  # held since the voice began
    assert words(call.heard(at, "等一下", at + 9_600)) == ["ASK", "SentenceRecognized"]


def test_words_stop_before_the_time() -> None:
    """Of a partial transcript or the final one; a final one is the next turn."""
    for final in (False, True):
        call = speaking()
        at = heard_frames(call)
        call.mic(LOUD)
        call.began(at)
        effects = call.heard(at, "等等", at + 1_600 if final else 0, final=final)
        asked = [each.text for each in effects if isinstance(each, Ask)]
        assert [word for word in words(effects) if word.startswith("Playback")] == ["PlaybackStop"]
        assert asked == (["等等"] if final else [])


@pytest.mark.parametrize("text", ["", "嗯。", "嗯嗯", "OK"])
def test_noise_and_back_channels(text: str) -> None:
    """The answer goes on where it was held; there is no turn."""
    call = speaking()
    at = heard_frames(call)
    call.mic(LOUD, LOUD)
    call.began(at)
    call.mic(*[QUIET] * 5)
    assert call.heard(at, text, final=False) in ([], call.done[-1:])
    assert words(call.heard(at, text, at + 3_200)) == ["PlaybackResume"]
    call.sentence(1, "然后，", 100)
    call.answered(2)
    assert words(call.done)[-1] == "TTSDone"
    assert "PlaybackStop" not in words(call.done)


def test_a_cough_and_a_long_silence_are_short() -> None:
    """What lies behind a voice's peak, silence or noise, does not make it longer."""
    call = speaking()
    at = heard_frames(call)
    call.mic(LOUD)
    call.began(at)
    hiss = b"\0\2" * 1_600
    assert set(words(call.mic(*[hiss] * 12))) == {"HEAR"}


def test_a_voice_that_nobody_understands() -> None:
    """5 s after it was last heard the answer goes on."""
    call = speaking()
    at = heard_frames(call)
    call.mic(LOUD)
    call.began(at)
    assert words(call.wait(4_900)) == []
    assert words(call.wait(200)) == ["PlaybackResume"]


def test_the_echo_of_the_first_moment() -> None:
    """A voice in the first 250 ms of the answer neither holds nor ends it, and is no turn."""
    call = scene(**OWN)
    call.mic(QUIET)
    call.heard(0, "讲个故事", 1_600)
    call.sentence(0, "从前，", 10_000)
    call.mic(LOUD)
    assert words(call.began(1_600)) == ["VoiceBegan"]
    assert words(call.mic(LOUD, *[QUIET] * 5)) == ["HEAR"] * 6
    assert call.heard(1_600, "从前", 4_800) == []


def test_a_voice_that_outlasts_the_first_moment() -> None:
    """What goes on after the first 250 ms counts from there on."""
    call = scene(**OWN)
    call.mic(QUIET)
    call.heard(0, "讲个故事", 1_600)
    call.sentence(0, "从前，", 10_000)
    call.mic(LOUD)
    call.began(1_600)
    assert words(call.mic(LOUD, LOUD)) == ["HEAR", "HEAR", "PlaybackPause"]
    assert "PlaybackStop" in words(call.mic(*[LOUD] * 7))


def test_a_voice_while_the_answer_is_made() -> None:
    """Nothing is played yet: it is held before it begins, and ended by what is said."""
    call = scene(**OWN)
    call.heard(0, "讲个故事", 1_600)
    call.mic(LOUD)
    assert words(call.began(1_600)) == ["VoiceBegan", "PlaybackPause"]
    assert words(call.heard(1_600, "等等", 3_200)) == [
        "PURGE", "PlaybackStop", "TTSDone", "INTERRUPT", "ASK", "SentenceRecognized",
    ]  # fmt: skip


def test_a_noise_while_the_answer_is_made() -> None:
    """The answer is made on, and then begins at once."""
    call = scene(**OWN)
    call.heard(0, "讲个故事", 1_600)
    call.mic(LOUD)
    call.began(1_600)
    assert words(call.began(1_650)) == ["VoiceBegan", "PlaybackPause"]
    assert words(call.heard(1_650, "", 3_200)) == ["PlaybackResume"]
    call.sentence(0, "从前，", 1_000)
    call.now += 999
    call.answered(1)
    assert call.call.busy(call.now)
    call.now += 1
    assert not call.call.busy(call.now)


def test_a_voice_of_which_we_hear_late() -> None:
    """600 ms of it have come before it was told of: it interrupts at once."""
    call = speaking()
    at = heard_frames(call)
    call.mic(*[LOUD] * 7)
    assert words(call.began(at))[:3] == ["VoiceBegan", "PURGE", "PlaybackStop"]


def test_a_voice_told_of_without_its_sound() -> None:
    """Nothing of it lies in the frames that are remembered: it holds the answer until it is understood."""
    call = speaking()
    assert words(call.began(10**6)) == ["VoiceBegan", "PlaybackPause"]
    assert words(call.heard(5, "", 10**6)) == []
    assert words(call.mic(QUIET)) == ["HEAR"]


def test_what_is_held_goes_on_when_the_answer_ended_meanwhile() -> None:
    """All of it was sent; it is still held, and still played afterwards."""
    call = speaking()
    at = heard_frames(call)
    call.mic(LOUD)
    call.began(at)
    call.answered(1)
    call.wait(3_000)
    assert words(call.heard(at, "嗯", at + 1_600)) == ["PlaybackResume"]
    effects = call.event("StopSpeaking")
    assert next(each.message.played_ms for each in effects if isinstance(each, Tell)) == 1_100


def test_an_operators_stop_ends_what_is_held() -> None:
    """PlaybackStop ends the pause: nothing resumes later."""
    call = speaking()
    at = heard_frames(call)
    call.mic(LOUD)
    call.began(at)
    call.interrupt()
    assert inside(call).due_ms() is None
    assert words(call.heard(at, "嗯", at + 1_600)) == ["ASK", "SentenceRecognized"]


def test_marks_move_the_clock() -> None:
    """A client that plays later than it was sent is still playing: a voice interrupts it."""
    call = speaking(1_000)
    call.answered(1)
    call.now += 500
    turn = call.place["turn"]
    assert not call.call.busy(call.now)
    call.sentence(1, "x", 0)
    call.heard(10**5, "再来", 10**5)
    call.sentence(0, "好，", 2_000)
    call.sentence(1, "好。", 2_000)
    call.now += 3_000
    call.event("PlaybackMark", turn=turn, sentence=0, played_ms=10)
    call.event("PlaybackMark", sentence=1, played_ms=100)
    call.answered(2)
    call.now += 1_500
    assert call.call.busy(call.now)
    call.now += 500
    assert not call.call.busy(call.now)
    call.event("PlaybackMark", sentence=1, played_ms=100)
    assert not call.call.busy(call.now)


def test_the_mark_of_a_later_sentence() -> None:
    """Where the gateway guesses how much was heard, it names the sentence in the air."""
    call = speaking(500)
    call.sentence(1, "然后，", 2_000)
    call.now += 700
    mark = next(each.message for each in call.event("StopSpeaking") if isinstance(each, Tell))
    assert (mark.index, mark.played_ms) == (1, 700)


def test_a_half_duplex_client_is_not_interrupted() -> None:
    """Without `interrupt` a voice that asr still tells of changes nothing, and is no turn."""
    call = scene(onair=True)
    call.heard(0, "讲个故事", 1_600)
    call.sentence(0, "从前，", 1_000)
    assert words(call.began(1_600)) == ["VoiceBegan"]
    assert words(call.heard(1_600, "等等", 3_200, final=False)) == ["PartialSentence"]
    assert call.heard(1_600, "等等", 3_200) == []
    call.answered(1)
    assert payload(call.heard(4_000, "好", 4_800), "SentenceRecognized")["sentence"] == "好"
    assert sum(isinstance(entry.message, TurnRequested) for entry in call.session) == 2


def test_sound_that_comes_while_it_is_held() -> None:
    """It begins when the pause ends: until then nothing of it is heard, and its first moment is after that."""
    call = scene(**OWN)
    call.heard(0, "讲个故事", 1_600)
    call.mic(LOUD)
    call.began(1_600)
    call.sentence(0, "从前，", 1_000)
    call.answered(1)
    call.now += 2_000
    assert words(call.heard(1_600, "嗯", 3_200)) == ["PlaybackResume"]
    assert words(call.began(9_000)) == ["VoiceBegan"]
    call.now += 900
    assert call.call.busy(call.now)
    mark = next(each.message for each in call.event("StopSpeaking") if isinstance(each, Tell))
    assert mark.played_ms == 900
