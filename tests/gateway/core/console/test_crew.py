"""Who works on what, and whom nobody hears of any more."""

import json

from services.contract.llm import SentenceReady
from services.gateway.core.console.crew import Held, Watch, pools, told, workers

READY = SentenceReady(
    turn="t1", no=1, session="demo", epoch=0, index=2, text="你好", speak="你好", voice="v", deadline_ms=0
)  # fmt: skip
HELD = Held("speak:a:show", "tts", "5000-0", "tts-1234-0", 2, READY.to_json())


def alive(problems: dict[str, str] | None = None, warnings: dict[str, str] | None = None) -> bytes:
    said = {"host": "h", "pid": 7, "version": "1", "since_ms": 9, "slots": {"speak:a:show": 2, "speak:a:call": 2}}
    return json.dumps({**said, "problems": problems or {}, "warnings": warnings or {}}).encode()


def test_a_sentence_in_somebodys_hands_is_said_in_words() -> None:
    """Its session, turn, place and text, since when it was published, how often it was given out."""
    assert told(HELD) == {
        "stream": "speak:a:show", "id": "5000-0", "consumer": "tts-1234-0", "deliveries": 2, "published_ms": 5_000,
        "session": "demo", "turn": "t1", "index": 2, "text": "你好",
    }  # fmt: skip


def test_what_cannot_be_read_is_shown_by_its_id() -> None:
    """Neither bytes that are no JSON nor JSON that is no object break the page; an ask and a clip have words too."""
    for body in (b"\xff", b"[1]", b""):
        assert told(Held("s", "g", "1-0", "c-0", 1, body))["text"] == ""
    assert told(Held("turns", "llm", "1-0", "c-0", 1, b'{"ask": "why"}'))["text"] == "why"
    assert told(Held("turns", "llm", "1-0", "c-0", 1, b'{"ask": "", "say": "hm"}'))["text"] == "hm"
    assert told(Held("listen", "asr", "1-0", "c-0", 1, b'{"utterance": "u"}'))["turn"] == "u"


def test_the_time_in_the_same_hands_counts_from_when_it_was_seen_there() -> None:
    """What was there at the first look may have been there longer; other hands begin anew; what is done is forgotten."""
    watch = Watch()
    other = Held("speak:a:show", "tts", "5000-0", "tts-9999-0", 3)
    assert [(row["held_since_ms"], row["exact"]) for row in watch.feed([HELD], 100)] == [(100, False)]
    assert [(row["held_since_ms"], row["exact"]) for row in watch.feed([HELD], 200)] == [(100, False)]
    assert [(row["held_since_ms"], row["exact"]) for row in watch.feed([other], 300)] == [(300, True)]
    assert [(row["held_since_ms"], row["exact"]) for row in watch.feed([HELD], 400)] == [(400, True)]


def test_a_process_says_how_it_is() -> None:
    """Ready, with a warning, unable, draining; gone where its key ran out. Those that live come first."""
    known = {
        "tts:tts-0000": (1, None),
        "tts:tts-1234": (2, alive()),
        "llm:llm-1": (3, alive(warnings={"model": "no key"})),
        "asr:asr-1": (4, alive({"bus": "down"}, {"x": "y"})),
        "avatar:avatar-1": (5, alive({"drain": "it drains"})),
    }
    rows = workers(known, Watch().feed([HELD], 100))
    assert [(row["name"], row["state"]) for row in rows] == [
        ("asr-1", "problem"), ("avatar-1", "draining"), ("llm-1", "warning"), ("tts-1234", "ready"), ("tts-0000", "gone"),
    ]  # fmt: skip
    assert rows[0]["why"] == "down; y"
    assert [hold["turn"] for hold in rows[3]["holds"]] == ["t1"]
    assert rows[4]["seen_ms"] == 1


def test_hands_of_nobody_who_is_known_are_shown() -> None:
    """A worker that was killed long ago still holds what nobody took over: it has a row."""
    (row,) = workers({}, Watch().feed([HELD], 100))
    assert (row["service"], row["name"], row["state"], len(row["holds"])) == ("tts", "tts-1234", "gone", 1)


def test_a_pool_has_permits_where_a_worker_lives() -> None:
    """Its two streams share them; a worker that is gone has none; a pool that only a key names has a row."""
    crew = workers({"tts:tts-1": (1, alive()), "tts:tts-2": (1, alive()), "tts:tts-3": (1, None)}, [])
    flow = [
        {"key": "speak:a:show", "length": 5, "pending": 2},
        {"key": "speak:a:call", "length": 1, "pending": 1},
        {"key": "turns", "length": 9, "pending": 9},
    ]
    rows = pools(["a"], {"a": "tts-1", "b": "x"}, [*crew, {"state": "ready"}], flow)
    assert rows == [
        {"pool": "a", "living": True, "workers": 2, "permits": 4, "busy": 3, "waiting": 3},
        {"pool": "b", "living": True, "workers": 0, "permits": 0, "busy": 0, "waiting": 0},
    ]
    assert not pools(["a"], {}, [], flow)[0]["living"]
