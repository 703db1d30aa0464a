"""What Tavus's answers mean."""

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.contract.failure import Code, Failure
from services.gateway.core.tavus import answers
from services.gateway.core.tavus.ports import Conversation, Persona

ROW = {
    "conversation_id": "c70ed8f4",
    "conversation_name": "A",
    "status": "active",
    "conversation_url": "https://tavus.daily.co/c70ed8f4",
    "persona_id": "p1",
    "replica_id": "r1",
    "created_at": "2025-06-30T07:34:47.131571Z",
    "callback_url": "",
}
SEEN = Conversation(
    "c70ed8f4", "A", "active", "https://tavus.daily.co/c70ed8f4", "p1", "r1", "2025-06-30T07:34:47.131571Z"
)
KEY = "0123456789abcdef"


def of(found: object) -> bytes:
    return json.dumps(found).encode()


def test_a_conversation() -> None:
    """Also where it comes as the only one of a list, and where fields are missing, null or of another kind."""
    assert answers.conversation(of(ROW)) == SEEN
    assert answers.conversation(of({"data": [ROW]})) == SEEN
    assert answers.conversation(of({"conversation_id": "c1", "status": None, "persona_id": 7})) == Conversation("c1")


def test_a_persona_is_told_without_its_layers() -> None:
    """They may hold keys."""
    row = {"persona_id": "p1", "persona_name": "x" * 300, "layers": {"llm": {"api_key": "secret"}}}
    assert answers.persona(of(row)) == Persona("p1", "x" * 199 + "…")


def test_lists() -> None:
    """With and without their total; a bare list is one too."""
    assert answers.conversations(of({"data": [ROW], "total_count": 7})) == answers.Page([SEEN], 7)
    assert answers.conversations(of([ROW])) == answers.Page([SEEN], None)
    assert answers.personas(of({"data": [], "total_count": True})) == answers.Page([], None)


@pytest.mark.parametrize(
    ("body", "what"),
    [
        (b"<html>", "is not JSON"),
        (b"[" * 100_000, "is not JSON"),
        (b"[]", "is not an object"),
        (of({"data": ["x"]}), "is not an object"),
        (of({}), "has no conversation_id"),
        (of({"conversation_id": ""}), "has no conversation_id"),
        (of({"conversation_id": "c/../1"}), "has no conversation_id"),
        (of({"conversation_id": "c" * 65}), "has no conversation_id"),
        (of({"conversation_id": "ç1"}), "has no conversation_id"),
    ],
)
def test_an_answer_that_is_none(body: bytes, what: str) -> None:
    """What is wrong with it, and where to look."""
    with pytest.raises(Failure, match=f"{what}; is TAVUS_BASE_URL right") as caught:
        answers.conversation(body)
    assert caught.value.code is Code.ENGINE_BROKEN


def test_a_list_that_is_none() -> None:
    """It is said so."""
    with pytest.raises(Failure, match="is not a list"):
        answers.personas(of({"data": {}}))


@pytest.mark.parametrize(
    ("status", "body", "code", "words"),
    [
        (401, {"message": "Invalid access token"}, Code.ENGINE_MISSING, "refuses the key (401); set TAVUS_API_KEY"),
        (403, {}, Code.ENGINE_MISSING, "refuses the key (403)"),
        (302, {}, Code.ENGINE_MISSING, "redirects (302), which is not followed; set TAVUS_BASE_URL"),
        (402, {"error": "Out of it"}, Code.BUSY, "wants to be paid (402): Out of it; add credit"),
        (400, {"message": "The user is out of conversational credits."}, Code.BUSY, "add credit"),
        (400, {"message": "User has reached maximum concurrent conversations"}, Code.BUSY, "end one, or raise"),
        (429, {}, Code.BUSY, "too many requests (429); try again"),
        (404, {"message": "{odd}"}, Code.NOT_FOUND, "does not know it (404): {odd}; look at the id"),
        (400, {"error": "Invalid conversation_id"}, Code.NOT_FOUND, "does not know it (400): Invalid"),
        (400, {"error": "Invalid replica_uuid"}, Code.BAD_INPUT, "refuses this (400): Invalid replica_uuid"),
        (503, {}, Code.ENGINE_BROKEN, "is in trouble (503): nothing that says why; try again later"),
    ],
)
def test_what_a_refusal_means(status: int, body: dict[str, Any], code: Code, words: str) -> None:
    """The code, and a sentence with the remedy; only what may pass by itself is tried again."""
    failure = answers.refusal(status, of(body), "Tavus (tavusapi.com)", KEY)
    assert failure.code is code
    assert failure.sentence.startswith("Tavus (tavusapi.com) ")
    assert words in failure.sentence
    assert failure.retryable == (status in {429, 503})


def test_a_refusal_repeats_no_key_and_steers_no_terminal() -> None:
    """However Tavus says it; it is cut short."""
    said = {"message": f"bad\u001b[31m {KEY}", "error": ["x"], "more": "y" * 1_000}
    failure = answers.refusal(400, of(said), "Tavus", KEY)
    assert failure.sentence == "Tavus refuses this (400): bad [31m ***"
    assert len(answers.refusal(400, of({"error": "x" * 1_000}), "Tavus", "").sentence) < 400
    assert "nothing that says why" in answers.refusal(400, b"<html>", "Tavus", KEY).sentence
    assert "nothing that says why" in answers.refusal(400, b"[]", "Tavus", KEY).sentence


@given(st.integers(300, 599), st.binary() | st.builds(of, st.recursive(st.text() | st.none(), st.lists)))
def test_every_answer_is_read_or_refused(status: int, body: bytes) -> None:
    """Nothing but a Failure is raised."""
    assert answers.refusal(status, body, "Tavus", KEY).sentence
    for read in (answers.conversation, answers.persona, answers.conversations, answers.personas):
        with suppress(Failure):
            read(body)
