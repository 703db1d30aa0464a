"""Who listens in the fault programs notices what is wrong, and readers with a broken rule get it wrong."""

from services.contract.gateway import Interrupted
from services.contract.ingest import TurnAired
from services.contract.llm import AnswerEnded
from services.contract.message import Message
from services.contract.tts import SpeechChunk, SpeechEnded, SpeechStarted
from services.runtime.sessions import Item
from services.runtime.timeline import Timeline
from services.tts.adapters.scripted import render
from tests.chaos.ear import Deaf, Ear, Hasty
from tests.chaos.scenes import order, wrong

SAY = "first one. second one."
TEXTS = ("first one.", "second one.")


def feed(ear: Ear, *told: tuple[Message, bytes]) -> Ear:
    for at, (message, blob) in enumerate(told):
        ear.feed(Item(f"{1_000 + at}-0", 1_000 + at, message, blob))
    return ear


def spoken(index: int) -> list[tuple[Message, bytes]]:
    """One sentence in one chunk."""
    pcm = render(TEXTS[index])
    place = {"turn": "s-1", "index": index, "attempt": 1}
    return [
        (SpeechStarted(no=1, epoch=0, text=TEXTS[index], **place), b""),  # pyright: ignore[reportArgumentType]  pydantic reads it
        (SpeechChunk(chunk=0, sample_offset=0, **place), pcm),  # pyright: ignore[reportArgumentType]  as above
        (SpeechEnded(samples=len(pcm) // 2, **place), b""),  # pyright: ignore[reportArgumentType]  as above
    ]


BEGIN: list[tuple[Message, bytes]] = [
    (order("s", 1, 0, SAY), b""),
    (TurnAired(turn="s-1", no=1, epoch=0), b""),
    (AnswerEnded(turn="s-1", count=2, text=SAY), b""),
]


def test_a_turn_that_is_heard_as_ordered_is_right() -> None:
    """Made out of order, heard in order: nothing is wrong, and it is known that it had to be mended."""
    ear = feed(Ear("s"), *BEGIN, *spoken(1), *spoken(0))
    assert wrong(ear.lines, SAY, "s-1") == []
    assert (ear.inversions, ear.overtaken, list(ear.closed)) == (0, 1, ["s-1"])


def test_a_hasty_reader_is_found() -> None:
    """Who plays what comes as it comes hears an inversion."""
    ear = feed(Ear("s", Hasty()), *BEGIN, *spoken(1), *spoken(0))
    assert ear.inversions == 1
    assert wrong(ear.lines, SAY, "s-1") != []


def test_a_missing_sentence_is_found() -> None:
    """Heard in part is not heard as ordered; nor is other sound."""
    part = feed(Ear("s"), *BEGIN, *spoken(0))
    assert wrong(part.lines, SAY, "s-1") != []
    whole = feed(Ear("s"), *BEGIN, *spoken(0), *spoken(1))
    whole.lines[1].pcm[0] ^= 1
    assert len(wrong(whole.lines, SAY, "s-1")) == 1
    assert wrong(whole.lines, SAY, "s-1", joined=True) == []


def test_an_interrupt_silences_who_hears_it() -> None:
    """After it nothing of the old epoch is heard; a deaf reader goes on."""
    late = [*BEGIN, *spoken(0), (Interrupted(epoch=1, by="test"), b""), *spoken(1)]
    silent, deaf = feed(Ear("s", Timeline()), *late), feed(Ear("s", Deaf()), *late)
    assert [line.text for line in silent.lines] == [TEXTS[0]]
    assert [line.text for line in deaf.lines] == list(TEXTS)
    assert (list(silent.cuts), silent.interrupts) == (["s-1"], {1: 1_006})
