"""Listening, on brokers in memory."""

from dataclasses import dataclass, field
from pathlib import Path

import pytest

from services.asr.adapters.scripted import Scripted, ScriptedDetector
from services.asr.adapters.soxr import resample
from services.asr.core.pcm import HEARD_RATE
from services.asr.handlers.clips import Desk, recognise
from services.contract import streams
from services.contract.asr import Transcribed
from services.contract.failure import Code, Failed, Failure
from services.contract.gateway import ClipHeard
from services.contract.message import Message
from services.runtime.delivery import Job
from services.runtime.sound import write_wav
from services.runtime.work import Fence
from tests.model.sessions import ModelSessions
from tests.model.work import ModelWork

CLIP = (Path(__file__).parents[2] / "examples" / "weather-en.wav").read_bytes()
DUE = 50_000


@dataclass
class Booth:
    """Ears that hear the given texts in the given clip. `slow` passes while they recognise, in milliseconds."""

    clip: bytes | None = CLIP
    texts: list[str] = field(default_factory=lambda: ["what is the weather today"])
    failure: Failure | None = None
    slow: int = 0
    language: str = ""

    async def run(self, now_ms: int = DUE) -> list[Message]:
        """What the session tells after one delivery; the order must be done with, unless a failure was raised."""
        self.work, self.sessions = ModelWork(), ModelSessions(now_ms)
        stream = streams.LISTEN
        ears = Scripted(self.texts, failure=self.failure)
        desk = Desk(self.work, self.sessions, self._clip, ScriptedDetector, ears, resample, lambda: self.sessions.clock)
        order = ClipHeard(session="s", utterance="u", language=self.language, deadline_ms=DUE)
        await self.work.add(stream.key(), order)
        taken = await self.work.read_group(stream.key(), stream.group, "me")
        assert taken is not None
        try:
            await recognise(desk, Job(order, taken[0], Fence("s", 0, ""), 1))
        except Failure as failure:
            await desk.give_up(order, failure)
            raise
        assert await self.work.length(stream.key()) == 0
        return self.sessions.messages("s")

    async def _clip(self, session: str) -> bytes | None:
        assert session == "s"
        self.sessions.clock += self.slow
        return self.clip


async def test_a_clip_is_recognised() -> None:
    """What is said in the clip is told on the session as final, with its language and the engine."""
    told = Transcribed(utterance="u", text="what is the weather today", final=True, language="en", engine="scripted")
    assert await Booth().run() == [told]


async def test_the_language_that_was_asked_for() -> None:
    """A language that the client named is told as it is."""
    (told,) = await Booth(texts=["今天"], language="zh").run()
    assert isinstance(told, Transcribed)
    assert (told.text, told.language) == ("今天", "zh")


async def test_two_utterances() -> None:
    """All utterances of the clip are recognised, in order, as one text."""
    loud, second = b"\0\x20\0\xe0" * (HEARD_RATE // 2), bytes(HEARD_RATE * 2)
    clip = write_wav(loud + second + loud, HEARD_RATE)
    (told,) = await Booth(clip, ["hello", "world"]).run()
    assert isinstance(told, Transcribed)
    assert told.text == "hello world"


@pytest.mark.parametrize("clip", [write_wav(bytes(40_000), 8_000), write_wav(b"", 16_000)])
async def test_silence(clip: bytes) -> None:
    """Silence, and a clip without a sample, are told as no text, without asking the recogniser."""
    booth = Booth(clip, failure=Failure(Code.ENGINE_BROKEN, "must not be asked"))
    assert await booth.run() == [Transcribed(utterance="u", text="", final=True, engine="scripted")]


async def test_a_clip_that_cannot_be_read() -> None:
    """A clip that is no WAV is told as a failure with the reason."""
    (told,) = await Booth(b"ID3 something else").run()
    assert isinstance(told, Failed)
    assert told.code is Code.BAD_AUDIO
    assert "no WAV" in told.sentence


async def test_nobody_waits_any_more() -> None:
    """After the deadline, before the work or during it, the order is done with and nothing is told."""
    assert await Booth(failure=Failure(Code.INTERNAL, "must not be asked")).run(DUE + 1) == []
    assert await Booth(slow=1).run(DUE) == []


async def test_a_clip_that_is_gone() -> None:
    """A clip that live lost is a failure that says what to do."""
    booth = Booth(None)
    with pytest.raises(Failure, match="record it again"):
        await booth.run()
    (told,) = booth.sessions.messages("s")
    assert isinstance(told, Failed)
    assert told.code is Code.NOT_FOUND


async def test_an_engine_that_fails() -> None:
    """An engine's failure is raised for delivery to try again; given up, it is told with its remedy."""
    booth = Booth(failure=Failure(Code.ENGINE_MISSING, "install it", retryable=True))
    with pytest.raises(Failure, match="install it"):
        await booth.run()
    assert booth.sessions.messages("s") == [Failed(code=Code.ENGINE_MISSING, sentence="install it", retryable=True)]
