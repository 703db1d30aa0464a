"""What is said in a conversation, as runs."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onair.runs import Notice, Run, Runs, parse

ROLES = st.sampled_from(["user", "replica"])


def over(*said: tuple[str, str]) -> list[tuple[str, str]]:
    """All runs, in order."""
    runs = Runs()
    found = [runs.feed(Run(role, speech)) for role, speech in said]
    return [(run.role, run.speech) for run in [*found, runs.end()] if run]


def test_the_newest_of_a_run_replaces_the_older() -> None:
    """While it grows, and where it is mended; the other side's words end it."""
    said = [("replica", "Hel"), ("replica", "Hello"), ("replica", "Hello there."), ("user", "hi"), ("replica", "Bye.")]
    assert over(*said) == [("replica", "Hello there."), ("user", "hi"), ("replica", "Bye.")]
    assert over(("replica", "It is suny"), ("replica", "It is sunny.")) == [("replica", "It is sunny.")]


def test_two_of_one_side_are_two() -> None:
    """What does not go on with what was said is said anew: comments of two viewers, two answers."""
    assert over(("user", "你好"), ("user", "主播唱歌吗")) == [("user", "你好"), ("user", "主播唱歌吗")]


@given(ROLES, st.text(min_size=1), st.text())
def test_what_is_added_to_is_one_run(role: str, speech: str, more: str) -> None:
    """Whatever is added."""
    assert over((role, speech), (role, speech + more)) == [(role, speech + more)]


@given(st.lists(st.tuples(ROLES, st.text(min_size=1))))
def test_the_last_of_each_run_is_shown(said: list[tuple[str, str]]) -> None:
    """Nothing that was not said, in order, and never nothing."""
    found = over(*said)
    assert bool(found) == bool(said)
    rest = iter(said)
    assert all(each in rest for each in found)


def test_nothing_is_open_at_first() -> None:
    """Nor after the end."""
    runs = Runs()
    assert runs.end() is None
    runs.feed(Run("user", "hi"))
    assert (runs.end(), runs.open) == (Run("user", "hi"), None)


def frame(**fields: object) -> str:
    return json.dumps({"message_type": "conversation", "event_type": "conversation.utterance", **fields})


def test_frames() -> None:
    """Utterances and what the gateway says of itself; a notice has its reason and its code."""
    assert parse(frame(properties={"role": "user", "speech": "hi"})) == Run("user", "hi")
    notice = {"message_type": "onair", "event_type": "onair.error"}
    assert parse(json.dumps(notice)) == Notice("error")
    more = {"reason": "why", "code": "busy", "waits": True}
    assert parse(json.dumps({**notice, "properties": more})) == Notice("error", "why", "busy", waits=True)


@pytest.mark.parametrize(
    "text",
    [
        frame(),
        frame(properties={"role": "user"}),
        frame(properties={"role": "user", "speech": " "}),
        frame(properties=["role"]),
        frame(event_type="conversation.tool_call", properties={"role": "user", "speech": "hi"}),
        "[]",
        "7",
        "{",
        "[" * 100_000,
    ],
)
def test_other_frames_are_not_shown(text: str) -> None:
    """Other types, utterances without words, what is no JSON."""
    assert parse(text) is None
