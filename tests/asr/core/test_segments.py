"""The voices in a recording."""

from hypothesis import given
from hypothesis import strategies as st

from services.asr.adapters.scripted import ScriptedDetector
from services.asr.core.endpoint import Segment
from services.asr.core.pcm import FRAME_BYTES, HEARD_RATE
from services.asr.core.segments import cut, join, utterances
from services.runtime.sound import write_wav


def same(pcm: bytes, _: int, __: int) -> bytes:
    return pcm


def test_cut() -> None:
    """The sound of an utterance is its frames."""
    pcm = b"".join(bytes([number]) * FRAME_BYTES for number in range(4))
    assert cut(pcm, Segment(1, 3)) == b"\1" * FRAME_BYTES + b"\2" * FRAME_BYTES
    assert cut(pcm[:-10], Segment(3, 4)) == b"\3" * (FRAME_BYTES - 10)


def test_utterances() -> None:
    """Two voices with a second between them are two utterances; silence has none."""
    second = bytes(HEARD_RATE * 2)
    loud = b"\0\x20\0\xe0" * (HEARD_RATE // 2)
    found = utterances(write_wav(second + loud + second + loud, HEARD_RATE), same, ScriptedDetector)
    assert len(found) == 2
    assert all(loud[: len(loud) // 2] in sound for sound in found)
    assert utterances(write_wav(second, HEARD_RATE), same, ScriptedDetector) == []


def test_join() -> None:
    """Words are put apart, Chinese is not; what is empty adds nothing."""
    assert join(["hello", "", " world "]) == "hello world"
    assert join(["你好", "世界"]) == "你好世界"
    assert join(["我说", "hello"]) == "我说hello"
    assert join(["  ", ""]) == join([]) == ""


@given(st.lists(st.text(max_size=8), max_size=6))
def test_join_loses_nothing(texts: list[str]) -> None:
    """All that was said is there, in order."""
    assert "".join(join(texts).split()) == "".join("".join(texts).split())
