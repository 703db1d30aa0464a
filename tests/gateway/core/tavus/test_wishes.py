"""What a client may want of Tavus, and what Tavus is then sent."""

import json
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.contract.failure import Code, Failure
from services.gateway.core.tavus import wishes

PROMPTS = {"teacher": "Teach English.", "mute": ""}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


def told(**fields: Any) -> bytes:
    return json.dumps(fields).encode()


def test_a_conversation_with_everything() -> None:
    """Each wish has its place in what Tavus is sent; the name is one clean line and goes beside it."""
    words = {"name": " Tonight\n at\u0007 eight ", "context": "You know\nJo.", "greeting": "Hi!", "language": "ZH"}
    wish = wishes.conversation(told(persona="p1", replica="r-1_a", max_duration=600, record=True, test=True, **words))
    assert (wish.name, wish.max_s) == ("Tonight at eight", 600)
    assert wish.body == {
        "persona_id": "p1",
        "replica_id": "r-1_a",
        "conversational_context": "You know\nJo.",
        "custom_greeting": "Hi!",
        "test_mode": True,
        "properties": {"max_call_duration": 600, "enable_recording": True, "language": "chinese"},
    }


def test_a_conversation_with_little() -> None:
    """What is not said is not sent, but how long it lasts at most: an hour. Nothing is recorded unless that is wanted."""
    wish = wishes.conversation(told(replica="r1", context=None, record=False))
    assert (wish.name, wish.body) == ("OnAir", {"replica_id": "r1", "properties": {"max_call_duration": 3_600}})
    other = wishes.conversation(told(persona="p1", language="Multilingual"))
    assert other.body["properties"]["language"] == "multilingual"


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({}, "a persona or a replica"),
        ({"persona": "p/../1"}, "persona must be an id of Tavus"),
        ({"persona": 1}, "persona must be a text"),
        ({"persona": "p1", "nome": "x"}, "unknown field 'nome'; known: persona, replica"),
        ({"persona": "p1", "name": "x" * 101}, "name has 101 characters; 100 are allowed"),
        ({"persona": "p1", "record": "yes"}, "record must be true or false"),
        ({"persona": "p1", "max_duration": 29}, "max_duration must be seconds, a whole number from 30 to 3600"),
        ({"persona": "p1", "max_duration": True}, "max_duration must be seconds"),
        ({"persona": "p1", "max_duration": 60.5}, "max_duration must be seconds"),
        ({"persona": "p1", "language": "xx"}, "language must be one of en, zh"),
    ],
)
def test_a_conversation_that_cannot_be(fields: dict[str, Any], reason: str) -> None:
    """The field that is wrong is named, with what it may be."""
    with pytest.raises(Failure, match=reason) as caught:
        wishes.conversation(told(**fields))
    assert caught.value.code is Code.BAD_INPUT


def test_a_persona_with_everything() -> None:
    """The layers go as they are; `perception` names the model that sees, beside what else is said of that layer."""
    layers = {"llm": {"model": "m", "tools": [{"type": "function"}]}, "perception": {"visual_awareness_queries": ["?"]}}
    body = wishes.persona(
        told(name="Guide", replica="r1", prompt="Guide.", context="c", layers=layers, perception="raven-1"), PROMPTS
    )
    assert body == {
        "persona_name": "Guide",
        "system_prompt": "Guide.",
        "pipeline_mode": "full",
        "context": "c",
        "default_replica_id": "r1",
        "layers": {**layers, "perception": {"visual_awareness_queries": ["?"], "perception_model": "raven-1"}},
    }


def test_a_persona_of_the_configuration() -> None:
    """Its prompt and its name are taken over; another name may be given."""
    usual = {"persona_name": "teacher", "system_prompt": "Teach English.", "pipeline_mode": "full"}
    assert wishes.persona(told(**{"from": "teacher"}), PROMPTS) == usual
    assert wishes.persona(told(**{"from": "teacher", "name": "Ann"}), PROMPTS) == {**usual, "persona_name": "Ann"}


def deep(levels: int) -> Any:
    return {} if not levels else {"a": deep(levels - 1)}


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"name": "x"}, "give the prompt"),
        ({"prompt": "x"}, "give the persona a name"),
        ({"prompt": "x", "from": "teacher"}, "not both"),
        ({"from": "nobody"}, "no persona 'nobody' with a prompt; known: teacher"),
        ({"from": "mute"}, "no persona 'mute' with a prompt"),
        ({"prompt": "x", "name": "x", "layers": []}, "layers must be an object"),
        ({"prompt": "x", "name": "x", "layers": {"nose": {}}}, "layers has 'nose'; it may have objects named llm"),
        ({"prompt": "x", "name": "x", "layers": {"llm": 1}}, "layers has 'llm'"),
        ({"prompt": "x", "name": "x", "layers": {"llm": deep(12)}}, "nested more than 12 deep"),
        ({"prompt": "x", "name": "x", "layers": {"llm": {"a": [[deep(10)]]}}}, "nested more than 12 deep"),
        ({"prompt": "x", "name": "x", "persona": "x"}, "unknown field 'persona'"),
    ],
)
def test_a_persona_that_cannot_be(fields: dict[str, Any], reason: str) -> None:
    """The field that is wrong is named, with what it may be."""
    with pytest.raises(Failure, match=reason):
        wishes.persona(told(**fields), PROMPTS)


def test_no_persona_has_a_prompt() -> None:
    """Then none is known."""
    with pytest.raises(Failure, match="known: none"):
        wishes.persona(told(**{"from": "x"}), {})


def test_the_states() -> None:
    """Those of Tavus, or any."""
    assert [wishes.state(word) for word in ("", "active", "ended")] == ["", "active", "ended"]
    with pytest.raises(Failure, match="status must be one of active, ended"):
        wishes.state("asleep")


@given(st.dictionaries(st.sampled_from([*wishes.OF_CONVERSATION, *wishes.OF_PERSONA, "other"]), JSON))
def test_every_body_is_a_wish_or_refused(fields: dict[str, Any]) -> None:
    """Nothing else is raised, and what is sent is JSON that a wire takes, whose ids lead nowhere in a URL."""
    body = json.dumps(fields).encode()
    sent = list[Mapping[str, Any]]()
    with suppress(Failure):
        sent.append(wishes.conversation(body).body)
    with suppress(Failure):
        sent.append(wishes.persona(body, PROMPTS))
    for each in sent:
        json.dumps(each).encode()
        ids = [each.get(name, "") for name in ("persona_id", "replica_id", "default_replica_id")]
        assert all(not set(id_) & set("/?#.% ") for id_ in ids)


def test_the_bodies_are_described() -> None:
    """Every field, with its kind."""
    described = wishes.schema(wishes.OF_CONVERSATION)["properties"]
    assert described["record"] == {"type": "boolean"}
    assert set(described) == set(wishes.OF_CONVERSATION)
