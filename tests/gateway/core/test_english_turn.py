"""One turn of the English partner: what is asked, and every way in which it ends."""

from typing import Any

import pytest

from services.contract.failure import Code, Failed
from services.contract.gateway import Interrupted
from services.contract.ingest import TurnAired, TurnDropped
from services.contract.llm import AnswerEnded, SentenceReady
from services.contract.message import Message
from services.contract.tts import SentenceSkipped, SpeechChunk, SpeechEnded, SpeechStarted
from services.gateway.core import english_turn
from services.gateway.core.english import SILENCE, Row
from services.gateway.core.english_turn import AGAIN, UNSPOKEN, WHY, Answer, Told

ASKED = english_turn.request("n", [Row(9, 7, "Hi", 1, said="Hi")], "Hi", 1_000, 40_000)
AGAINST_SILENCE = english_turn.request("n", [], "", 1_000, 40_000)
PCM = bytes(range(200))
AIRED = TurnAired(turn=ASKED.turn, no=1, epoch=0)


def sentence(index: int, text: str, pcm: bytes = PCM) -> list[tuple[Message, bytes]]:
    place: dict[str, Any] = {"turn": ASKED.turn, "index": index}
    ready: dict[str, Any] = {**place, "no": 1, "epoch": 0}
    made: list[tuple[Message, bytes]] = [
        (SentenceReady(**ready, session=ASKED.session, text=text, speak=text, voice="v", deadline_ms=0), b"")
    ]
    if not pcm:
        return [*made, (SentenceSkipped(**place, reason="no_engine"), b"")]
    return [
        *made,
        (SpeechStarted(**ready, attempt=1, text=text), b""),
        (SpeechChunk(**place, attempt=1, chunk=0, sample_offset=0), pcm),
        (SpeechEnded(**place, attempt=1, samples=len(pcm) // 2), b""),
    ]


def ended(count: int, text: str, reason: Any = "done") -> tuple[Message, bytes]:
    return AnswerEnded(turn=ASKED.turn, count=count, text=text, reason=reason), b""


def told(*entries: tuple[Message, bytes], request: Any = ASKED, reason: str = "deadline") -> Told:
    answer = Answer(request)
    for message, blob in entries:
        answer.feed(message, blob)
    return answer.end(reason)


def failure(text: str, turn: str = ASKED.turn) -> tuple[Message, bytes]:
    return Failed(turn=turn, code=Code.ENGINE_SILENT, sentence=text), b""


def test_the_teacher_is_asked_with_the_sessions_history() -> None:
    """In English, by name; the rows are the history; nothing of it is remembered elsewhere."""
    assert (ASKED.persona, ASKED.language, ASKED.kind, ASKED.spoken) == ("teacher", "en", "chat", "all")
    assert (ASKED.ask, ASKED.messages, ASKED.say) == ("Hi", (("user", "Hi"),), "{gpt}")
    assert (ASKED.turn, ASKED.session, ASKED.deadline_ms) == ("english-n-1", "english-n", 41_000)


def test_silence_is_answered_without_the_model() -> None:
    """The teacher asks to say it again; it does not become part of the conversation."""
    assert (AGAINST_SILENCE.ask, AGAINST_SILENCE.say, AGAINST_SILENCE.messages) == ("", AGAIN, ())
    answer = told((AIRED, b""), *sentence(0, AGAIN), ended(1, ""), request=AGAINST_SILENCE)
    assert answer == Told(AGAIN, PCM, "", asked=False)
    assert answer.row(9, 5, "a.wav") == Row(9, 0, AGAIN, 5, "a.wav")


def test_a_spoken_answer_is_one_recording() -> None:
    """The sentences' sound behind one another, the whole text."""
    answer = Answer(ASKED)
    for message, blob in (
        (AIRED, b""),
        *sentence(0, "Hello."),
        *sentence(1, "How are you?"),
        ended(2, "Hello. How are you?"),
    ):
        assert not answer.over
        answer.feed(message, blob)
    assert answer.over
    found = answer.end("deadline")
    assert found == Told("Hello. How are you?", PCM + PCM, "")
    assert found.row(9, 5, "a.wav") == Row(9, 0, "Hello. How are you?", 5, "a.wav", "Hello. How are you?")


def test_an_answer_that_cannot_be_spoken_is_read() -> None:
    """Its row has the text, says what failed, and plays a short silence; the model said it all the same."""
    row = told((AIRED, b""), *sentence(0, "Hello.", b""), ended(1, "Hello.")).row(9, 5, "")
    assert row == Row(9, 0, f"Hello. ({UNSPOKEN})", 5, SILENCE, "Hello.")


def test_a_model_that_fails_is_told_with_its_own_sentence() -> None:
    """The newest one; that of another turn does not count."""
    answer = told(failure("other", "x"), failure("first", ""), failure("refuses the key"), ended(0, "", "failed"))
    assert answer == Told("", b"", "refuses the key")
    assert answer.row(9, 5, "") == Row(9, 0, "This did not work: refuses the key", 5, SILENCE)


def test_an_answer_that_breaks_off_is_told_as_far_as_it_went() -> None:
    """With its sound and with what happened."""
    answer = told((AIRED, b""), *sentence(0, "Hello."), ended(1, "Hello.", "cut"))
    assert answer == Told("Hello.", PCM, WHY["cut"])
    assert answer.row(9, 5, "a.wav").audio == "a.wav"


@pytest.mark.parametrize(
    ("entry", "problem"),
    [
        (Interrupted(epoch=1, by="silence"), WHY["silence"]),
        (Interrupted(epoch=1, by="somebody"), "it ended early (somebody)"),
        (TurnDropped(turn=ASKED.turn, reason="expired"), WHY["expired"]),
        (AnswerEnded(turn=ASKED.turn, count=0, text="", reason="failed"), WHY["failed"]),
    ],
)
def test_every_other_end_has_its_sentence(entry: Message, problem: str) -> None:
    """Whoever ended it."""
    assert told((AIRED, b""), (entry, b"")) == Told("", b"", problem)


def test_nobody_answers() -> None:
    """What came by then is told."""
    assert told() == Told("", b"", WHY["deadline"])
    assert told((AIRED, b""), *sentence(0, "Hello.")) == Told("Hello.", PCM, WHY["deadline"])


def test_a_model_that_says_nothing_is_a_failure() -> None:
    """Though it ended as it should."""
    assert told((AIRED, b""), ended(0, " ")) == Told("", b"", UNSPOKEN)


def test_the_sound_of_an_answer_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """What comes after it is left out."""
    monkeypatch.setattr(english_turn, "MOST_PCM", 300)
    answer = told((AIRED, b""), *sentence(0, "A."), *sentence(1, "B."), ended(2, "A. B."))
    assert (answer.text, answer.pcm) == ("A. B.", PCM)
