"""What a caller says becomes one turn, however many pieces it comes in, told once or more often."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.contract.asr import Transcribed
from services.gateway.core.call_said import LONGEST_MS, Said
from services.gateway.core.call_turn import Position
from services.gateway.core.call_words import Ask
from tests.gateway.core.calls import OWN, SESSION, Scene, back, scene, words


def asked(call: Scene) -> list[str]:
    return [effect.text for effect in call.done if isinstance(effect, Ask)]


def final(at: int, until: int, text: str = "x") -> Transcribed:
    return Transcribed(utterance=f"{SESSION}-{at}", text=text, final=True, until_sample=until)


@pytest.mark.parametrize(
    ("pieces", "whole"),
    [
        (("first", "and then", "the end."), "first and then the end."),
        (("从前，", "有座山"), "从前，有座山"),
        (("first", "", ""), "first"),
        (("", "the end"), "the end"),
    ],
)
def test_who_speaks_on_is_answered_once(pieces: tuple[str, ...], whole: str) -> None:
    """A long utterance comes in pieces, the next one's beginning before the text of the last: one turn, of all of it."""
    call = scene(onair=True)
    call.began(0)
    for at, piece in enumerate(pieces[:-1]):
        call.began((at + 1) * 100)
        call.heard(at * 100, piece, (at + 1) * 100)
    assert asked(call) == []
    call.heard((len(pieces) - 1) * 100, pieces[-1], len(pieces) * 100, ended_ms=call.now - 300)
    assert asked(call) == [whole]
    assert words(call.wait(LONGEST_MS * 2)).count("ASK") == 0


def test_its_last_piece_names_the_turn() -> None:
    """Two gateways that heard the same ask for the same; the latency counts from the last piece."""
    call = scene(onair=True)
    call.began(100)
    call.heard(0, "one", 100)
    call.now += 900
    call.heard(100, "two", 200, ended_ms=call.now - 300)
    assert call.asked[0].key == f"{SESSION}-100"
    call.sentence(0, "a", 100)
    call.answered(1)
    done = next(effect for effect in call.done[::-1] if getattr(effect, "event", "") == "TTSDone")
    assert done.payload["latency"]["recognised_ms"] == 300  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]  a Say


def test_a_new_voice_before_the_text_of_the_last() -> None:
    """He went on before he was understood: nothing is answered into his words, then all of it at once."""
    call = scene(**OWN)
    call.began(0)
    call.began(1_000)
    call.heard(0, "what is the weather", 900)
    assert asked(call) == []
    call.heard(1_000, "in Paris?", 1_900)
    assert asked(call) == ["what is the weather in Paris?"]


def test_noise_after_the_words_does_not_hold_them_for_long() -> None:
    """What turned out to be nothing lets what was said before be answered."""
    call = scene(**OWN)
    call.began(0)
    call.began(1_000)
    call.heard(0, "hello", 900)
    call.heard(1_000, "", 1_900)
    assert asked(call) == ["hello"]


def test_a_voice_whose_words_never_come() -> None:
    """Nobody listens any more: what is known is answered, though late; each sign of the voice puts it off."""
    call = scene(**OWN)
    call.began(1_000)
    call.heard(0, "hello", 900)
    call.wait(LONGEST_MS - 1)
    call.heard(1_000, "and", final=False)
    assert asked(call) == []
    call.wait(LONGEST_MS - 1)
    assert asked(call) == []
    call.wait(1)
    assert asked(call) == ["hello"]


def test_a_text_told_twice() -> None:
    """By two listeners, who need not agree where it ended: the first one counts."""
    call = scene(**OWN)
    call.heard(0, "hello", 900)
    call.answered(0)
    call.now += 1_000
    call.heard(0, "hello there", 1_400)
    call.began(500)
    assert asked(call) == ["hello"]
    assert not inside_said(call).speaking


def inside_said(call: Scene) -> Said:
    return call.call._talk._told  # pyright: ignore[reportPrivateUsage]  what no client sees


def test_pieces_over_a_change_of_gateways() -> None:
    """The gateway dies between two pieces: the next one joins them, and asks once."""
    old = scene(**OWN)
    old.heard(1, "你好", 1)
    old.sentence(0, "一", 100)
    old.answered(1)
    old.now += 1_000
    old.began(100)
    old.began(200)
    old.heard(100, "one", 200)
    new = back(old, Position(old.place["turn"], 0, 2_400))
    new.event("BotUpdateConfig", **OWN)
    assert asked(new) == []
    new.heard(200, "two", 300)
    assert asked(new) == ["one two"]


def test_noise_after_a_text_that_nobody_asked_for() -> None:
    """The gateway died before it asked, and something was heard since: the text is asked for all the same."""
    old = scene(**OWN)
    old.heard(1, "你好", 1)
    old.answered(0)
    turn = old.place["turn"]
    old.obeys = False
    old.heard(2, "hello", 20)
    old.heard(21, "", 40)
    new = back(old, Position(turn, 0, 0))
    new.event("BotUpdateConfig", **OWN)
    assert asked(new) == ["hello"]


STEPS = st.lists(st.tuples(st.sampled_from(["began", "final", "tick", "again"]), st.integers(1, 30)), max_size=40)


@given(STEPS)
def test_every_word_is_asked_for_once_and_in_order(steps: list[tuple[str, int]]) -> None:
    """Whatever comes when: after a last silence all texts were taken, each once, in their order."""
    said, at, now, given_texts, taken = Said(), 0, 0, list[str](), list[str]()
    last: Transcribed | None = None
    for what, number in steps:
        now += number * 1_000
        if what == "began":
            said.began(at + number, now)
        elif what == "final":
            last = final(at, at + number, f"w{at}")
            at += number
            if said.ended(last, now):
                said.add(last.utterance, last.text, now)
                given_texts.append(last.text)
        elif what == "again" and last:
            assert not said.ended(last, now)
        saying = said.tick(now) or said.take()
        taken += saying.text.split() if saying else []
    if saying := said.tick(now + LONGEST_MS):
        taken += saying.text.split()
    assert taken == given_texts
    assert said.due_ms() is None
