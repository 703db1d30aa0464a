"""Dead letters, deeds and the kill switch as rows."""

from services.gateway.core.console.letters import BODY, ahead, deeds, event_id, letter, silence


def test_a_dead_letter_is_bounded_text() -> None:
    """Bytes that are no text are replaced; a long one is cut, its length is told."""
    row = letter(
        "5-0", 7, b"\xff" + b"x" * BODY, 3, {"stream": "turns", "code": "internal", "reason": "<b>", "message": "M"}
    )
    assert (row["id"], row["at_ms"], row["deliveries"], row["bytes"]) == ("5-0", 7, 3, BODY + 1)
    assert row["body"] == "\ufffd" + "x" * (BODY - 1)
    assert (row["stream"], row["code"], row["reason"], row["message"]) == ("turns", "internal", "<b>", "M")
    assert letter("5-0", 7, b"", 0, {})["reason"] == ""


def test_a_deed_says_who_did_what() -> None:
    """In words, with its time."""
    assert deeds([(b"5-0", {b"who": b"token", b"what": b"stop", b"on": b"demo", b"other": b"x"})]) == [
        {"id": "5-0", "at_ms": 5, "who": "token", "what": "stop", "on": "demo", "how": ""}
    ]


def test_the_kill_switch_says_who_threw_it() -> None:
    """Set by hand it may say nothing: it is on all the same."""
    assert silence(None) is None
    assert silence(b'{"by": "me", "at_ms": 5}') == {"by": "me", "at_ms": 5}
    assert silence(b"1") == silence(b"yes") == {"by": "", "at_ms": 0}


def test_an_event_without_an_id_has_none() -> None:
    """Whatever lies in a lane, the page goes on."""
    assert [event_id(body) for body in (b'{"id": "a"}', b"{}", b"[]", b"\xff")] == ["a", "", "", ""]


def test_small_differences_of_clocks_do_not_count() -> None:
    """The way of the answer is no difference."""
    assert [ahead(theirs, 10_000) for theirs in (9_990, 10_200, 15_010, 8_000)] == [0, 0, 5_000, -2_000]
