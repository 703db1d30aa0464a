"""Clients that come back: what they lack, once; or nothing of what was."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.contract.ingest import TurnRequested
from services.contract.tts import SpeechEnded
from services.gateway.core.call_turn import Position
from services.gateway.core.call_words import Ask, Chunk, Say
from tests.gateway.core.calls import LOUD, OWN, Scene, back, payload, scene, sounds, words


def talked() -> Scene:
    """One turn that was heard, one in its second sentence."""
    call = scene(**OWN)
    call.heard(1, "你好", 1)
    call.sentence(0, "一，", 100)
    call.answered(1)
    call.now += 5_000
    call.heard(2, "再来", 2)
    call.sentence(0, "二，", 100)
    call.sentence(1, "三，", 100, over=False)
    return call


def test_a_refreshed_page_hears_no_stale_tail() -> None:
    """Without `resume` the open turn is ended at once, whatever of it still comes; what was is not sent."""
    old = talked()
    new = back(old)
    assert words(new.done) == ["BotReady", "INTERRUPT"]
    assert payload(new.done, "BotReady") == {"session": "a"}
    assert words(new.event("TextInput", text="x")) == ["ASK", "SentenceRecognized"]
    assert new.asked[0].no > old.asked[-1].no


def test_a_call_without_an_open_turn() -> None:
    """There is nothing to end; a last utterance that nobody asked for is not asked for by a new page."""
    old = scene()
    old.obeys = False
    old.heard(1, "你好", 1)
    assert words(back(old).done) == ["BotReady"]


def test_a_client_goes_on_where_it_was() -> None:
    """After its configuration it gets the rest of the sentence and what follows, and nothing twice."""
    old = talked()
    turn = old.place["turn"]
    new = back(old, Position(turn, 1, 1_000))
    assert payload(new.done, "BotReady") == {"session": "a", "resumed": True}
    assert new.call.busy(new.now)
    effects = new.event("BotUpdateConfig", **OWN)
    assert payload(effects, "TTSSentenceStart") == {
        "sentence": "三，", "turn": turn, "index": 1, "rate": 24_000, "from_sample": 1_000,
    }  # fmt: skip
    assert words(effects) == ["TTSSentenceStart", "chunk"]
    assert sounds(effects) == b"\2\1" * 1_400
    new.publish(SpeechEnded(turn=turn, index=1, attempt=1, samples=2_400))
    new.sentence(2, "四。", 100)
    new.answered(3)
    sentence = ["TTSSentenceStart", "chunk", "TTSSentenceEnd"]
    assert words(new.done) == ["BotReady", *sentence, *sentence, "TTSDone"]


def test_a_client_that_says_nothing_gets_files() -> None:
    """After a second it is sent what it lacks as it is; what comes meanwhile waits its turn."""
    old = talked()
    turn = old.place["turn"]
    new = back(old, Position(turn, 1, 0))
    new.publish(SpeechEnded(turn=turn, index=1, attempt=1, samples=2_400))
    assert words(new.done) == ["BotReady"]
    assert words(new.wait(1_000)) == ["TTSSentenceStart", "file", "TTSSentenceEnd"]


def test_any_wish_ends_the_waiting() -> None:
    """Typing, stopping, marks: first the client gets what it lacks."""
    for event, wish in (("TextInput", {"text": "x"}), ("StopSpeaking", {}), ("PlaybackMark", {}), ("Nothing", {})):
        old = talked()
        new = back(old, Position(old.place["turn"], 0, 0))
        effects = new.event(event, **wish)
        assert words(effects)[:1] == ["TTSSentenceStart"]


def test_a_turn_that_is_not_kept() -> None:
    """Cannot be resumed, and that is said; then it is as without `resume`."""
    new = back(talked(), Position("call-a-1", 0, 0))
    assert payload(new.done, "BotReady")["resumed"] is False
    assert words(new.done) == ["BotReady", "INTERRUPT"]


def test_turns_before_and_after() -> None:
    """Of earlier turns nothing is sent, later ones come whole."""
    old = talked()
    first, second = (entry.message.turn for entry in old.session if isinstance(entry.message, TurnRequested))
    new = back(old, Position(first, 1, 0))
    effects = new.event("BotUpdateConfig", **OWN)
    assert words(effects) == [
        "TTSDone", "SentenceRecognized", "TTSSentenceStart", "chunk", "TTSSentenceEnd", "TTSSentenceStart", "chunk",
    ]  # fmt: skip
    assert payload(effects, "SentenceRecognized")["turn"] == second


def test_what_happened_to_earlier_turns_is_not_told_again() -> None:
    """Their failures and their cuts."""
    old = scene(**OWN)
    old.heard(1, "你好", 1)
    old.sentence(0, "一，", 100)
    old.event("StopSpeaking")
    old.heard(2, "再来", 2)
    old.answered(0, "expired")
    old.heard(3, "第三", 3)
    old.sentence(0, "三，", 100, over=False)
    new = back(old, Position(old.place["turn"], 0, 2_400))
    assert new.event("BotUpdateConfig", **OWN) == []


def test_an_utterance_that_nobody_asked_for() -> None:
    """The gateway died between hearing it and asking: the next one asks. A back-channel is none, nor what was asked for."""
    for text, asked in (("还有呢", ["还有呢"]), ("嗯", [])):
        old = talked()
        turn = old.place["turn"]
        old.answered(2)
        old.obeys = False
        old.now += 5_000
        old.heard(3, text, 3)
        new = back(old, Position(turn, 2, 0))
        effects = new.event("BotUpdateConfig", **OWN)
        assert [each.text for each in effects if isinstance(each, Ask)] == asked


def test_a_voice_of_before_changes_nothing() -> None:
    """Its beginning, its partial words and an engine's failure are not sent again."""
    old = talked()
    old.obeys = False
    old.began(5)
    old.heard(5, "等", final=False)
    new = back(old, Position(old.place["turn"], 1, 2_400))
    assert words(new.event("BotUpdateConfig", **OWN)) == []
    assert words(new.mic(LOUD)) == ["HEAR"]


@given(st.integers(0, 2), st.integers(0, 2_400), st.integers(0, 3))
@pytest.mark.parametrize("kept", [True, False])
def test_every_sample_exactly_once(kept: bool, index: int, samples: int, late: int) -> None:  # noqa: FBT001  a parameter
    """Wherever the connection broke, what the client had and what it gets make the whole answer."""
    old = scene(**OWN)
    old.heard(1, "你好", 1)
    whole = b""
    for at in range(3):
        if at < 3 - late or kept:
            old.sentence(at, f"{at}", 100)
        whole += bytes([at + 1, 1]) * 2_400
    new = back(old, Position(old.place["turn"], index, samples))
    new.event("BotUpdateConfig", **OWN)
    for at in range(3):
        if not (at < 3 - late or kept):
            new.sentence(at, f"{at}", 100)
    new.answered(3)
    had = whole[: 2 * (2_400 * index + samples)]
    assert had + sounds(new.done) == whole
    place = None
    for effect in new.done:
        if isinstance(effect, Say) and effect.event == "TTSSentenceStart":
            place = (effect.payload["index"], effect.payload["from_sample"])
        if isinstance(effect, Chunk):
            assert place is not None
            at = 2 * (2_400 * place[0] + place[1])
            assert whole[at : at + len(effect.pcm)] == effect.pcm
            place = (place[0], place[1] + len(effect.pcm) // 2)
    assert words(new.done)[-1] == "TTSDone"
