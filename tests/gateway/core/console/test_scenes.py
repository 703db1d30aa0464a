"""Sessions: what is heard this moment, by the same fold as the page of the show."""

import json

from services.contract.failure import Code, Failed
from services.contract.ingest import Decided, Kind, Lane, LiveEvent, TurnAired, TurnRequested, Viewer
from services.contract.message import Message
from services.contract.tts import AIR_RATE, SpeechChunk, SpeechEnded, SpeechStarted
from services.gateway.core.console.scenes import Peek, Scene, floor, kind_of, order

T0 = 1_000_000
SECOND = 2 * AIR_RATE
ASKED = TurnRequested(
    turn="t1", no=1, session="demo", epoch=0, kind="room", lane=Lane.PAID, causes=("e1",), ask="how are you", persona="p",
    viewer="小明", requested_ms=T0, deadline_ms=T0,
)  # fmt: skip
SPEECH = SpeechStarted(turn="t1", no=1, epoch=0, index=0, attempt=1, text="很好")
SAID: list[tuple[int, Message, int]] = [
    (T0, ASKED, 0),
    (T0 + 1, TurnAired(turn="t1", no=1, epoch=0), 0),
    (T0 + 2, SPEECH, 0),
    (T0 + 3, SpeechChunk(turn="t1", index=0, attempt=1, chunk=0, sample_offset=0), SECOND),
    (T0 + 4, SpeechEnded(turn="t1", index=0, attempt=1, samples=AIR_RATE), 0),
]


def peek(*said: tuple[int, Message, int]) -> Peek:
    entries = [(f"{ms}-0", message.type, message.to_json(), sound) for ms, message, sound in said]
    return Peek(len(said), entries[-1][0], entries)


def test_what_is_heard_is_told_without_its_sound() -> None:
    """Who is answered, and the sentence, for as long as it is heard."""
    scene = Scene("demo")
    scene.feed(peek(*SAID))
    now = scene.told(T0 + 500, ["demo"])
    assert (now["kind"], now["length"], now["last_ms"], now["said"]) == ("room", 5, T0 + 4, "很好")
    assert now["turn"] == {
        "turn": "t1", "viewer": "小明", "lane": "paid", "from_ms": T0 + 1, "ask": "how are you", "causes": 1,
    }  # fmt: skip
    assert scene.told(T0 + 60_000, ["demo"])["said"] == ""


def test_it_is_fed_as_it_grows() -> None:
    """The next look begins after the last entry; one without news changes nothing."""
    scene = Scene("demo")
    scene.feed(peek(*SAID[:2]))
    assert scene.after == f"{T0 + 1}-0"
    scene.feed(Peek(2, scene.after))
    scene.feed(peek(*SAID[2:]))
    assert scene.told(T0 + 500, [])["said"] == "很好"


def test_a_broker_that_forgot_begins_anew() -> None:
    """Its newest entry lies before what was read: what was known of the session is not shown any more."""
    scene = Scene("demo")
    scene.feed(peek(*SAID))
    scene.feed(Peek(1, f"{T0 - 9}-0"))
    assert scene.after == "-"
    assert "said" not in scene.told(T0 + 500, [])


def test_a_session_that_was_not_read_has_a_row() -> None:
    """Its name, its length, its age."""
    scene = Scene("chat-1")
    scene.feed(Peek(3, f"{T0}-0"))
    assert scene.told(T0, []) == {"session": "chat-1", "kind": "chat", "length": 3, "last_ms": T0}


def test_failures_and_lanes_are_told() -> None:
    """What failed last, and how many wait in each lane; what cannot be read is passed over."""
    event = LiveEvent(
        id="e1", room="demo", source="api", kind=Kind.DANMAKU, lane=Lane.CHAT, viewer=Viewer(), text="hi", at_ms=T0
    )
    other = event.model_copy(update={"id": "e2"})
    scene = Scene("demo")
    bad = Peek(1, f"{T0 - 1}-0", [(f"{T0 - 1}-0", "Nonsense", b"{}", 0)])
    scene.feed(bad)
    dropped = Decided(choice="drop", reason="stale", event=other)
    more = event.model_copy(update={"id": "e3"})
    told = [Failed(turn="t1", code=Code.ENGINE_SILENT, sentence="no answer"), event, other, dropped, more]
    scene.feed(peek(*((T0 + at, message, 0) for at, message in enumerate(told))))
    now = scene.told(T0 + 10, [])
    assert now["failed"] == {"code": "engine_silent", "sentence": "no answer", "at_ms": T0}
    assert now["lanes"] == {"chat": 2}
    assert now["turn"] is None


def test_the_kind_is_in_the_name() -> None:
    """A room of the configuration is one whatever it is called."""
    names = {"chat-1": "chat", "asr-1": "asr", "call-1": "call", "daily:c1": "daily", "demo": "room"}
    assert {name: kind_of(name, []) for name in names} == names
    assert kind_of("chat-1", ["chat-1"]) == "room"
    assert order("") == (0, 0)
    assert order("7-3") > order("7-1") > order("6-9")


def test_the_floor_is_what_the_director_wrote_down() -> None:
    """Turns in flight in their order, with how far their answers have come."""
    event = {"lane": "paid", "viewer": {"name": "小明"}, "text": "hi", "amount_fen": 100}
    note = {
        "id": "t2", "no": 2, "aired_ms": 0, "requested_ms": 3, "choice": {"reason": "paid_first", "item": {"events": [event, event]}},
    }  # fmt: skip
    notes = {"no": b"7", "t2": json.dumps(note).encode(), "t1": json.dumps({**note, "id": "t1", "no": 1}).encode()}
    rows = floor(notes, {"t2": {"sentences": 3, "count": None, "over": 1}})
    assert [row["turn"] for row in rows] == ["t1", "t2"]
    assert (rows[1]["amount_fen"], rows[1]["sentences"], rows[1]["viewer"]) == (200, 3, "小明")
