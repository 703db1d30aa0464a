"""Attending real speech with the real detector."""

from collections.abc import Callable

import numpy as np
import pytest

from services.asr.adapters.offline import SileroDetector
from services.asr.adapters.scripted import ScriptedDetector
from services.asr.core.attendance import HUSH_FRAMES, Attendance, Began, Event, Partial, Utterance
from services.asr.core.endpoint import Endpointer
from services.asr.core.gate import LINGER_FRAMES, Gate
from services.asr.core.patience import Rule
from services.asr.core.pcm import HEARD_RATE, frames
from tests.asr.speech import hiss, mixed, silence, speech

CALL_FRAME = 320 * 2
"""Bytes of 20 ms."""
TEXTS = (
    ("Hello, what is the weather like today?", "en-us"),
    ("你好，今天天气怎么样？我想出去走走。", "cmn"),
    ("Good morning. Sixty small sheep were sleeping softly. So I left.", "en-us+f3"),
    ("hm", "en-us"),
)


def heard(pcm: bytes, start: int = 0) -> list[tuple[Event, int]]:
    """What is heard in it, 20 ms at a time, and how many samples had come by then."""
    attendance, found = Attendance(start, SileroDetector, Rule()), list[tuple[Event, int]]()
    for at in range(0, len(pcm), CALL_FRAME):
        events = attendance.feed(at // 2, pcm[at : at + CALL_FRAME], at)
        found += [(event, attendance.position) for event in events if not isinstance(event, Partial)]
    return found


@pytest.mark.parametrize(("text", "voice"), TEXTS[:3])
@pytest.mark.parametrize("noise", [0, 30, 300])
async def test_a_voice_is_told_within_150_ms(text: str, voice: str, noise: int) -> None:
    """From its first sample on, counted in sound: in silence, with a quiet and with a noisy microphone."""
    pcm = mixed(silence(1_500) + await speech(text, voice) + silence(1_500), hiss(4_000, noise))
    (first, came), *_ = heard(pcm)
    assert isinstance(first, Began)
    assert came - 1_500 * 16 <= 150 * 16
    assert first.at_sample >= 1_500 * 16 - 512


@pytest.mark.parametrize(("text", "voice"), TEXTS)
@pytest.mark.parametrize("noise", [0, 30, 100, 300])
async def test_sparing_the_detector_changes_no_decision(text: str, voice: str, noise: int) -> None:
    """Utterances begin and end at the same frames as if every frame had been looked at, whatever lies under them."""
    said = await speech(text, voice)
    pauses = [silence(ms) + said for ms in (2_500, 3_000, 700, 300, 400, 470)]
    pcm = mixed(b"".join(pauses) + silence(1_200), hiss(9_000, noise))
    asked: list[bool] = []

    class Counting(SileroDetector):
        def probability(self, frame: bytes) -> float:
            asked.append(True)
            return super().probability(frame)

    gate, bare, gated, plain = Gate(Counting), SileroDetector(), Endpointer(), Endpointer()
    for frame in frames(pcm):
        linger = LINGER_FRAMES if not gated.speaking else 0 if gated.silent >= HUSH_FRAMES else None
        spared = gated.feed(gate.probability(frame, linger=linger))
        assert spared == plain.feed(bare.probability(frame))
    assert (len(asked) < len(pcm) // 1_024) == (noise <= 30)


@pytest.mark.parametrize("make", [lambda: hiss(6_000, 12_000), lambda: tone(6_000), lambda: clicks(6_000)])
def test_loud_noise_is_no_voice(make: Callable[[], bytes]) -> None:
    """A hiss, a tone and clicks, however loud, begin nothing."""
    assert heard(silence(500) + make() + silence(1_000)) == []


def tone(ms: int) -> bytes:
    wave = np.sin(np.arange(ms * 16) * 2 * np.pi * 440 / HEARD_RATE)
    return np.rint(wave * 16_000).astype("<i2").tobytes()


def clicks(ms: int) -> bytes:
    wave = np.zeros(ms * 16, "<i2")
    wave[:: HEARD_RATE // 3] = 30_000
    return wave.tobytes()


async def test_who_takes_over_names_it_the_same() -> None:
    """From where the first utterance ended, another hears the second begin at the same sample."""
    said = await speech(*TEXTS[0])
    pcm = silence(800) + said + silence(1_700) + said + silence(1_700)
    all_of_it = [event for event, _ in heard(pcm) if isinstance(event, Utterance)]
    assert len(all_of_it) == 2
    rest = [event for event, _ in heard(pcm, all_of_it[0].until_sample) if isinstance(event, Utterance)]
    assert [(one.start_sample, one.pcm) for one in rest] == [(all_of_it[1].start_sample, all_of_it[1].pcm)]


async def test_two_calls_at_once_share_nothing() -> None:
    """Two calls whose frames come in turn are heard as each would be alone."""
    one = silence(300) + await speech(*TEXTS[0]) + silence(1_500)
    other = mixed(silence(900) + await speech(*TEXTS[1]) + silence(1_500), hiss(3_000, 200))
    calls = [(one, Attendance(0, SileroDetector, Rule())), (other, Attendance(0, SileroDetector, Rule()))]
    found: list[list[Event]] = [[], []]
    for at in range(0, max(len(one), len(other)), CALL_FRAME):
        for events, (pcm, attendance) in zip(found, calls, strict=True):
            events.extend(attendance.feed(at // 2, pcm[at : at + CALL_FRAME], at))
    for events, (pcm, _) in zip(found, calls, strict=True):
        told = [event for event in events if not isinstance(event, Partial)]
        assert told == [event for event, _ in heard(pcm)]
        assert told


async def test_a_weak_voice_is_no_silence() -> None:
    """What the detector is spared is far below any voice: speech at a tenth of its level begins as early."""
    said = await speech(*TEXTS[0])
    weak = (np.frombuffer(said, "<i2") // 10).astype("<i2").tobytes()
    (first, came), *_ = heard(silence(1_500) + weak + silence(1_000))
    assert isinstance(first, Began)
    assert came - 1_500 * 16 <= 150 * 16


def test_the_scripted_detector_hears_its_level() -> None:
    """It hears any loud frame as a voice, noise too."""
    assert ScriptedDetector().probability(hiss(32, 3_000)) == 1.0
