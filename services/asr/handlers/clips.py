"""Listens: reads `listen`, takes the clip from live, says on the session what was said in it."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import structlog

from services.asr.core import pcm, segments
from services.asr.core.ports import Detector, Recogniser
from services.contract import streams
from services.contract.asr import Transcribed
from services.contract.failure import Code, Failed, Failure
from services.contract.gateway import ClipHeard
from services.runtime import words
from services.runtime.clock import now_ms
from services.runtime.delivery import Delivery, Duty, Job
from services.runtime.sessions import Sessions
from services.runtime.sound import BadSoundError
from services.runtime.work import Work

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Desk:
    """What listening needs."""

    work: Work
    sessions: Sessions
    clip: Callable[[str], Awaitable[bytes | None]]
    """The session's clip; None if it is not there any more."""
    detector: Callable[[], Detector]
    """A new one for each clip."""
    recogniser: Recogniser
    resample: pcm.Resample
    clock: Callable[[], int] = now_ms
    """Unix milliseconds."""

    async def give_up(self, heard: ClipHeard, failure: Failure) -> None:
        """It failed for good: say what went wrong. May run more than once."""
        sentence = words.clip(failure.sentence, 2_000)
        failed = Failed(code=failure.code, sentence=sentence, retryable=failure.retryable)
        await self.sessions.publish(heard.session, failed)


def attach(delivery: Delivery, desk: Desk, workers: int) -> None:
    """Recognise clips, `workers` at a time."""

    async def listen(job: Job[ClipHeard]) -> None:
        await recognise(desk, job)

    stream = streams.LISTEN
    delivery.attach(Duty(stream.key(), stream.group, ClipHeard, listen, desk.give_up, workers=workers))


async def recognise(desk: Desk, job: Job[ClipHeard]) -> None:
    """One delivery of one clip, to its end."""
    heard = job.message
    if desk.clock() <= heard.deadline_ms:
        try:
            await _tell(desk, heard, await _text(desk, heard))
        except BadSoundError as error:
            await desk.give_up(heard, Failure(Code.BAD_AUDIO, str(error)))
    await desk.work.finish(job.entry)


async def _tell(desk: Desk, heard: ClipHeard, text: str) -> None:
    """The text, if somebody still waits for it."""
    if desk.clock() > heard.deadline_ms:
        log.warning("a clip was recognised too late", session=heard.session, utterance=heard.utterance)
        return
    language = heard.language or (words.language(text) if text else "")
    told = Transcribed(utterance=heard.utterance, text=text, final=True, language=language, engine=desk.recogniser.name)
    await desk.sessions.publish(heard.session, told)


async def _text(desk: Desk, heard: ClipHeard) -> str:
    """What is said in the clip; '' for silence. Raises BadSoundError, and Failure where the clip or the engine is gone."""
    clip = await desk.clip(heard.session)
    if clip is None:
        raise Failure(Code.NOT_FOUND, "the recording is gone: it is kept for a minute; please record it again")
    sounds = await asyncio.to_thread(segments.utterances, clip, desk.resample, desk.detector)
    return segments.join([await desk.recogniser.recognise(sound, heard.language) for sound in sounds])
