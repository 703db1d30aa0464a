"""The voices in a finished recording, and their texts put together."""

from collections.abc import Callable, Iterable, Sequence
from functools import reduce

from services.asr.core.endpoint import Endpointer, Segment
from services.asr.core.pcm import FRAME_BYTES, Resample, frames, heard
from services.asr.core.ports import Detector
from services.runtime.words import is_cjk


def segments(probabilities: Iterable[float]) -> list[Segment]:
    """All utterances of a recording, from the probability of a voice in each of its frames."""
    pointer = Endpointer()
    found = [pointer.feed(probability) for probability in probabilities]
    return [event for event in [*found, pointer.close()] if isinstance(event, Segment)]


def cut(pcm: bytes, segment: Segment) -> bytes:
    """The sound of one utterance."""
    return pcm[segment.start * FRAME_BYTES : segment.end * FRAME_BYTES]


def utterances(clip: bytes, resample: Resample, detector: Callable[[], Detector]) -> list[bytes]:
    """The sound of each utterance in a clip, s16le mono at `HEARD_RATE`; none for silence.

    Takes as much processor time as the detector does for all of it. Raises `BadSoundError` with the reason.
    """
    pcm, ear = heard(clip, resample), detector()
    return [cut(pcm, segment) for segment in segments(ear.probability(frame) for frame in frames(pcm))]


def join(texts: Sequence[str]) -> str:
    """The texts of one recording as one: a space between words, none next to a Chinese, Japanese or Korean letter."""
    return reduce(_after, filter(None, (text.strip() for text in texts)), "")


def _after(text: str, more: str) -> str:
    return f"{text}{more}" if not text or is_cjk(text[-1]) or is_cjk(more[0]) else f"{text} {more}"
