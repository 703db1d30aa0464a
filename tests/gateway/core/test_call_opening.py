"""A persona that speaks first: once, in a call in which nothing was said, for a client that lets it."""

from dataclasses import replace
from typing import Any

import pytest

from services.contract.failure import Code, Failure
from services.gateway.core.call import Call
from services.gateway.core.call_turn import OPENING
from services.gateway.core.call_words import Ask
from tests.gateway.core.calls import MENU, OWN, SESSION, Scene, back, payload, scene, words

OPENS = "(The student has just called.)"
TEACHER: dict[str, Any] = {**OWN, "opening": True, "persona": "teacher"}


def opening(**config: Any) -> Scene:
    made = Scene(Call(SESSION, "me", replace(MENU, opens={"teacher": OPENS})))
    made.join()
    made.event("BotUpdateConfig", **config)
    return made


def test_the_teacher_speaks_first() -> None:
    """What is put to the model is not shown as if the user had said it; the answer is one as any other."""
    call = opening(**TEACHER)
    assert [(ask.text, ask.config.persona) for ask in call.asked] == [(OPENS, "teacher")]
    assert call.asked[0].key.endswith(OPENING)
    call.sentence(0, "How was your day?", 100)
    call.answered(1)
    assert payload(call.done, "SentenceRecognized") == {"sentence": "", "turn": call.place["turn"]}
    assert payload(call.done, "TTSSentenceStart")["sentence"] == "How was your day?"
    call.wait(1_000)
    assert words(call.event("BotUpdateConfig", **TEACHER)) == [], "once is enough"
    assert words(call.heard(0, "It was good.", 1_600)) == ["ASK", "SentenceRecognized"]


@pytest.mark.parametrize(
    "config",
    [
        {**TEACHER, "opening": False},
        {**TEACHER, "persona": "friend"},
        {**TEACHER, "prompt": "You are a pirate."},
    ],
)
def test_who_waits(config: dict[str, Any]) -> None:
    """A client that did not ask for it, a persona that does not open, a prompt of the client's own."""
    assert opening(**config).asked == []


def test_a_persona_that_is_chosen_later() -> None:
    """Opens if nothing was said before, and not after."""
    call = opening(**OWN, opening=True)
    assert words(call.event("BotUpdateConfig", persona="teacher")) == ["ASK", "SentenceRecognized"]
    spoken = opening(**OWN, opening=True)
    spoken.heard(0, "你好", 1_600)
    assert words(spoken.event("BotUpdateConfig", persona="teacher")) == []


def test_who_comes_back_is_not_greeted_again() -> None:
    """The call goes on where it was, on whichever connection."""
    old = opening(**TEACHER)
    again = back(old)
    again.event("BotUpdateConfig", **TEACHER)
    assert again.asked == []


def test_an_opening_that_cannot_be_asked_for() -> None:
    """Is a failure without words of the user."""
    call = scene()
    call.obeys = False
    call.call = Call(SESSION, "me", replace(MENU, opens={"teacher": OPENS}))
    call.join()
    ask = next(effect for effect in call.event("BotUpdateConfig", **TEACHER) if isinstance(effect, Ask))
    failure = Failure(Code.BUS_DOWN, "the broker is away", retryable=True)
    told = call.do(call.call.refused(ask, failure, call.now))
    assert words(told) == ["SentenceRecognized", "BotError", "TTSDone"]
    assert payload(told, "SentenceRecognized") == {"sentence": ""}
